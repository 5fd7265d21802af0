"""Topics are made what the catalogue says, and never smaller."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest
from confluent_kafka import Producer

from feedline.catalog import Topic
from feedline.errors import BrokerUnavailableError, ConfigurationError
from feedline.kafka.admin import admin_client, ensure_topics, partition_count, watermarks


@pytest.fixture
def topic():
    return Topic(f"topic-{uuid.uuid4().hex[:8]}", partitions=3)


@pytest.fixture
def admin(stack):
    return admin_client(stack.settings.kafka)


def test_topics_are_made_once_with_their_error_topic(admin, topic):
    changes = ensure_topics(admin, [topic], 1)
    assert [change.split(":")[0] for change in changes] == [f"created {topic.name}", f"created {topic.error_topic}"]
    assert partition_count(admin, topic.name) == 3
    assert ensure_topics(admin, [topic], 1) == []


def test_they_grow_in_place_and_never_shrink(admin, topic):
    ensure_topics(admin, [topic], 1)
    larger = replace(topic, partitions=5, retention_days=9)
    changes = ensure_topics(admin, [larger], 1)
    assert f"grew {topic.name} from 3 to 5 partitions" in changes
    assert f"set retention.ms={9 * 86_400_000} on {topic.name}" in changes
    assert ensure_topics(admin, [topic], 1) == []
    assert partition_count(admin, topic.name) == 5


def test_watermarks_are_where_a_partition_begins_and_ends(admin, topic, stack):
    ensure_topics(admin, [topic], 1)
    producer = Producer(dict(stack.settings.kafka))
    for _ in range(4):
        producer.produce(topic.name, b"x", partition=1)
    assert producer.flush(30) == 0
    assert watermarks(stack.settings.kafka, topic.name, [0, 1, 2]) == {0: (0, 0), 1: (0, 4), 2: (0, 0)}
    assert watermarks(stack.settings.kafka, topic.name, []) == {}


def test_what_is_not_there_is_said_and_not_made(admin):
    name = f"absent-{uuid.uuid4().hex[:8]}"
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="provision the feeds first"):
            partition_count(admin, name)


def test_a_broker_that_is_away_is_retriable(topic):
    away = admin_client({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
    with pytest.raises(BrokerUnavailableError):
        partition_count(away, topic.name, timeout=0.5)
