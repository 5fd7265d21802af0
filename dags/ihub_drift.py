"""### iHUB drift

Looks every hour whether the cluster, the registry and the warehouse still are what is declared, and changes nothing.
What somebody has altered by hand is told once, in a sentence each, through the notifiers whose Airflow connection is
set up: `feedline_alerts_smtp`, `feedline_alerts_slack`, `feedline_alerts_webhook`; that it is gone is told once too.

The task returns what it found. `ihub_provision` puts it right; `feedline provision drift` shows the same.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable, task

from feedline_airflow import provision_steps as steps
from feedline_airflow.dag_parts import task_defaults
from feedline_airflow.run_options import EXCHANGE_TIMEZONE

with DAG(
    dag_id="ihub_drift",
    dag_display_name="iHUB drift",
    description="Tells, once, what is no longer as it is declared.",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("15 * * * *", timezone=EXCHANGE_TIMEZONE),
    catchup=False,
    max_active_runs=1,
    default_args=task_defaults(timedelta(minutes=15)),
    tags=["ihub", "monitoring", "provisioning"],
):
    task(steps.watch_drift, task_id="watch_drift", task_display_name="watch for drift")()
