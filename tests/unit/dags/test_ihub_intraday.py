"""The shape of the intraday Dag."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest

from feedline.catalog import load_catalog

STEPS = {"wait_for_news", "produce", "plan_ranges", "load", "validate"}


@pytest.fixture(scope="module")
def intraday(dags):
    return dags["ihub_intraday"]


def test_every_feed_of_the_catalogue_has_its_own_steps(intraday):
    steps = {(task.task_id.split(".")[0], task.task_id.split(".")[-1]) for task in intraday.tasks}
    assert steps - {("choose_feeds", "choose_feeds")} == {(f, step) for f in load_catalog().feeds for step in STEPS}


def test_messages_on_the_feeds_topic_start_a_run(intraday):
    import ihub_intraday
    from airflow.serialization.serialized_objects import DagSerialization

    watched = {}
    for arrivals in ihub_intraday.ARRIVALS:
        [watcher] = arrivals.watchers
        classpath, kwargs = watcher.trigger.serialize()
        assert classpath == "feedline_airflow.intraday_topic_trigger.IntradayTopicTrigger"
        watched |= dict.fromkeys(kwargs["feeds"], kwargs["topic"])
    assert watched == {feed.name: feed.topic.name for feed in load_catalog().feeds.values()}
    timetable = DagSerialization.from_dict(DagSerialization.to_dict(intraday)).timetable
    assert "exchange days" in timetable.summary


@pytest.mark.parametrize(
    ("payloads", "expected"),
    [
        ([], (date(2026, 11, 20), ("accounts",), timedelta(minutes=5))),
        (
            [{"business_date": "2026-11-19", "feeds": ["positions"]}, {"business_date": "2026-11-20", "feeds": ["a"]}],
            (date(2026, 11, 20), ("a", "positions"), timedelta()),
        ),
    ],
)
def test_a_run_is_about_what_started_it(payloads, expected):
    from feedline_airflow.intraday_steps import intraday_options

    moment = datetime(2026, 11, 21, 1, tzinfo=UTC)
    events = [SimpleNamespace(extra={"from_trigger": True, "payload": payload}) for payload in payloads]
    found = intraday_options(
        {
            "params": {"business_date": None, "feeds": ["accounts"], "wait_minutes": 5},
            "dag_run": SimpleNamespace(logical_date=None, run_after=moment),
            "triggering_asset_events": {"topic": events} if events else {},
        }
    )
    assert (found.business_date, found.feeds, found.wait) == expected
