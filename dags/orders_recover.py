"""### Recover orders from a point in time

Sends again, in sequence and marked, what was entered or booked in a span of time and the FIX engine does not have:
after it was away and lost some of it. Asks the engine for each event first, over a FIX session of its own: live flow
goes on, and a second run sends nothing twice.

**Trigger** opens the form. A dry run, with which it begins, tells in the log what would be sent.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param, task

from feedline_airflow import order_steps as steps
from feedline_airflow.dag_parts import task_defaults
from feedline_airflow.form_fields import optional_text

PARAMS = {
    "since": Param(
        type="string",
        format="date-time",
        title="From",
        description="Entered or booked at or after this point in time, for example 2026-11-20T14:05:00-05:00.",
    ),
    "until": optional_text("To", "Entered before this point in time. Empty: up to now.", format="date-time"),
    "order": optional_text("Order", "Only this order."),
    "dry_run": Param(
        default=True,
        type="boolean",
        title="Dry run",
        description="Ask the engine what it has and tell in the log what would be sent; send nothing.",
    ),
    "engine": Param(
        default="127.0.0.1:9878",
        type="string",
        pattern=r"^[^:]+:\d+$",
        title="Engine",
        description="Where it listens for FIX sessions, host:port.",
    ),
    "target": Param(default="ENGINE", type="string", minLength=1, title="Target", description="The engine's CompID."),
}

with DAG(
    dag_id="orders_recover",
    dag_display_name="Orders: recover",
    description="Sends again what the FIX engine has lost since a point in time, in sequence, marked, once.",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    # One FIX session.
    max_active_runs=1,
    params=PARAMS,
    default_args=task_defaults(timedelta(hours=2)),
    tags=["orders", "recovery"],
):
    task(steps.recover_orders, task_id="recover", multiple_outputs=False)()
