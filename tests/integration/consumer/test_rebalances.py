"""Partitions change hands: by joining and leaving, by SIGKILL, and without the old owner knowing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest
from tests.integration.consumer.conftest import Seen, eventually

from feedline.consumer.pipeline_policy import PipelinePolicy, Rebalance
from feedline.errors import BrokerUnavailableError
from feedline.kafka.admin import admin_client

PROCESS = Path(__file__).with_name("consume_process.py")


def shares(topic):
    """How many partitions each member of the topic's group has."""
    # Held until it has answered: a client that is collected never does.
    admin = admin_client(topic.kafka)
    described = admin.describe_consumer_groups([topic.group])[topic.group].result(30)
    return sorted(len(member.assignment.topic_partitions) for member in described.members)


@pytest.fixture
def start(tmp_path):
    """Starts a consumer of a topic in another process; `.handled()` are the numbers that it finished."""
    started = []

    def _start(topic, *, rebalance=Rebalance.COOPERATIVE, seconds=0.005):
        out = tmp_path / f"handled-{len(started)}"
        out.touch()
        job = {
            "kafka": topic.kafka | {"session.timeout.ms": 6_000, "heartbeat.interval.ms": 500},
            "topic": topic.topic,
            "group": topic.group,
            "rebalance": rebalance,
            "seconds": seconds,
            "handled": str(out),
        }
        file = tmp_path / f"job-{len(started)}.json"
        file.write_text(json.dumps(job), encoding="utf-8")
        process = subprocess.Popen([sys.executable, str(PROCESS), str(file)], stderr=subprocess.PIPE, text=True)
        process.handled = lambda: [int(line) for line in out.read_text().splitlines()]
        started.append(process)
        return process

    yield _start
    for process in started:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.communicate()


@pytest.mark.parametrize("rebalance", list(Rebalance))
def test_handing_over_loses_nothing_doubles_nothing_and_stalls_no_partition(numbers, consume, rebalance):
    topic, first, second = numbers(6), Seen(), Seen()

    def slowly(seen):
        def handle(work):
            time.sleep(0.03)
            seen(work)

        return handle

    policy = PipelinePolicy(workers=4, rebalance=rebalance, commit_s=0.2)
    kafka = topic.kafka | {"heartbeat.interval.ms": 500}
    topic.send(1_200)
    consume(topic, slowly(first), kafka=kafka, policy=policy)
    eventually(lambda: len(first.counts) > 50)
    joining = consume(topic, slowly(second), kafka=kafka, policy=policy)
    eventually(lambda: len(second.counts) > 20)
    joining.stop()
    assert joining.wait(30)
    eventually(lambda: topic.committed() == dict.fromkeys(range(6), 200), 60)
    assert first.counts + second.counts == dict.fromkeys(range(1_200), 1)
    # Every partition still goes on after the second rebalance.
    topic.send(60)
    eventually(lambda: topic.committed() == dict.fromkeys(range(6), 210))


@pytest.mark.parametrize("rebalance", list(Rebalance))
def test_partitions_that_were_paused_when_they_were_taken_away_are_read_when_they_come_back(
    numbers, consume, rebalance
):
    """They are paused while nobody can say where they begin; the client keeps that over an assignment."""
    topic, first, second = numbers(4), Seen(), Seen()
    topic.send(400)

    def while_alone_unknown(places):
        if len(places) == 4:
            raise BrokerUnavailableError("nobody can be asked")
        return {}

    kafka = topic.kafka | {"heartbeat.interval.ms": 500}
    policy = PipelinePolicy(rebalance=rebalance, commit_s=0.1)
    waiting = consume(topic, first, kafka=kafka, policy=policy, positions=while_alone_unknown)
    eventually(lambda: waiting.status().unplaced_s > 0)
    consume(topic, second, kafka=kafka, policy=policy)
    eventually(lambda: topic.committed() == dict.fromkeys(range(4), 100), 60)
    assert first.counts + second.counts == dict.fromkeys(range(400), 1)


def test_what_a_late_worker_finishes_after_the_revocation_is_not_committed(numbers, consume):
    """Its partition is another one's by then, who works on the same messages and has finished none."""
    topic, first, second = numbers(2), Seen(), Seen()
    gates = threading.Event(), threading.Event()
    topic.send(20)

    def behind(gate, seen):
        def handle(work):
            gate.wait(120)
            seen(work)

        return handle

    kafka = topic.kafka | {"heartbeat.interval.ms": 500}
    policy = PipelinePolicy(workers=20, commit_s=0.05, drain_s=0.2)
    old = consume(topic, behind(gates[0], first), kafka=kafka, policy=policy)
    eventually(lambda: old.status().in_flight == 20)
    new = consume(topic, behind(gates[1], second), kafka=kafka, policy=policy)
    eventually(lambda: new.status().in_flight == 10, 60)
    (moved,), (kept,) = ([one.partition for one in consumer.status().partitions] for consumer in (new, old))
    gates[0].set()
    eventually(lambda: len(first.counts) == 20 and topic.committed()[kept] == 10)
    assert topic.committed()[moved] <= 0
    gates[1].set()
    eventually(lambda: topic.committed() == {0: 10, 1: 10})


def test_what_a_killed_consumer_had_not_committed_is_done_by_another(numbers, start):
    topic = numbers(4)
    topic.send(2_000)
    killed, left = start(topic), start(topic)
    eventually(lambda: len(killed.handled()) > 100 and len(left.handled()) > 100)
    killed.kill()
    eventually(lambda: topic.committed() == dict.fromkeys(range(4), 500), 60)
    assert set(killed.handled()) | set(left.handled()) == set(range(2_000))
    assert len(left.handled()) == len(set(left.handled()))


def test_a_consumer_that_lost_its_partitions_unawares_commits_nothing(numbers, start):
    """Stopped for longer than its session, it wakes up with work in hand and commits waiting."""
    topic = numbers(2)
    topic.send(400)
    stopped = start(topic, seconds=0.02)
    eventually(lambda: len(stopped.handled()) > 40)
    stopped.send_signal(signal.SIGSTOP)
    other = start(topic)
    eventually(lambda: topic.committed() == {0: 200, 1: 200}, 60)
    stopped.send_signal(signal.SIGCONT)
    # It joins again, with what it finished late; as nothing comes, nobody else's commit would hide one of its own.
    eventually(lambda: shares(topic) == [1, 1], 60)
    assert [topic.committed() for _ in range(10)] == [{0: 200, 1: 200}] * 10
    # What comes now is shared, and no offset ever goes back.
    seen = []
    topic.send(100)
    eventually(lambda: seen.append(topic.committed()) or seen[-1] == {0: 250, 1: 250}, 60)
    for before, after in pairwise(seen):
        assert all(after[partition] >= before[partition] for partition in before)
    for process in (stopped, other):
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert topic.committed() == {0: 250, 1: 250}
