"""Loaders that die, and loaders that meet: real processes, real SIGKILL."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from feedline.warehouse.ledger import read_checkpoints
from feedline.warehouse.load import Step

PROCESS = Path(__file__).with_name("load_process.py")


@pytest.fixture
def start(holdings, tmp_path):
    """Starts a loader of the bench's range; options go into its job."""
    started = []

    def _start(load_range=None, **options):
        job = {
            "feed": holdings.feed.name,
            "topic": holdings.feed.topic.name,
            "schema": dict(holdings.feed.schema),
            "range": (load_range or holdings.range()).to_dict(),
            "kafka": dict(holdings.settings.kafka),
            "registry": dict(holdings.settings.registry),
            "warehouse": dict(holdings.settings.warehouse),
            **options,
        }
        file = tmp_path / f"job-{len(started)}.json"
        file.write_text(json.dumps(job), encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, str(PROCESS), str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield _start
    for process in started:
        process.kill()
        process.communicate()


def outcome(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return json.loads(out)


def ledger_and_rows(holdings):
    [(batches, ids)] = holdings.query(
        f"SELECT COUNT(*), COUNT(DISTINCT CORRELATION_ID) FROM {{control}}.LOAD_LEDGER "
        f"WHERE FEED = '{holdings.feed.name}' AND STATUS = 'LOADED'"
    )
    return batches, ids, holdings.orders()


@pytest.mark.parametrize("step", list(Step))
def test_a_load_killed_at_any_step_leaves_no_row_twice_and_none_out_after_the_retry(
    holdings, make_holding, start, step
):
    holdings.publish([make_holding(n) for n in range(40)], partitions=[0, 1])
    # Killed in the second of its transactions: what the first one did must stay, once.
    killed = start(kill_at=step, kill_in_chunk=1, chunk_bytes=1)
    killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL
    there = holdings.orders()
    assert sorted(set(there)) == there
    assert len(there) == (20 if step is Step.COMMITTED else 10)

    holdings.load()
    assert ledger_and_rows(holdings) == (4, 4, list(range(40)))
    assert read_checkpoints(holdings.connection, holdings.feed.name, holdings.feed.topic.name) == holdings.ends


def test_of_two_loaders_of_one_range_one_wins_and_the_other_changes_nothing(holdings, make_holding, start):
    holdings.publish([make_holding(n) for n in range(200)])
    outcomes = [outcome(process) for process in (start(), start())]
    assert sorted(o["records"] for o in outcomes) == [0, 200]
    assert ledger_and_rows(holdings) == (20, 20, list(range(200)))


def test_loaders_of_other_partitions_of_one_feed_all_finish(holdings, make_holding, start):
    records = [make_holding(n) for n in range(200)]
    delivery = holdings.publish(records).delivery_id
    # The same content again, one partition further: each loader meets what another one loads.
    holdings.publish(records, delivery_id=delivery, partitions=[1, 2, 3, 0])
    processes = [start(holdings.range([partition]), chunk_bytes=1) for partition in range(3)]
    holdings.load(holdings.range([3]))
    assert [outcome(process)["lost"] for process in processes] == [False] * 3
    assert ledger_and_rows(holdings) == (20, 20, list(range(200)))
