from __future__ import annotations

from datetime import UTC, date, datetime
from types import SimpleNamespace

from feedline_airflow.run_options import run_options


def context(*, logical_date=None, run_after=None, business_date=None):
    run = SimpleNamespace(logical_date=logical_date, run_after=run_after)
    return {"params": {"business_date": business_date, "feeds": ["accounts"], "dry_run": False}, "dag_run": run}


def test_the_scheduled_evening_run_is_for_its_day_in_new_york_not_in_utc():
    friday_evening = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
    late = datetime(2026, 11, 21, 4, 30, tzinfo=UTC)
    assert run_options(context(logical_date=friday_evening)).business_date == date(2026, 11, 20)
    assert run_options(context(logical_date=late)).business_date == date(2026, 11, 20)


def test_the_form_s_business_date_wins_over_the_logical_date():
    options = run_options(context(logical_date=datetime(2026, 11, 20, tzinfo=UTC), business_date="2026-11-18"))
    assert options.business_date == date(2026, 11, 18)


def test_a_run_without_a_logical_date_takes_the_moment_it_was_due():
    options = run_options(context(run_after=datetime(2026, 7, 2, 3, 59, tzinfo=UTC)))
    assert options.business_date == date(2026, 7, 1)
