"""The shape of the intraday Dag."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest

from feedline import cycle_intraday
from feedline.catalog import load_catalog
from feedline.cycle_intraday import DaySoFar, LeftOpen
from feedline.errors import ValidationFailedError
from feedline.settings import Settings
from feedline.warehouse.report import Check, ValidationReport

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
        ([], ((date(2026, 11, 20),), ("accounts",), timedelta(minutes=5))),
        (
            [{"business_date": "2026-11-20", "feeds": ["positions"]}, {"business_date": "2026-11-19", "feeds": ["a"]}],
            ((date(2026, 11, 19), date(2026, 11, 20)), ("a", "positions"), timedelta()),
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
    assert (found.business_dates, found.feeds, found.wait) == expected


@pytest.fixture
def steps(monkeypatch, tmp_path):
    """The steps of a run that two dates' messages have started, with nothing landed, nothing on the topic that is not
    loaded, and what `announced` and `validated` say."""
    from feedline_airflow import intraday_steps, warehouse_hook

    days = (date(2026, 11, 19), date(2026, 11, 20))
    found = SimpleNamespace(steps=intraday_steps, days=days, announced={}, validated={}, checked=[], left=[], late=())

    def so_far(_settings, _connection, _feed, day):
        found.checked.append(day)
        return DaySoFar("accounts", day, 1, 0, 30, (found.reports[day],) if day in found.reports else ())

    found.reports = {}
    hook = SimpleNamespace(session=lambda: nullcontext(None))
    monkeypatch.setattr(warehouse_hook, "WarehouseHook", lambda: hook)
    monkeypatch.setattr(intraday_steps, "task_settings", lambda: Settings({}, {}, {}, tmp_path))
    monkeypatch.setattr(intraday_steps, "_feed", load_catalog().feed)
    monkeypatch.setattr(intraday_steps, "get_current_context", dict)
    options = intraday_steps.IntradayOptions(days, ("accounts",), timedelta())
    monkeypatch.setattr(intraday_steps, "intraday_options", lambda _: options)
    monkeypatch.setattr(cycle_intraday, "positions", lambda *_: {0: 7})
    monkeypatch.setattr(cycle_intraday, "has_unloaded", lambda *_: False)
    monkeypatch.setattr(cycle_intraday, "announced_deliveries", lambda _s, _f, day: found.announced.get(day, {}))
    monkeypatch.setattr(cycle_intraday, "deliveries_of", lambda _session, day: found.validated.get(day, []))
    monkeypatch.setattr(cycle_intraday, "validate_day_so_far", so_far)
    monkeypatch.setattr(cycle_intraday, "left_open", lambda *_: found.left)
    monkeypatch.setattr(cycle_intraday, "validate_left_open", lambda *asked: found.late if asked[-1] == days[1] else ())
    return found


def test_a_manifest_that_comes_when_its_rows_are_loaded_is_news_until_it_is_validated(steps):
    from airflow.sdk.exceptions import AirflowSkipException

    from feedline_airflow.wait_for_intraday import WaitForIntraday

    early, _ = steps.days
    produced_at = datetime(2026, 11, 19, 22, 30, tzinfo=UTC)
    closed = SimpleNamespace(feed="accounts", delivery_id="a program's", produced_at=produced_at)
    waiting = WaitForIntraday(task_id="wait_for_news", feed="accounts")
    with pytest.raises(AirflowSkipException):
        waiting.execute({})
    steps.announced[early] = {closed.delivery_id: closed}
    assert steps.steps.look("accounts", early).news == "a program's closed and not validated"
    waiting.execute({})
    for feed, status, before, news in (
        ("accounts", "FAILED", 0, False),
        ("accounts", "COMPLETE", 0, False),
        ("accounts", "COMPLETE", 1, True),
        ("positions", "COMPLETE", 0, True),
    ):
        at = produced_at - timedelta(seconds=before)
        row = SimpleNamespace(feed=feed, delivery_id=closed.delivery_id, produced_at=at, status=status)
        steps.validated[early] = [row]
        assert bool(steps.steps.look("accounts", early).news) is news


def test_a_run_validates_every_date_that_it_was_started_for(steps):
    told = steps.steps.validate("accounts", [])
    assert tuple(steps.checked) == steps.days
    assert told == {"business_dates": ["2026-11-19", "2026-11-20"], "records": 60, "complete": 2, "open": 0}
    early, _ = steps.days
    steps.reports[early] = ValidationReport("a program's", "accounts", (Check("rows", "", 30, 29),))
    with pytest.raises(ValidationFailedError, match="rows: 29 instead of 30"):
        steps.steps.validate("accounts", [])


def test_what_nobody_saw_being_closed_is_news_to_a_pass_of_a_later_day_and_validated_there(steps):
    _, today = steps.days
    steps.left = [LeftOpen("nobody has closed it", date(2026, 11, 18), None)]
    assert steps.steps.look("accounts", today).news == ""
    closed = SimpleNamespace(feed="accounts", delivery_id="a program's")
    steps.left = [LeftOpen(closed.delivery_id, date(2026, 11, 18), closed)]
    assert steps.steps.look("accounts", today).news == "a program's closed and not validated"
    steps.late = (ValidationReport("a program's", "accounts", (Check("rows", "", 30, 29),)),)
    with pytest.raises(ValidationFailedError, match="rows: 29 instead of 30"):
        steps.steps.validate("accounts", [])
