"""What bulk entry, the gateway and the pipelined consumer rely on when partitions change hands within a call."""

from __future__ import annotations

import json
import threading

from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import NewTopic

from feedline.kafka.admin import admin_client
from feedline.kafka.config import consumer_config


def test_a_call_returns_nothing_that_it_read_of_a_partition_before_that_went_and_came_back(numbers):
    """Otherwise its messages and its end, read under one claim, would be taken in under the next."""
    topic = numbers(1)
    topic.send(10)
    second = f"{topic.topic}.second"
    changes, is_read = [], threading.Event()

    def assigned(consumer, partitions):
        changes.append(("assigned", len(partitions)))
        consumer.assign([TopicPartition(one.topic, one.partition, 0) for one in partitions])

    def revoked(consumer, partitions):
        changes.append(("revoked", len(partitions)))
        consumer.unassign()

    def told(statistics):
        # Comes through the same queue, behind the end that it speaks of.
        partitions = json.loads(statistics)["topics"].get(topic.topic, {}).get("partitions", {})
        if partitions.get("0", {}).get("eof_offset") == 10:
            is_read.set()

    def add_a_topic():
        if is_read.wait(60):
            # Held until it has answered: a client that is collected never does.
            admin = admin_client(topic.kafka)
            admin.create_topics([NewTopic(second, 1, 1)])[second].result(30)

    settings = {
        "enable.partition.eof": True,
        "partition.assignment.strategy": "range",
        "topic.metadata.refresh.interval.ms": 200,
        "heartbeat.interval.ms": 200,
        "statistics.interval.ms": 100,
        "stats_cb": told,
    }
    adding = threading.Thread(target=add_a_topic)
    consumer = Consumer(consumer_config(topic.kafka, group_id=topic.group) | settings)
    try:
        consumer.subscribe([f"^{topic.topic}.*"], on_assign=assigned, on_revoke=revoked)
        adding.start()
        # Ten messages and two ends: with what was read before there would be more, and some twice.
        read = consumer.consume(12, timeout=60)
    finally:
        is_read.set()
        adding.join()
        consumer.close()
    assert changes[:3] == [("assigned", 1), ("revoked", 1), ("assigned", 2)]
    assert [one.offset() for one in read if one.error() is None] == list(range(10))
    ends = [(one.topic(), one.offset()) for one in read if one.error() is not None]
    assert sorted(ends) == [(topic.topic, 10), (second, 0)]
    assert {one.error().code() for one in read if one.error() is not None} == {KafkaError._PARTITION_EOF}
