"""On three real brokers, as the principal of provisioning: replicas are raised in place while records are sent, also
when the apply is killed in the middle; quotas hold."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import NewTopic

from feedline.kafka.admin import admin_client, watermarks
from feedline.kafka.config import producer_config
from feedline.kafka.quotas import QuotaOf, read_quotas
from feedline.provisioning.actual import topic_configs
from feedline.provisioning.apply import apply
from feedline.provisioning.installation import Installation
from feedline.provisioning.plan import Allow
from feedline.provisioning.replication import has_throttle
from feedline.provisioning.state import Desired, Limits, Part, TopicState
from feedline.security.cluster_access import put_rules
from feedline.security.principals import Rule, Service
from feedline.settings import Settings

# More than the least throttle lets through at once: brokers bound the mean of eleven seconds.
RECORDS, BYTES = 180, 300_000

# Applies, and is killed as soon as the controller moves replicas.
KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.integration.security.test_replicas_and_quotas import system
from feedline.provisioning.apply import apply

found = system(sys.argv[2], sys.argv[3], 3, told=lambda line: os.kill(os.getpid(), signal.SIGKILL), mb_per_second=1)
apply(found.plan(), found, Path(sys.argv[4]))
"""


def settings_of(kafka):
    return Settings(kafka=kafka, registry={}, warehouse={}, landing=Path("landing"))


def system(kafka, topic, factor, *, mb_per_second=None, **others):
    config = {"min.insync.replicas": str(min(2, factor))}
    wanted = Desired(
        topics={topic: TopicState(topic, 3, factor, config)}, limits=Limits(reassignment_mb_per_second=mb_per_second)
    )
    return Installation(settings_of(json.loads(kafka)), wanted, [Part.TOPICS], **others)


@pytest.fixture
def kafka(secured):
    return secured.kafka(Service.PROVISIONING)


@pytest.fixture
def topic(secured, kafka):
    """With one replica a partition, and records in it."""
    name = f"replicated-{uuid.uuid4().hex[:8]}"
    admin = admin_client(secured.plan.admin)
    admin.create_topics([NewTopic(name, 3, 1, config={"min.insync.replicas": "1"})])[name].result(60)
    may = [Rule(str(Service.PROVISIONING), "TOPIC", name, operation) for operation in ("ALTER", "ALTER_CONFIGS")]
    put_rules(admin, may)
    producer = Producer(producer_config(secured.plan.admin))
    for number in range(RECORDS):
        producer.produce(name, bytes([number]) * BYTES, partition=number % 3)
    assert producer.flush(60) == 0
    return name


def _replicas(kafka, topic):
    partitions = admin_client(kafka).list_topics(timeout=30).topics[topic].partitions
    return {number: (len(one.replicas), len(one.isrs)) for number, one in partitions.items()}


class Sending:
    """Records sent one after the other, all the while."""

    def __init__(self, kafka, topic):
        self._topic, self._stop, self.errors = topic, threading.Event(), []
        self._producer = Producer(producer_config(kafka))
        self._thread = threading.Thread(target=self._run)
        self.sent = 0

    def _run(self):
        while not self._stop.wait(0.01):
            self._producer.produce(self._topic, b"x", on_delivery=lambda error, _: error and self.errors.append(error))
            self._producer.poll(0)
            self.sent += 1

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        assert self._producer.flush(60) == 0


def test_replicas_are_raised_in_place_while_records_are_sent_also_after_a_kill(secured, kafka, topic, tmp_path):
    journal = tmp_path / "journal"
    root = str(Path(__file__).parents[3])
    text = json.dumps(kafka)
    with Sending(secured.plan.admin, topic) as sending:
        ended = subprocess.run(
            [sys.executable, "-c", KILLED, root, text, topic, str(journal)],
            check=False,
            timeout=300,
            capture_output=True,
        )
        assert ended.returncode == -signal.SIGKILL, ended.stderr[-2000:]
        told = []
        again = system(text, topic, 3, told=told.append)
        left = again.plan()
        # Brokers may name the coming replicas already: what is not filled yet does not count.
        begun = [("reassign", 1), ("release", "throttled"), ("set", {"min.insync.replicas": "1"})]
        assert (left.changes[0].action, left.changes[0].before) in begun
        assert has_throttle(topic_configs(admin_client(kafka), [topic])[topic])
        apply(left, again, journal)
    # On a starved machine the cluster may be done before it is looked at again.
    assert told[-1:] in ([], ["3 of 3 partitions have their replicas"])
    assert _replicas(kafka, topic) == dict.fromkeys(range(3), (3, 3))
    assert not has_throttle(topic_configs(admin_client(kafka), [topic])[topic])
    assert again.plan().changes == ()
    assert apply(again.plan(), again, journal) == []
    assert sending.errors == []
    ends = watermarks(secured.plan.admin, topic, range(3))
    assert sum(high - low for low, high in ends.values()) == RECORDS + sending.sent
    fewer = system(text, topic, 2)
    apply(fewer.plan(), fewer, journal, allow=[Allow.FEWER_REPLICAS])
    assert _replicas(kafka, topic) == dict.fromkeys(range(3), (2, 2))


def test_quotas_are_set_once_and_taken_away(kafka, tmp_path):
    user, client = QuotaOf(f"quota-{uuid.uuid4().hex[:6]}"), QuotaOf("*", f"client-{uuid.uuid4().hex[:6]}")
    theirs = {"producer_byte_rate": 1e6, "request_percentage": 50.0}
    wanted = Desired(quotas={user: theirs, client: {"consumer_byte_rate": 2e6}})
    found = Installation(settings_of(kafka), wanted, [Part.QUOTAS])
    assert len(apply(found.plan(), found, tmp_path / "journal")) == 2
    assert found.plan().changes == ()
    there = read_quotas(kafka)
    assert (there[user], there[client]) == (theirs, {"consumer_byte_rate": 2e6})
    gone = Installation(settings_of(kafka), Desired(quotas={user: {"request_percentage": None}}), [Part.QUOTAS])
    apply(gone.plan(), gone, tmp_path / "journal")
    assert read_quotas(kafka)[user] == {"producer_byte_rate": 1e6}
