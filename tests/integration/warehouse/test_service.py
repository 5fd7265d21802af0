"""`feedline consume` as others see it: what it says of an outage, when it gives up, and one that comes back late."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import asdict
from pathlib import Path

import pytest

from fault.warehouse_line import WarehouseLine
from feedline.warehouse.ledger import read_checkpoints

PROCESS = Path(__file__).with_name("service_process.py")
# A machine that is busy takes its time.
PATIENCE_S = 120


class Service:
    """A running service: its address, what it has said, and what it answers."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self._log = log

    def said(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def health(self) -> tuple[int, list[str]]:
        try:
            with urllib.request.urlopen(self._address() + "/health", timeout=10) as answer:
                return answer.status, json.load(answer)["reasons"]
        except urllib.error.HTTPError as refused:
            return refused.code, json.load(refused)["reasons"]

    def metrics(self) -> str:
        with urllib.request.urlopen(self._address() + "/metrics", timeout=10) as answer:
            return answer.read().decode()

    def _address(self) -> str:
        line = until(lambda: next((x for x in self.said().splitlines() if x.startswith("loading ")), None), self)
        return line.split("; ")[1].removesuffix("/health")


def until(met, service=None, seconds=PATIENCE_S):
    deadline = time.monotonic() + seconds
    while not (answer := met()):
        said = service.said() if service is not None else ""
        assert service is None or service.process.poll() is None, said
        assert time.monotonic() < deadline, said
        time.sleep(0.2)
    return answer


@pytest.fixture
def line(warehouse_settings):
    line = WarehouseLine(warehouse_settings.warehouse["port"])
    yield line
    line.close()


@pytest.fixture
def start(holdings, tmp_path):
    """Starts a service of the holdings; arguments are the command's, `marker` that of service_process."""
    started = []

    def _start(*arguments, marker="-", port=None):
        folder = tmp_path / f"service-{len(started)}"
        folder.mkdir()
        settings, feed = holdings.settings, holdings.feed
        (folder / "holding.avsc").write_text(json.dumps(feed.schema), encoding="utf-8")
        entry = {
            "title": feed.title,
            "topic": feed.topic.name,
            "schema": "holding.avsc",
            "volume": asdict(feed.volume),
            "control_totals": list(feed.control_totals),
            "fund_field": feed.fund_field,
        }
        catalog = {"topics": {feed.topic.name: {"partitions": 4}}, "feeds": {feed.name: entry}}
        # JSON is YAML.
        (folder / "feeds.yaml").write_text(json.dumps(catalog), encoding="utf-8")
        warehouse = dict(settings.warehouse) | {"network_timeout": 5, "login_timeout": 5}
        document = {
            "kafka": dict(settings.kafka) | {"session.timeout.ms": 6_000, "heartbeat.interval.ms": 500},
            "registry": dict(settings.registry),
            "warehouse": warehouse | ({"port": port} if port else {}),
            "landing": str(settings.landing),
            "catalog": str(folder / "feeds.yaml"),
        }
        (folder / "settings.json").write_text(json.dumps(document), encoding="utf-8")
        command = [sys.executable, str(PROCESS), str(marker), "consume", "--port", "0", "--max-age", "0.2", *arguments]
        log = folder / "log"
        with log.open("w", encoding="utf-8") as errors:
            process = subprocess.Popen(
                command, env={**os.environ, "FEEDLINE_SETTINGS": str(folder / "settings.json")}, stderr=errors
            )
        started.append(process)
        return Service(process, log)

    yield _start
    for process in started:
        process.kill()
        process.send_signal(signal.SIGCONT)
        process.wait()


def test_an_outage_of_the_warehouse_is_seen_as_a_stall_and_ends_by_itself(holdings, make_holding, start, line):
    service = start("--stall-after", "3", port=line.port)
    holdings.publish([make_holding(n) for n in range(20)])
    until(lambda: holdings.orders() == list(range(20)), service)
    assert until(lambda: service.health()[0] == 200, service)

    line.cut()
    holdings.publish([make_holding(n) for n in range(20, 40)])
    reasons = until(lambda: (answer := service.health())[0] == 503 and answer[1], service)
    topic = holdings.feed.topic.name
    assert all(topic in reason and "has stood at offset" in reason for reason in reasons)
    assert f'feedline_consumer_partition_stalled{{feed="{holdings.feed.name}"' in service.metrics()
    assert any(
        row.startswith("feedline_consumer_partition_stalled{") and row.endswith(" 1.0")
        for row in service.metrics().splitlines()
    )
    until(lambda: "not well: " in service.said() and "attempt 1 failed" in service.said(), service)
    assert holdings.orders() == list(range(20))

    line.heal()
    until(lambda: holdings.orders() == list(range(40)), service)
    until(lambda: service.health()[0] == 200, service)
    until(lambda: "well again" in service.said(), service)
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(PATIENCE_S) == 0


def test_a_service_that_stays_stalled_gives_up_and_ends_with_3(holdings, make_holding, start, line):
    service = start("--stall-after", "2", "--give-up-after", "2", "--drain", "1", port=line.port)
    until(lambda: service.health()[0] == 200, service)
    # Before it has partitions or after: in both cases nothing gets on.
    line.cut()
    holdings.publish([make_holding(n) for n in range(20)])
    assert service.process.wait(PATIENCE_S) == 3
    assert "giving up: " in service.said()
    assert holdings.orders() == []


def test_a_service_that_was_stopped_in_a_load_and_wakes_up_late_changes_nothing_says_so_and_goes_on(
    holdings, make_holding, start, tmp_path
):
    """Its partitions are somebody else's by then, its files are staged, and it knows of nothing."""
    holdings.publish([make_holding(n) for n in range(40)])
    marker = tmp_path / "stopped"
    zombie = start(marker=marker)
    until(marker.exists, zombie)
    assert holdings.orders() == []
    other = start()
    until(lambda: _checkpoints(holdings) == holdings.ends, other)
    before = _moves(holdings)

    os.kill(zombie.process.pid, signal.SIGCONT)
    until(lambda: "another load has moved the checkpoint; nothing was changed by this one" in zombie.said(), zombie)
    assert _moves(holdings) == before
    # It joins again; whoever gets them loads what comes now.
    for n in range(40, 80, 10):
        holdings.publish([make_holding(m) for m in range(n, n + 10)], per_batch=2)
    until(lambda: _checkpoints(holdings) == holdings.ends, other)
    assert holdings.orders() == list(range(80))
    until(lambda: sum('feedline_consumer_lag{feed="' in one.metrics() for one in (zombie, other)) == 2, zombie)
    for service in (zombie, other):
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(PATIENCE_S) == 0, service.said()
    [(rows, ids)] = holdings.query(
        "SELECT COUNT(*), COUNT(DISTINCT CORRELATION_ID) FROM {control}.LOAD_LEDGER "
        f"WHERE FEED = '{holdings.feed.name}' AND STATUS = 'LOADED'"
    )
    assert rows == ids == 4 + 20


def _checkpoints(holdings):
    return read_checkpoints(holdings.connection, holdings.feed.name, holdings.feed.topic.name)


def _moves(holdings):
    """Epoch and place of every checkpoint: a write that was not fenced changes one of them."""
    return holdings.query(
        "SELECT PARTITION, NEXT_OFFSET, EPOCH FROM {control}.CONSUMER_CHECKPOINT "
        f"WHERE TOPIC = '{holdings.feed.topic.name}' ORDER BY 1"
    )
