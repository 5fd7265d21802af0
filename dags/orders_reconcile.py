"""### Books of the day's orders

After the exchange has closed, loads what is left and holds the books of the day together: messages and rows,
events accepted and answered or refused, fills and filled quantities, states, and, when its folder is named, the
engine's own book. A line that does not balance fails the task; the log names the orders.

**Trigger** opens a form for another date.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, task

from feedline_airflow import order_steps as steps
from feedline_airflow.dag_parts import task_defaults
from feedline_airflow.exchange_timetable import ExchangeDayTimetable
from feedline_airflow.form_fields import optional_text
from feedline_airflow.run_options import EXCHANGE_TIMEZONE

PARAMS = {
    "business_date": optional_text(
        "Business date", "The day to look at. Empty: the day of the run in New York.", format="date"
    ),
    "engine_book": optional_text(
        "Engine's folder", "Where the simulated FIX engine keeps its book. Empty: its reports are its word."
    ),
}

with DAG(
    dag_id="orders_reconcile",
    dag_display_name="Orders: books of the day",
    description="Holds orders, FIX messages and executions of a business date against each other.",
    doc_md=__doc__,
    schedule=ExchangeDayTimetable("0 17 * * MON-FRI", timezone=EXCHANGE_TIMEZONE),
    catchup=False,
    max_active_runs=1,
    params=PARAMS,
    default_args=task_defaults(timedelta(hours=1)),
    tags=["orders", "reconciliation"],
):
    events = task(steps.load_table, task_id="load_events")("ORDER_EVENTS")
    executions = task(steps.load_table, task_id="load_executions")("EXECUTIONS")
    events >> executions >> task(steps.reconcile_day, task_id="reconcile")()
