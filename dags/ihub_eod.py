"""### iHUB end of day

Takes every feed of one business date from its files through Kafka into its Snowflake tables. Runs on days the
New York exchange trades, at 18:30 its time; **Trigger** opens a form for another date, some of the feeds, or a dry run.

| Step | What it does |
|---|---|
| `wait_for_files` | waits, up to 8 hours, for the control file and the files that it names |
| `produce` | sends the records to the topic; bad ones go to the error topic with file, line, field and reason |
| `wait_for_delivery` | waits for the manifest that closes the delivery |
| `plan_ranges` | finds which offsets are not loaded yet |
| `load` | loads them, one task a range |
| `validate` | holds the tables against the manifest: counts, control totals, duplicates, nulls in keys, freshness |
| `publish` | updates the feed's asset: the delivery is complete |

Feeds wait for nothing but themselves. Clearing any task, or running the same date again, changes no row count. A task
that fails at once needs somebody: the last lines of its log say what to change. Other failures are tried again.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import (
    DAG,
    Asset,
    AsyncCallback,
    DeadlineAlert,
    DeadlineReference,
    Param,
    TaskGroup,
    TriggerRule,
    task,
)

from feedline_airflow import eod_steps as steps
from feedline_airflow.dag_parts import catalogue_feeds, task_defaults
from feedline_airflow.exchange_timetable import ExchangeDayTimetable
from feedline_airflow.form_fields import chosen_feeds, optional_text
from feedline_airflow.run_options import EXCHANGE_TIMEZONE
from feedline_airflow.sla_steps import cycle_overdue
from feedline_airflow.wait_for_delivery import WaitForDelivery
from feedline_airflow.wait_for_files import WaitForFiles

PARAMS = {
    "business_date": optional_text(
        "Business date", "The day the data is for. Empty: the day of the run in New York.", format="date"
    ),
    "feeds": chosen_feeds("The feeds to process. The others are skipped in this run."),
    "dry_run": Param(
        default=False,
        type="boolean",
        title="Dry run",
        description="Wait for the files and report what would be produced and loaded, and change nothing.",
    ),
}

DEFAULT_ARGS = {
    **task_defaults(timedelta(hours=2)),
    # When workers are scarce, the feed that is furthest goes on: tables fill one after another, not all at the end.
    "weight_rule": "upstream",
}

with DAG(
    dag_id="ihub_eod",
    dag_display_name="iHUB end of day",
    description="Feed files of one business date through Kafka into Snowflake, checked and published per feed.",
    doc_md=__doc__,
    # Without a start date the first scheduled run is the next one due, not the last one missed.
    schedule=ExchangeDayTimetable("30 18 * * MON-FRI", timezone=EXCHANGE_TIMEZONE),
    catchup=False,
    # A run that waits for a late feed holds up neither the next day nor a past date that is run again meanwhile.
    max_active_runs=3,
    # By 20:00, when the catalogue's last feed has to be validated; `ihub_sla` watches each feed by its own times.
    deadline=DeadlineAlert(
        reference=DeadlineReference.DAGRUN_LOGICAL_DATE,
        interval=timedelta(hours=1, minutes=30),
        callback=AsyncCallback(cycle_overdue),
        name="end of day is done",
    ),
    params=PARAMS,
    default_args=DEFAULT_ARGS,
    tags=["ihub", "eod", "feeds"],
):
    chosen = task.branch(steps.choose_feeds, task_id="choose_feeds", task_display_name="choose feeds")()

    for feed in catalogue_feeds():
        with TaskGroup(feed, tooltip=f"{feed}: files to table") as group:
            files = WaitForFiles(
                task_id="wait_for_files", feed=feed, poke_interval=5, timeout=timedelta(hours=8).total_seconds()
            )
            produced = task(steps.produce, task_id="produce", multiple_outputs=False)(feed)
            delivered = WaitForDelivery(
                task_id="wait_for_delivery",
                feed=feed,
                delivery=produced,
                timeout=timedelta(hours=1).total_seconds(),
            )
            planned = task(steps.plan_ranges, task_id="plan_ranges")(feed, produced)
            loaded = (
                task(steps.load, task_id="load", map_index_template="{{ task.op_kwargs['part']['name'] }}")
                .partial(feed=feed)
                .expand(part=planned)
            )
            # Nothing left to load (a run that is repeated) skips the load; the delivery is checked all the same.
            validated = task(
                steps.validate,
                task_id="validate",
                multiple_outputs=False,
                trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS,
            )(feed, produced)
            task(steps.publish, task_id="publish", outlets=[Asset(name=f"ihub_{feed}", uri=f"feedline://ihub/{feed}")])(
                validated
            )
            files >> produced >> delivered >> planned
            loaded >> validated
        chosen >> group
