"""Spans of a real topic: whole, or told to be short; never short in silence."""

from __future__ import annotations

import pytest
from confluent_kafka import Producer

from feedline.consumer.spans import read_spans
from feedline.errors import BrokerUnavailableError
from feedline.kafka.admin import watermarks
from feedline.kafka.config import producer_config


def test_a_span_over_an_open_transaction_is_told_to_be_short_and_whole_when_it_has_ended(numbers):
    topic = numbers(1)
    topic.send(5)
    settings = {"transactional.id": topic.topic, "transaction.timeout.ms": 300_000}
    producer = Producer(producer_config(topic.kafka) | settings)
    producer.init_transactions()

    def transaction():
        producer.begin_transaction()
        for number in (5, 6):
            producer.produce(topic.topic, str(number).encode(), partition=0)
        assert producer.flush(30) == 0

    def read(end, **options):
        found = read_spans(topic.kafka, topic.topic, {0: (0, end)}, group="g", **options)
        return [int(message.value()) for message in found]

    transaction()
    assert watermarks(topic.kafka, topic.topic, [0]) == {0: (0, 5)}
    assert read(5) == list(range(5))
    assert read(7, uncommitted=True) == list(range(7))
    with pytest.raises(BrokerUnavailableError, match="stands at offset 5, and was to go on to 7"):
        read(7, timeout_s=2)
    producer.commit_transaction()
    assert read(7) == list(range(7))
    transaction()
    producer.abort_transaction()
    producer.close()
    # 5 and 6, a marker, what was aborted and its marker.
    assert watermarks(topic.kafka, topic.topic, [0]) == {0: (0, 11)}
    assert read(11) == list(range(7))
