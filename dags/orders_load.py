"""### Orders into Snowflake

Loads, every five minutes, what lies on `orders.out` and `orders.executions` and is not loaded yet: every accepted event
into `ORDERS.ORDER_EVENTS`, every execution into `ORDERS.EXECUTIONS`, each once. `ORDERS.ORDERS_CURRENT` shows how each
order stands. What becomes no row is in `ORDERS.ORDER_NOT_LOADED` with its reason, and on `orders.ERROR`.

Clearing a task, or two runs at once, changes no row count. Where nobody has provisioned orders the tasks are skipped.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Asset, CronTriggerTimetable, TriggerRule, task

from feedline_airflow import order_steps as steps
from feedline_airflow.dag_parts import task_defaults
from feedline_airflow.run_options import EXCHANGE_TIMEZONE

with DAG(
    dag_id="orders_load",
    dag_display_name="Orders into Snowflake",
    description="Order events and executions from their topics into their tables, each once.",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("*/5 * * * *", timezone=EXCHANGE_TIMEZONE),
    catchup=False,
    max_active_runs=1,
    default_args=task_defaults(timedelta(minutes=30)),
    tags=["orders", "load"],
):
    events = task(steps.load_table, task_id="load_events")("ORDER_EVENTS")
    # Also when there were no events: the reports of earlier ones do not wait for them.
    executions = task(
        steps.load_table,
        task_id="load_executions",
        trigger_rule=TriggerRule.NONE_FAILED,
        outlets=[Asset(name="orders", uri="feedline://orders/current")],
    )("EXECUTIONS")
    events >> executions
