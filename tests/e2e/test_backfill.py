"""Airflow's own backfill over a week of business dates, as an analyst asks for it."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime
from urllib.parse import quote

import pytest

from feedline import cycle
from feedline.batch.control_file import control_path
from feedline.catalog import Catalog, load_catalog
from feedline.datagen import generate_day
from feedline.errors import ConfigurationError, RetriableError
from feedline.kafka.admin import admin_client, ensure_topics
from feedline.local.airflow_api import FINISHED
from feedline.warehouse.connection import open_warehouse
from feedline.warehouse.provision import provision_tables
from feedline.warehouse.validate import validate_delivery

FEED = "transactions"
# Thursday to Wednesday, over a weekend and Labor Day.
FROM, TO, HOLIDAY = date(2026, 9, 3), date(2026, 9, 9), date(2026, 9, 7)
DAYS = [date(2026, 9, number) for number in (3, 4, 8, 9)]
BROKEN = DAYS[2]


def backfill(airflow, behaviour):
    """Runs a backfill, two dates at a time, until all its runs have ended; the runs by business date."""
    asked = {
        "dag_id": "ihub_eod",
        "from_date": f"{FROM}T00:00:00Z",
        "to_date": f"{TO}T23:59:59Z",
        "max_active_runs": 2,
        "reprocess_behavior": behaviour,
        "dag_run_conf": {"feeds": [FEED]},
    }
    made = ask_until_it_is_taken(airflow, asked)
    deadline = time.monotonic() + 400
    runs = dag_runs(airflow)
    while not set(states(runs).values()) <= FINISHED:
        assert time.monotonic() < deadline, states(runs)
        time.sleep(1)
        runs = dag_runs(airflow)
    # Airflow looks twice a minute whether a backfill has ended, and takes no other one before; it may have looked.
    with suppress(ConfigurationError):
        airflow.call("PUT", f"/api/v2/backfills/{made['id']}/cancel")
    return runs


def ask_until_it_is_taken(airflow, asked):
    """Airflow on SQLite refuses a backfill while somebody else writes, and undoes what it had begun of it; and it takes
    none before it has looked whether the one before has ended."""
    for _ in range(30):
        try:
            return airflow.call("POST", "/api/v2/backfills", asked)
        except RetriableError as error:
            refused = error
        except ConfigurationError as error:
            if "already a running backfill" not in str(error):
                raise
            refused = error
        time.sleep(3)
    raise AssertionError(f"refused thirty times: {refused}")


def dag_runs(airflow):
    runs = airflow.call("GET", "/api/v2/dags/ihub_eod/dagRuns?run_type=backfill&limit=100")["dag_runs"]
    return {date.fromisoformat(run["logical_date"][:10]): run for run in runs}


def states(runs):
    return {day: run["state"] for day, run in runs.items()}


def most_at_once(airflow, runs):
    """How many runs had begun a task and not ended the last, at most."""
    spans = []
    for run in runs.values():
        tasks = [task for task in airflow.instances("ihub_eod", run["dag_run_id"]) if task["start_date"]]
        moments = [datetime.fromisoformat(task[end]) for task in tasks for end in ("start_date", "end_date")]
        spans.append((min(moments), max(moments)))
    return max(sum(start <= begun < end for start, end in spans) for begun, _ in spans)


def day_by_day(settings, feed, folder):
    """Takes the same files a date after the other, over a topic and into a database of their own; their settings."""
    own = {**settings.warehouse["session_parameters"], "FAKESNOW_DB_PATH": str(folder / "db")}
    settings = replace(settings, warehouse={**settings.warehouse, "session_parameters": own}, archive=folder / "kept")
    feed = replace(feed, topic=replace(feed.topic, name=f"{feed.topic.name}.DAILY"))
    ensure_topics(admin_client(settings.kafka), [feed.topic], settings.replication_factor)
    with open_warehouse(settings.warehouse) as connection:
        provision_tables(connection, Catalog({feed.name: feed}))
        for day in DAYS:
            manifest = cycle.produce(settings, feed, day)
            for part in cycle.plan(settings, connection, feed, manifest):
                cycle.load(settings, connection, feed, part)
            validate_delivery(connection, feed, manifest).raise_for_failures()
    return settings


@pytest.fixture
def airflow(provisioned):
    airflow = provisioned.airflow
    airflow.call("PATCH", "/api/v2/dags/ihub_eod?update_mask=is_paused", {"is_paused": False})
    yield airflow
    # With backfilled runs for a past, Airflow also starts the last date that is due by the schedule: it would wait
    # for the files of ten feeds, and take up what other tests land.
    path = "/api/v2/dags/ihub_eod/dagRuns"
    for run in airflow.call("GET", f"{path}?run_type=scheduled&limit=100")["dag_runs"]:
        if run["state"] not in FINISHED:
            airflow.call("PATCH", f"{path}/{quote(run['dag_run_id'])}?update_mask=state", {"state": "failed"})


@pytest.mark.long
def test_a_backfilled_week_goes_over_the_holiday_and_equals_a_day_by_day_run(
    provisioned, airflow, row_counts, content, tmp_path
):
    stack, feed = provisioned, load_catalog().feed(FEED)
    for day in DAYS:
        generate_day(load_catalog(), business_date=day, funds=1, seed=5, out=stack.settings.landing, feeds=[FEED])
    control = control_path(stack.settings.landing, FEED, BROKEN)
    right = control.read_text(encoding="utf-8")
    control.write_text('{"feed": "transactions"}', encoding="utf-8")

    first = backfill(airflow, "none")
    assert states(first) == {day: "failed" if day == BROKEN else "success" for day in DAYS}
    assert most_at_once(airflow, first) == 2
    assert sum(row_counts(BROKEN).values()) == 0

    control.write_text(right, encoding="utf-8")
    mended = backfill(airflow, "failed")
    assert states(mended) == dict.fromkeys(DAYS, "success")
    assert {day for day in DAYS if mended[day]["end_date"] != first[day]["end_date"]} == {BROKEN}
    assert sum(row_counts(HOLIDAY).values()) == 0
    singly = day_by_day(stack.settings, feed, tmp_path)
    held = {day: content(feed, day) for day in DAYS}
    assert held == {day: content(feed, day, settings=singly) for day in DAYS}
    assert all(held[day][feed.table] for day in DAYS)

    whole = row_counts()
    again = backfill(airflow, "completed")
    assert states(again) == dict.fromkeys(DAYS, "success")
    assert all(again[day]["end_date"] > mended[day]["end_date"] for day in DAYS)
    assert row_counts() == whole
    assert {day: content(feed, day) for day in DAYS} == held
