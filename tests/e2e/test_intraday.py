"""A day in passes: files wake a waiting sensor, records on the topic wake the Dag itself, the end of day completes."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import date

import pytest

from feedline import FeedProducer
from feedline.batch.control_file import control_path, intraday_control_paths, read_control_file
from feedline.catalog import Catalog, load_catalog
from feedline.datagen import IntradayShare, generate_day
from feedline.warehouse.connection import Session, open_warehouse
from feedline.warehouse.deliveries import COMPLETE, deliveries_of
from feedline.warehouse.names import current_view, data_table

DAG, FEED, DAY = "ihub_intraday", "transactions", date(2026, 9, 11)


@pytest.fixture
def airflow(provisioned):
    provisioned.airflow.await_dag(DAG)
    yield provisioned.airflow
    # Its schedule's runs would wait beside other tests.
    provisioned.airflow.call("PATCH", f"/api/v2/dags/{DAG}?update_mask=is_paused", {"is_paused": True})


@pytest.fixture
def program(provisioned):
    """A client's program, which sends records one by one and no delivery of files."""
    feed = load_catalog().feed(FEED)
    ours = {
        "feedline.catalog": Catalog({FEED: replace(feed, batch=replace(feed.batch, max_age_s=0.2))}),
        "feedline.registry": dict(provisioned.settings.registry),
        "feedline.business.date": DAY,
        "feedline.cycle": "INTRADAY",
    }
    with FeedProducer({**provisioned.settings.kafka, **ours}) as producer:
        yield producer


def await_rows(row_counts, expected, within_s=240):
    deadline = time.monotonic() + within_s
    while (found := row_counts(DAY)["TRANSACTIONS"]) != expected:
        assert found < expected, "rows that nobody sent"
        assert time.monotonic() < deadline, f"{found} of {expected} rows"
        time.sleep(1)


def await_complete(stack, deliveries, within_s=240):
    deadline = time.monotonic() + within_s
    while True:
        with open_warehouse(stack.settings.warehouse) as connection:
            done = [row for row in deliveries_of(Session(connection), DAY) if row.status == COMPLETE]
        if len(done) == deliveries:
            return
        assert time.monotonic() < deadline, done
        time.sleep(1)


def woken_by_the_topic(airflow):
    runs = airflow.call("GET", f"/api/v2/dags/{DAG}/dagRuns?run_type=asset_triggered&limit=100")["dag_runs"]
    return [run["dag_run_id"] for run in runs]


def test_files_and_records_of_the_day_wake_passes_and_its_end_completes_it(provisioned, airflow, program, row_counts):
    stack, landing = provisioned, provisioned.settings.landing
    share = IntradayShare(share=0.25, deliveries=2)
    generate_day(load_catalog(), business_date=DAY, funds=1, seed=5, out=landing, feeds=[FEED], intraday=share)
    rest = read_control_file(control_path(landing, FEED, DAY)).records
    by_file, by_program = intraday_control_paths(landing, FEED, DAY)
    early = read_control_file(by_file).records
    # What is of the second file is sent by a program instead.
    source = by_program.with_name(read_control_file(by_program).files[0].name)
    lines = source.read_bytes().splitlines()
    by_program.unlink()
    source.unlink()

    aside = by_file.with_name("late")
    by_file.rename(aside)
    waiting = airflow.trigger(DAG, {"business_date": str(DAY), "feeds": [FEED], "wait_minutes": 5})
    airflow.await_state(DAG, waiting, f"{FEED}.wait_for_news", "deferred")
    aside.rename(by_file)
    assert airflow.finish(DAG, waiting) == "success"
    assert row_counts(DAY)["TRANSACTIONS"] == early

    # The batch is far from full: its age sends it.
    for line in lines[:-1]:
        program.produce(load_catalog().feed(FEED).topic.name, line)
    program.poll(5)
    await_rows(row_counts, early + len(lines) - 1)
    program.produce(load_catalog().feed(FEED).topic.name, lines[-1])
    program.complete_delivery(FEED, records=len(lines))
    await_complete(stack, 2)
    assert row_counts(DAY)["TRANSACTIONS"] == early + len(lines)
    passes = woken_by_the_topic(airflow)
    assert {airflow.finish(DAG, run) for run in passes} == {"success"}
    # One of them found a delivery that was not closed, and checked what was there of it.
    checked = [run for run in passes if airflow.task(DAG, run, f"{FEED}.validate")["state"] == "success"]
    told = [airflow.log(DAG, run, f"{FEED}.validate") for run in checked]
    assert any("1 deliveries are complete, 1 are open" in log for log in told)

    airflow.run("ihub_eod", business_date=str(DAY), feeds=[FEED])
    with open_warehouse(stack.settings.warehouse) as connection:
        for table in ("TRANSACTIONS", current_view("TRANSACTIONS")):
            [(rows, distinct)] = Session(connection).execute(
                f'SELECT COUNT(*), COUNT(DISTINCT "_CORRELATION_ID" || "_RECORD_INDEX") FROM {data_table(table)} '
                f"WHERE \"_BUSINESS_DATE\" = '{DAY}'",
                doing="cannot count",
            )
            assert rows == distinct == early + len(lines) + rest
