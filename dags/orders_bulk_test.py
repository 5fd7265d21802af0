"""### Bulk test of orders

**Trigger** opens a form: how many events, how many a second, of which mix. They are made up, go to `orders.bulk`, and
take the way of every order: bulk entry, FIX gateway, engine, tables. The run is green when each of them is in
`ORDERS.ORDER_EVENTS` and has an answer of the engine, or a reason on `orders.ERROR`.

They are orders like others: point the gateway at a test engine first.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param, task

from feedline_airflow import order_steps as steps
from feedline_airflow.dag_parts import task_defaults
from feedline_airflow.form_fields import percent

PARAMS = {
    "count": Param(
        default=1_000,
        type="integer",
        minimum=1,
        maximum=1_000_000,
        title="Events",
        description="How many, at the least: an order that was begun is finished.",
    ),
    "rate": Param(default=100, type="number", minimum=1, maximum=10_000, title="Rate", description="Events a second."),
    "options": percent(20, "Options, %", "Of all orders."),
    "funds": percent(10, "Funds, %", "Of all orders; the rest are equities."),
    "amended": percent(20, "Amendments, %", "Of all events."),
    "cancelled": percent(10, "Cancellations, %", "Of all events; no more than are new."),
    "wait_minutes": Param(
        default=15,
        type="integer",
        minimum=1,
        maximum=240,
        title="Wait, minutes",
        description="So long after the last event the last answer may come.",
    ),
}

with DAG(
    dag_id="orders_bulk_test",
    dag_display_name="Orders: bulk test",
    description="Made-up orders through bulk entry, gateway and engine, each answered at the end.",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    params=PARAMS,
    default_args=task_defaults(timedelta(hours=6)),
    tags=["orders", "test"],
):
    # Tried again, it enters as many again under another name, by which only those are checked.
    entered = task(steps.enter_bulk_test, task_id="enter", multiple_outputs=False)()
    task(steps.check_bulk_test, task_id="check")(entered)
