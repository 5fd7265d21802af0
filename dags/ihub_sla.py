"""### iHUB promises

Looks every five minutes whether each feed is where the catalogue promises: arrived, loaded and validated by its time of
day in New York, and what comes before the end of day loaded within so many minutes. A feed that is late is told once,
and so is its recovery, through the notifiers whose Airflow connection is set up: `feedline_alerts_smtp`,
`feedline_alerts_slack`, `feedline_alerts_webhook`. Every alert is recorded in `CONTROL.SLA_ALERT`, also when nobody is
told.

It looks at the files, the topic and the tables, not at Airflow's tasks: a feed that never comes is told while its
sensor still waits. Only dates that are waited for now are looked at, so neither a backfill nor a past date that is run
again raises an alert. `feedline sla --business-date` shows the same as a table.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable, task

from feedline_airflow import sla_steps as steps
from feedline_airflow.retry_policy import RetryUnlessTerminal
from feedline_airflow.run_options import EXCHANGE_TIMEZONE

with DAG(
    dag_id="ihub_sla",
    dag_display_name="iHUB promises",
    description="Tells, once, that a feed is late by the catalogue's promises, and that it has recovered.",
    doc_md=__doc__,
    # Saturday too: what is promised for the morning after Friday is due then. Days without trading have no feeds.
    schedule=CronTriggerTimetable("*/5 * * * MON-SAT", timezone=EXCHANGE_TIMEZONE),
    catchup=False,
    max_active_runs=1,
    default_args={
        "owner": "ihub-operations",
        "retries": 3,
        "retry_delay": timedelta(seconds=10),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=1),
        "retry_policy": RetryUnlessTerminal(),
        "execution_timeout": timedelta(minutes=10),
        # Somebody waits for a word on a late feed while the workers are busy with the others.
        "priority_weight": 1000,
    },
    tags=["ihub", "monitoring", "feeds"],
):
    task(steps.watch_slas, task_id="watch_slas", task_display_name="watch the promises")()
