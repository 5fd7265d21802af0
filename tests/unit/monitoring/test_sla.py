"""Promises held against what happened, at any hour and in any season."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from feedline.catalog import ExchangeTime, Sla, Stage, load_catalog
from feedline.errors import ConfigurationError
from feedline.monitoring.alert import Alert, AlertKind, late_alert, minutes
from feedline.monitoring.cycles import cycle_alert, cycle_done
from feedline.monitoring.sla import StageTimes, Standing, breaches, evaluate
from feedline.monitoring.watch import live_dates

FRIDAY = date(2026, 11, 20)
HEARD = timedelta(hours=6)


def sla(arrived="18:00", loaded="19:00", validated="19:30"):
    return Sla(*map(ExchangeTime.parse, (arrived, loaded, validated)))


def feed(promised=None):
    return replace(load_catalog().feed("accounts"), sla=promised or sla())


def new_york(clock, day=FRIDAY):
    return ExchangeTime.parse(clock).on(day)


def heard(times, clock, promised=None, day=FRIDAY):
    """Stages to tell of at a clock time."""
    found = breaches(feed(promised), day, times, new_york(clock, day), heard_within=HEARD)
    return [(verdict.stage, verdict.standing, minutes(verdict.late)) for verdict in found]


@pytest.mark.parametrize(
    ("day", "clock", "utc"),
    [
        (date(2026, 10, 30), "18:00", datetime(2026, 10, 30, 22, tzinfo=UTC)),
        (date(2026, 11, 2), "18:00", datetime(2026, 11, 2, 23, tzinfo=UTC)),
        (date(2026, 11, 20), "+1 02:00", datetime(2026, 11, 21, 7, tzinfo=UTC)),
        # The clock goes back on 1 November 2026, shows 01:30 twice, and goes forward on 14 March 2027 past 02:30.
        (date(2026, 10, 31), "+1 01:30", datetime(2026, 11, 1, 5, 30, tzinfo=UTC)),
        (date(2027, 3, 13), "+1 02:30", datetime(2027, 3, 14, 7, 30, tzinfo=UTC)),
    ],
)
def test_a_promise_is_an_instant_by_the_exchange_s_clock(day, clock, utc):
    assert ExchangeTime.parse(clock).on(day) == utc


@pytest.mark.parametrize("text", [1080, "18", "24:00", "18:60", "+0 18:00", "-1 18:00", "1 18:00", "6 pm", None])
def test_what_is_no_clock_time_is_refused(text):
    with pytest.raises(ConfigurationError, match="no clock time"):
        ExchangeTime.parse(text)


def test_promises_must_follow_one_another():
    with pytest.raises(ConfigurationError, match="must follow"):
        sla(loaded="17:00")
    assert sla(validated="+1 01:00").last_due(FRIDAY) == new_york("+1 01:00")


def test_each_stage_is_on_time_late_missing_or_pending():
    times = StageTimes(arrived=new_york("18:12"))
    found = evaluate(feed(), FRIDAY, times, new_york("19:20"))
    assert [(v.standing, v.late) for v in found] == [
        (Standing.LATE, timedelta(minutes=12)),
        (Standing.MISSING, timedelta(minutes=20)),
        (Standing.PENDING, timedelta()),
    ]
    on_time = StageTimes(new_york("18:00"), new_york("18:30"), new_york("19:30"))
    assert {v.standing for v in evaluate(feed(), FRIDAY, on_time, new_york("23:00"))} == {Standing.ON_TIME}
    assert {v.standing for v in evaluate(feed(Sla()), FRIDAY, StageTimes(), new_york("23:00"))} == {Standing.UNPROMISED}


def test_a_stage_that_nobody_recorded_was_reached_when_a_later_one_was():
    times = StageTimes(validated=new_york("18:40"))
    assert {times.reached(stage) for stage in Stage} == {new_york("18:40")}


def test_a_feed_that_does_not_come_is_one_breach_however_late_it_gets():
    assert heard(StageTimes(), "18:00") == []
    assert heard(StageTimes(), "18:05") == [(Stage.ARRIVED, Standing.MISSING, "5 min")]
    assert heard(StageTimes(), "23:00") == [(Stage.ARRIVED, Standing.MISSING, "5 h 00 min")]


def test_a_late_file_gives_its_load_as_much_more_time():
    arrived = StageTimes(arrived=new_york("19:10"))
    late = (Stage.ARRIVED, Standing.LATE, "1 h 10 min")
    assert heard(arrived, "20:10") == [late]
    assert heard(arrived, "20:11") == [late, (Stage.LOADED, Standing.MISSING, "1 h 11 min")]
    loaded = replace(arrived, loaded=new_york("20:00"))
    assert heard(loaded, "20:30") == [late]
    assert heard(loaded, "20:31") == [late, (Stage.VALIDATED, Standing.MISSING, "1 h 01 min")]


def test_what_was_due_long_ago_is_no_news():
    filled_in = StageTimes(*[new_york("+3 10:00")] * 3)
    assert heard(StageTimes(), "+3 10:00") == []
    assert heard(filled_in, "+3 10:05") == []


def test_dates_are_watched_from_their_first_promise_until_hours_after_the_last():
    def watched(clock, day=FRIDAY, promised=None):
        weekdays = lambda candidate: candidate.weekday() < 5  # noqa: E731
        return list(live_dates([feed(promised)], new_york(clock, day), weekdays))

    assert watched("17:59") == []
    assert watched("18:01") == [FRIDAY]
    assert watched("+1 01:29") == [FRIDAY]
    assert watched("+1 01:31") == []
    assert watched("+2 18:01") == []
    overnight = sla("20:00", "+1 01:00", "+1 02:00")
    assert watched("+1 07:59", promised=overnight) == [FRIDAY]
    assert list(live_dates([feed(Sla())], new_york("18:01"), lambda _: True)) == []


def test_a_message_names_feed_date_stage_lateness_and_run():
    [verdict] = list(breaches(feed(), FRIDAY, StageTimes(), new_york("18:12"), heard_within=HEARD))
    alert = late_alert(verdict, "https://airflow/runs/1")
    assert alert.text == (
        "accounts of 2026-11-20 has not arrived: it was due at 18:00 EST, 12 min ago\nhttps://airflow/runs/1"
    )
    recovered = alert.recovery(new_york("+1 00:12"), None)
    assert recovered.text == (
        "recovered: accounts of 2026-11-20 arrived 6 h 12 min late, at 2026-11-21 00:12 EST (due 18:00 EST)"
    )
    assert recovered.alert_id != alert.alert_id
    assert replace(alert, late=HEARD, link=None).alert_id == alert.alert_id


def test_a_cycle_is_overdue_while_a_feed_is_not_validated_and_done_with_the_last():
    due = new_york("20:00")
    half = {"accounts": StageTimes(validated=new_york("19:00")), "positions": StageTimes(loaded=new_york("19:50"))}
    alert = cycle_alert(FRIDAY, due, half, new_york("20:03"), None)
    assert alert == Alert(
        AlertKind.LATE, "ihub_eod", FRIDAY, "cycle", due, None, timedelta(minutes=3), None, "not validated: positions"
    )
    assert cycle_done(half) is None
    whole = {**half, "positions": StageTimes(validated=new_york("20:05"))}
    assert cycle_alert(FRIDAY, due, whole, new_york("20:06"), None) is None
    assert cycle_done(whole) == new_york("20:05")
