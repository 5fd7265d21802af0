"""A part of Airflow that dies is started again, so often and no more, and it is told."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import threading
import time
from contextlib import closing

import psutil
import pytest

from feedline.local.airflow_parts import GIVEN_UP, RUNNING, WAITING, clear_orphan_deadlines, read_parts, supervise

SLEEPS = [sys.executable, "-c", "import time; time.sleep(600)"]
FAILS = [sys.executable, "-c", "print('no luck'); raise SystemExit(3)"]


@pytest.fixture
def run(tmp_path):
    stopped, threads = threading.Event(), []

    def begin(commands, **options):
        target = threading.Thread(target=supervise, args=(tmp_path, commands, tmp_path, stopped), kwargs=options)
        threads.append(target)
        target.start()
        return stopped, target

    yield begin
    stopped.set()
    for thread in threads:
        thread.join()


def until(folder, name, wanted):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for part in read_parts(folder):
            if part.name == name and wanted(part):
                return part
        time.sleep(0.02)
    raise AssertionError(read_parts(folder))


def test_a_killed_part_is_started_again_and_told(tmp_path, run, capfd):
    asked = []
    stopped, thread = run({"scheduler": SLEEPS, "other": SLEEPS}, before=asked.append, backoff_s=(0.0,))
    first = until(tmp_path, "scheduler", lambda part: part.state == RUNNING)
    other = until(tmp_path, "other", lambda part: part.state == RUNNING)
    os.kill(first.pid, signal.SIGKILL)
    again = until(tmp_path, "scheduler", lambda part: part.state == RUNNING and part.pid != first.pid)
    assert (again.restarts, again.exit_code, asked) == (1, -signal.SIGKILL, ["scheduler"])
    assert until(tmp_path, "other", lambda part: True).pid == other.pid
    assert "scheduler ended with -9" in capfd.readouterr().out
    stopped.set()
    thread.join()
    assert not any(psutil.pid_exists(part.pid) for part in (again, other))


def test_a_part_that_always_dies_is_given_up(tmp_path, run):
    run({"scheduler": FAILS}, backoff_s=(0.0, 0.0))
    part = until(tmp_path, "scheduler", lambda part: part.state == GIVEN_UP)
    assert (part.restarts, part.exit_code, part.pid) == (2, 3, None)
    assert (tmp_path / "airflow-scheduler.log").read_text() == "no luck\n" * 3


def test_a_stop_while_a_part_waits_starts_nothing(tmp_path, run):
    stopped, thread = run({"scheduler": FAILS}, backoff_s=(600.0,))
    until(tmp_path, "scheduler", lambda part: part.state == WAITING and part.exit_code == 3)
    stopped.set()
    thread.join(30)
    assert not thread.is_alive()
    assert (tmp_path / "airflow-scheduler.log").read_text() == "no luck\n"


def test_only_deadlines_without_a_run_are_deleted(tmp_path):
    with closing(sqlite3.connect(tmp_path / "db")) as connection, connection:
        connection.executescript("CREATE TABLE dag_run (id); CREATE TABLE deadline (id, dagrun_id);")
        connection.executescript("INSERT INTO dag_run VALUES (1); INSERT INTO deadline VALUES (1,1), (2,7), (3,NULL);")
    assert clear_orphan_deadlines(tmp_path / "db") == 2
    assert clear_orphan_deadlines(tmp_path / "db") == 0
