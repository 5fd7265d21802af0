"""Airflow's own backfill over business dates, and a day in passes, as an analyst asks for them."""

from __future__ import annotations

import time
from datetime import date

from feedline.batch.control_file import control_path, intraday_control_paths, read_control_file
from feedline.catalog import load_catalog
from feedline.datagen import IntradayShare, generate_day

FEEDS = ["accounts", "transactions"]
# Friday, Labor Day, Tuesday.
FRIDAY, HOLIDAY, TUESDAY = date(2026, 9, 4), date(2026, 9, 7), date(2026, 9, 8)
INTRADAY = date(2026, 9, 10)


def land(stack, day, **share):
    out = stack.settings.landing
    generate_day(
        load_catalog(), business_date=day, funds=1, seed=5, out=out, feeds=FEEDS, intraday=IntradayShare(**share)
    )
    return {feed: read_control_file(control_path(out, feed, day)).records for feed in FEEDS}


def backfill(airflow, behaviour):
    """Runs a backfill to its end; the runs that it made, by business date, with their states."""
    made = airflow.call(
        "POST",
        "/api/v2/backfills",
        {
            "dag_id": "ihub_eod",
            "from_date": f"{FRIDAY}T00:00:00Z",
            "to_date": f"{TUESDAY}T23:59:59Z",
            "max_active_runs": 2,
            "reprocess_behavior": behaviour,
            "dag_run_conf": {"feeds": FEEDS},
        },
    )
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if airflow.call("GET", f"/api/v2/backfills/{made['id']}")["completed_at"]:
            break
        time.sleep(1)
    runs = airflow.call("GET", "/api/v2/dags/ihub_eod/dagRuns?run_type=backfill&limit=100")["dag_runs"]
    return {run["logical_date"][:10]: run for run in runs}


def test_a_backfill_goes_over_the_holiday_and_equals_a_day_by_day_run(provisioned, row_counts):
    stack, airflow = provisioned, provisioned.airflow
    announced = {day: land(stack, day) for day in (FRIDAY, TUESDAY)}
    airflow.call("PATCH", "/api/v2/dags/ihub_eod?update_mask=is_paused", {"is_paused": False})
    runs = backfill(airflow, "none")
    assert {day: run["state"] for day, run in runs.items()} == {str(FRIDAY): "success", str(TUESDAY): "success"}
    for day, expected in announced.items():
        counts = row_counts(day)
        assert {feed: counts[feed.upper()] for feed in FEEDS} == expected
    assert sum(row_counts(HOLIDAY).values()) == 0
    whole = row_counts()
    # A completed date that is done again, and one day by hand: nothing changes.
    again = backfill(airflow, "completed")
    assert {run["state"] for run in again.values()} == {"success"}
    airflow.run("ihub_eod", business_date=str(FRIDAY), feeds=FEEDS)
    assert row_counts() == whole


def test_a_day_in_passes_is_completed_by_its_end(provisioned, row_counts):
    stack, airflow = provisioned, provisioned.airflow
    rest = land(stack, INTRADAY, share=0.25, deliveries=2)["transactions"]
    controls = intraday_control_paths(stack.settings.landing, "transactions", INTRADAY)
    early = sum(read_control_file(control).records for control in controls)
    late = controls[1].with_name("late")
    controls[1].rename(late)
    conf = {"business_date": str(INTRADAY), "feeds": ["transactions"]}
    airflow.await_dag("ihub_intraday")
    airflow.run("ihub_intraday", **conf, wait_minutes=0)
    waiting = airflow.trigger("ihub_intraday", {**conf, "wait_minutes": 5})
    airflow.await_state("ihub_intraday", waiting, "transactions.wait_for_news", "deferred")
    late.rename(controls[1])
    assert airflow.finish("ihub_intraday", waiting) == "success"
    assert row_counts(INTRADAY)["TRANSACTIONS"] == early
    airflow.run("ihub_eod", business_date=str(INTRADAY), feeds=["transactions"])
    assert row_counts(INTRADAY)["TRANSACTIONS"] == early + rest
