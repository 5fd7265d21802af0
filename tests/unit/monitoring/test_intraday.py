"""What comes during the day is held to its own promise, by the exchange's clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest

from feedline.batch.identity import Cycle
from feedline.catalog import ExchangeTime, IntradaySla, load_catalog
from feedline.monitoring import intraday
from feedline.monitoring.alert import AlertKind
from feedline.monitoring.alert_book import OpenAlert
from feedline.monitoring.intraday import Late, intraday_alerts, intraday_dates, late_deliveries
from feedline.settings import Settings

FRIDAY = date(2026, 11, 20)
HEARD = timedelta(hours=6)
FEED = load_catalog().feed("transactions")


def new_york(clock, day=FRIDAY):
    return ExchangeTime.parse(clock).on(day)


def late(clock, name="transactions-20261120-INTRADAY-1"):
    return Late(name, new_york(clock), new_york(clock) + timedelta(minutes=30))


def alerts(found, opened, clock, loaded=None):
    told = intraday_alerts(
        FEED, FRIDAY, found, opened, now=new_york(clock), heard_within=HEARD, loaded=loaded, link="https://airflow"
    )
    return list(told)


@pytest.mark.parametrize(
    ("arrived", "due"),
    [
        ("10:02", "10:32"),
        ("17:00", "17:30"),
        # Before the passes begin, and the evening before: counted from when they begin.
        ("05:00", "07:30"),
        ("00:10", "07:30"),
        # The end of day's, and a backfill's.
        ("17:01", None),
        ("+1 09:00", None),
        ("+7 09:00", None),
    ],
)
def test_what_comes_has_half_an_hour_while_the_passes_run_and_no_promise_later(arrived, due):
    promise = FEED.sla.intraday
    assert promise.due(FRIDAY, new_york(arrived)) == (new_york(due) if due else None)
    assert promise.due(FRIDAY, new_york("07:00") - timedelta(hours=25)) is None


def test_the_promise_is_by_the_exchange_s_clock_in_either_season():
    promise = IntradaySla(timedelta(minutes=10), ExchangeTime.parse("07:00"), ExchangeTime.parse("17:00"))
    assert promise.due(date(2026, 10, 30), datetime(2026, 10, 30, 9, tzinfo=UTC)).hour == 11
    assert promise.due(date(2026, 11, 2), datetime(2026, 11, 2, 9, tzinfo=UTC)).hour == 12


def test_a_feed_is_told_late_once_however_many_deliveries_wait_and_well_again_when_none_does():
    found = [late("10:02"), *(late("10:10", f"another {number}") for number in range(3))]
    [alert] = alerts(found, [], "10:38")
    assert alert.text == (
        "transactions of 2026-11-20 has intraday data that is not loaded: it was due at 10:32 EST, 6 min ago\n"
        "4 deliveries wait: transactions-20261120-INTRADAY-1, another 0, another 1, ...\n"
        "https://airflow"
    )
    opened = [OpenAlert(alert, new_york("10:38"))]
    assert alerts(found, opened, "10:43") == []
    assert alerts(found[1:], opened, "10:44") == []
    [recovered] = alerts([], opened, "10:50", loaded=new_york("10:47"))
    assert (recovered.kind, recovered.reached) == (AlertKind.RECOVERED, new_york("10:47"))
    assert recovered.subject == (
        "recovered: transactions of 2026-11-20 had its intraday data loaded 15 min late, at 10:47 EST (due 10:32 EST)"
    )


def test_the_next_time_that_a_feed_is_late_is_another_alert():
    [morning] = alerts([late("10:02")], [], "10:40")
    [later] = alerts([late("14:00")], [], "14:40")
    assert morning.alert_id != later.alert_id
    assert replace(morning, due=morning.due.astimezone(UTC), late=HEARD).alert_id == morning.alert_id


def test_what_was_due_long_ago_is_no_news():
    assert alerts([late("09:00")], [], "15:31") == []


def test_dates_are_watched_while_passes_run_and_hours_after():
    def watched(clock, day=FRIDAY):
        weekdays = lambda candidate: candidate.weekday() < 5  # noqa: E731
        return list(intraday_dates([FEED], new_york(clock, day), weekdays, HEARD))

    assert watched("07:00") == []
    assert watched("07:01") == [FRIDAY]
    assert watched("23:30") == [FRIDAY]
    assert watched("23:31") == []
    assert watched("+1 12:00") == []
    unpromised = replace(FEED, sla=replace(FEED.sla, intraday=None))
    assert list(intraday_dates([unpromised], new_york("12:00"), lambda _: True, HEARD)) == []


@pytest.fixture
def on_the_topic(monkeypatch):
    """Puts messages of a program on a topic of one partition, by the clock times at which they were sent; the first of
    them are loaded."""
    sent = []

    def batch(number):
        headers = SimpleNamespace(
            cycle=Cycle.INTRADAY, business_date=FRIDAY, delivery_id="a program's", correlation_id=f"message {number}"
        )
        return SimpleNamespace(headers=headers, sent_at=sent[number])

    def read_range(_kafka, asked, **_):
        return (batch(number) for span in asked.spans for number in range(span.start, span.end))

    monkeypatch.setattr(intraday, "offsets_at", lambda *asked: {0: sum(1 for at in sent if at < asked[-1])})
    monkeypatch.setattr(intraday, "read_range", read_range)
    monkeypatch.setattr(intraday, "loaded_batches", lambda *_: {})

    def put(*clocks, loaded):
        sent.extend(map(new_york, clocks))
        monkeypatch.setattr(intraday, "read_checkpoints", lambda *_: {0: loaded})

    return put


@pytest.mark.parametrize(
    ("clock", "loaded", "late"),
    [
        ("07:29", 0, []),
        # What came at night is due half an hour after the passes begin, whoever looks first, and whenever.
        ("07:35", 0, ["07:30"]),
        ("12:00", 0, ["07:30"]),
        ("12:00", 1, ["10:32"]),
        ("12:00", 2, []),
    ],
)
def test_what_came_at_night_or_while_nobody_looked_is_late_all_the_same(tmp_path, on_the_topic, clock, loaded, late):
    on_the_topic("03:00", "10:02", loaded=loaded)
    settings = Settings({}, {}, {}, tmp_path)
    found = late_deliveries(settings, None, FEED, FRIDAY, now=new_york(clock))
    assert [one.due for one in found] == [new_york(due) for due in late]
