"""Which days the end of day runs on."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from feedline.catalog.business_days import is_business_day
from feedline.errors import ConfigurationError


def days(dag, first, last):
    """Business dates of the runs that Airflow would make, scheduled or backfilled, in New York."""
    import pendulum

    infos = dag.iter_dagrun_infos_between(
        pendulum.instance(datetime(*first, tzinfo=UTC)), pendulum.instance(datetime(*last, tzinfo=UTC))
    )
    return [info.run_after.in_timezone("America/New_York").date().isoformat() for info in infos]


@pytest.fixture
def eod(dags):
    """The end of day as the scheduler has it, which reads Dags from the database."""
    from airflow.serialization.serialized_objects import DagSerialization

    return DagSerialization.from_dict(DagSerialization.to_dict(dags["ihub_eod"]))


def test_a_week_with_a_holiday_has_a_run_less(eod):
    week = days(eod, (2026, 9, 4), (2026, 9, 12))
    assert week == ["2026-09-04", "2026-09-08", "2026-09-09", "2026-09-10", "2026-09-11"]


def test_the_schedule_goes_over_a_holiday_to_the_next_open_day(eod):
    import pendulum
    from airflow.timetables.base import DataInterval, TimeRestriction

    before = pendulum.datetime(2026, 11, 25, 18, 30, tz="America/New_York").in_timezone("UTC")
    restriction = TimeRestriction(earliest=None, latest=None, catchup=True)
    info = eod.timetable.next_dagrun_info(
        last_automated_data_interval=DataInterval.exact(before), restriction=restriction
    )
    assert info.run_after == pendulum.datetime(2026, 11, 27, 18, 30, tz="America/New_York")


def test_a_closing_that_nobody_planned_is_no_business_day():
    assert not is_business_day(date(2012, 10, 29))
    assert is_business_day(date(2012, 10, 26))


def test_beyond_the_calendar_every_weekday_counts():
    assert is_business_day(date(2099, 12, 25))
    assert not is_business_day(date(2099, 12, 26))


def test_an_unknown_exchange_is_refused():
    with pytest.raises(ConfigurationError, match="market identifier code"):
        is_business_day(date(2026, 11, 20), "NYSE of the moon")
