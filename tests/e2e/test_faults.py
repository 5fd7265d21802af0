"""What the end-of-day cycle does when something is late, killed or only asked about."""

from __future__ import annotations

import os
import shutil
import signal
import time
from datetime import date

from feedline.batch.control_file import delivery_folder
from feedline.catalog import load_catalog
from feedline.kafka.admin import watermarks
from feedline.local.process import is_ours
from feedline.warehouse.connection import Session, open_warehouse
from feedline.warehouse.ledger import begin_in_turn

DRY_DAY, KILLED_DAY, LATE_DAY = date(2026, 10, 20), date(2026, 10, 21), date(2026, 10, 22)


def staged_files(stack):
    return {file for file in (stack.home / "warehouse" / "stages").rglob("*") if file.is_file()}


def topic_ends(stack):
    topic = load_catalog().feed("accounts").topic
    return {p: high for p, (_, high) in watermarks(stack.settings.kafka, topic.name, range(topic.partitions)).items()}


def test_a_dry_run_reports_and_changes_nothing(stack, send, row_counts):
    announced = send(DRY_DAY, ["accounts"])
    before = row_counts(), topic_ends(stack)
    run = stack.airflow.run("ihub_eod", business_date=DRY_DAY.isoformat(), feeds=["accounts"], dry_run=True)
    assert (row_counts(), topic_ends(stack)) == before
    states = {task["task_id"]: task["state"] for task in stack.airflow.instances("ihub_eod", run)}
    assert states["accounts.produce"] == states["accounts.load"] == states["accounts.publish"] == "skipped"
    log = stack.airflow.log("ihub_eod", run, "accounts.produce")
    assert "Would produce delivery accounts-20261020-EOD-" in log
    assert f"load its {announced['accounts']} records into ACCOUNTS" in log


def test_a_load_killed_halfway_is_tried_again_by_airflow_and_leaves_no_row_twice(stack, send, row_counts):
    announced = send(KILLED_DAY, ["positions"])
    feed = load_catalog().feed("positions")
    before, staged = row_counts(), staged_files(stack)
    with open_warehouse(stack.settings.warehouse) as connection:
        # While this session has the feed's turn, a load gets as far as its staged files and no further.
        turn = Session(connection)
        begin_in_turn(turn, feed)
        run = stack.airflow.trigger("ihub_eod", {"business_date": KILLED_DAY.isoformat(), "feeds": [feed.name]})
        stack.airflow.await_state("ihub_eod", run, "positions.load", "running")
        deadline = time.monotonic() + 60
        while not staged_files(stack) - staged and time.monotonic() < deadline:
            time.sleep(0.2)
        assert staged_files(stack) - staged, "the load has not staged anything"
        process = stack.airflow.task("ihub_eod", run, "positions.load")["pid"]
        assert is_ours(process, stack.home)
        os.kill(process, signal.SIGKILL)
        turn.rollback()
    assert stack.airflow.finish("ihub_eod", run) == "success"
    assert stack.airflow.task("ihub_eod", run, "positions.load")["try_number"] == 2
    assert row_counts()["POSITIONS"] - before["POSITIONS"] == announced["positions"]
    with open_warehouse(stack.settings.warehouse) as connection:
        twice = Session(connection).execute(
            'SELECT "_CORRELATION_ID", "_RECORD_INDEX" FROM FEEDLINE.IHUB.POSITIONS GROUP BY ALL HAVING COUNT(*) > 1',
            doing="cannot count",
        )
    assert twice == []


def test_a_late_feed_waits_without_a_worker_and_holds_no_other_feed_back(stack, send, row_counts):
    announced = send(LATE_DAY, ["accounts", "snapshots"])
    folder = delivery_folder(stack.settings.landing, "accounts", LATE_DAY)
    aside = folder.with_name("accounts.late")
    folder.rename(aside)
    before = row_counts()
    run = stack.airflow.trigger("ihub_eod", {"business_date": LATE_DAY.isoformat(), "feeds": ["accounts", "snapshots"]})
    stack.airflow.await_state("ihub_eod", run, "snapshots.publish", "success")
    assert stack.airflow.task("ihub_eod", run, "accounts.wait_for_files")["state"] == "deferred"
    assert row_counts()["ACCOUNTS"] == before["ACCOUNTS"]
    shutil.move(aside, folder)
    assert stack.airflow.finish("ihub_eod", run) == "success"
    assert row_counts()["ACCOUNTS"] - before["ACCOUNTS"] == announced["accounts"]


def test_a_control_file_that_cannot_be_used_fails_its_feed_at_once_with_the_reason(stack, provisioned):
    day = date(2026, 10, 19)
    folder = delivery_folder(stack.settings.landing, "accounts", day)
    folder.mkdir(parents=True)
    (folder / "accounts_20261019.control.json").write_text('{"feed": "accounts"}')
    run = stack.airflow.trigger("ihub_eod", {"business_date": day.isoformat(), "feeds": ["accounts"]})
    assert stack.airflow.finish("ihub_eod", run) == "failed"
    task = stack.airflow.task("ihub_eod", run, "accounts.wait_for_files")
    assert (task["state"], task["try_number"]) == ("failed", 1)
    assert "the control file has no entry" in stack.airflow.log("ihub_eod", run, "accounts.wait_for_files")
