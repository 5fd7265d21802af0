"""### iHUB intraday

Takes up what arrives of the feeds before the end of day: small deliveries in the landing folder, and records that
programs put on the topic. A run is one pass. One begins every hour of the New York trading day and waits, up to 55
minutes and without a worker, for something new of each feed; messages on the topic start one at once.
**Trigger** opens a form for another date, some of the feeds, or a pass that does not wait.

| Step | What it does |
|---|---|
| `wait_for_news` | waits for a small delivery, records on the topic, or what closes a delivery; else skips the feed |
| `produce` | sends the deliveries that landed and are not on the topic |
| `plan_ranges` | from where the last pass ended to the topic's end |
| `load` | loads them, one task a range |
| `validate` | checks what is there of the day so far, and what was closed late on earlier days; marks what is whole |

A pass may run at any time and again: it changes no row twice. The end of day completes the same business date.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Asset, AssetAny, AssetOrTimeSchedule, AssetWatcher, Param, TaskGroup, TriggerRule, task

from feedline_airflow import intraday_steps as steps
from feedline_airflow.dag_parts import catalogue_feeds, catalogue_topics, task_defaults
from feedline_airflow.exchange_timetable import ExchangeDayTimetable
from feedline_airflow.form_fields import chosen_feeds, optional_text
from feedline_airflow.intraday_topic_trigger import IntradayTopicTrigger
from feedline_airflow.run_options import EXCHANGE_TIMEZONE
from feedline_airflow.wait_for_intraday import WaitForIntraday

ARRIVALS = [
    Asset(
        name=f"ihub_intraday_{topic}",
        uri=f"feedline://topic/{topic}",
        watchers=[AssetWatcher(name=f"ihub_intraday_{topic}", trigger=IntradayTopicTrigger(topic=topic, feeds=feeds))],
    )
    for topic, feeds in catalogue_topics().items()
]

PARAMS = {
    "business_date": optional_text(
        "Business date", "The day the data is for. Empty: the day of the run in New York.", format="date"
    ),
    "feeds": chosen_feeds("The feeds to take up. The others are skipped in this run."),
    "wait_minutes": Param(
        default=55,
        type="integer",
        minimum=0,
        maximum=720,
        title="Wait",
        description="Minutes to wait for a feed of which there is nothing new. 0: take what is there.",
    ),
}

with DAG(
    dag_id="ihub_intraday",
    dag_display_name="iHUB intraday",
    description="What arrives of the feeds during the day, through Kafka into Snowflake, checked so far.",
    doc_md=__doc__,
    schedule=AssetOrTimeSchedule(
        timetable=ExchangeDayTimetable("0 7-17 * * MON-FRI", timezone=EXCHANGE_TIMEZONE), assets=AssetAny(*ARRIVALS)
    ),
    catchup=False,
    # One that waits, and one that messages have started.
    max_active_runs=2,
    params=PARAMS,
    default_args={
        **task_defaults(timedelta(hours=1)),
        "weight_rule": "upstream",
    },
    tags=["ihub", "intraday", "feeds"],
):
    chosen = task.branch(steps.choose_feeds, task_id="choose_feeds", task_display_name="choose feeds")()

    for feed in catalogue_feeds():
        with TaskGroup(feed, tooltip=f"{feed}: what is new, to table") as group:
            news = WaitForIntraday(task_id="wait_for_news", feed=feed, poke_interval=10)
            refused = task(steps.produce, task_id="produce")(feed)
            planned = task(steps.plan_ranges, task_id="plan_ranges")(feed)
            loaded = (
                task(steps.load, task_id="load", map_index_template="{{ task.op_kwargs['part']['name'] }}")
                .partial(feed=feed)
                .expand(part=planned)
            )
            # Another run may have loaded it meanwhile, which skips the load.
            checked = task(
                steps.validate,
                task_id="validate",
                multiple_outputs=False,
                trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS,
            )(feed, refused)
            news >> refused >> planned
            loaded >> checked
        chosen >> group
