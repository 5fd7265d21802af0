"""Records of feeds in transactions: all of one are read, or none."""

from __future__ import annotations

import uuid

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from feedline.catalog import BatchRule

WAIT = 30
POSITIONS = {"feed": "positions", "businessDate": "2026-11-20"}


@pytest.fixture
def transactional(feeds):
    """A feed whose batches stay open until something closes them, and a producer of it."""
    slow = feeds.changed("positions", batch=BatchRule(max_age_s=600, max_records=10_000))
    producer = slow.producer(**{"transactional.id": uuid.uuid4().hex})
    producer.init_transactions(WAIT)
    return slow, producer


def test_open_batches_are_sent_before_the_commit(transactional, lines, outcomes):
    feeds, producer = transactional
    heard = outcomes()
    producer.begin_transaction()
    for line in lines("positions")[:5]:
        producer.produce(feeds.topic, line, headers=POSITIONS, on_delivery=heard)
    producer.commit_transaction(WAIT)
    assert heard.errors == [None] * 5
    assert len(feeds.records()) == 5
    assert len(producer) == 0


def test_open_batches_are_dropped_and_reported_when_it_is_aborted(transactional, lines, outcomes):
    feeds, producer = transactional
    heard = outcomes()
    producer.begin_transaction()
    producer.produce(feeds.topic, lines("positions")[0], headers=POSITIONS, on_delivery=heard)
    assert producer.flush(WAIT) == 0
    for line in lines("positions")[1:4]:
        producer.produce(feeds.topic, line, headers=POSITIONS, on_delivery=heard)
    producer.abort_transaction(WAIT)
    assert [error and error.code() for error in heard.errors] == [None] + [KafkaError._PURGE_QUEUE] * 3
    assert feeds.records() == []

    producer.begin_transaction()
    producer.produce(feeds.topic, lines("positions")[4], headers=POSITIONS)
    producer.commit_transaction(WAIT)
    assert len(feeds.records()) == 1


def test_records_need_a_transaction_that_has_begun(transactional, lines):
    feeds, producer = transactional
    with pytest.raises(KafkaException) as caught:
        producer.produce(feeds.topic, lines("positions")[0], headers=POSITIONS)
    assert caught.value.args[0].code() == KafkaError._STATE


def test_consumed_offsets_are_committed_with_the_records(transactional, lines, stack):
    feeds, producer = transactional
    group = uuid.uuid4().hex
    consumer = Consumer({**stack.settings.kafka, "group.id": group, "enable.auto.commit": False})
    consumer.subscribe([feeds.topic])
    for _ in range(100):
        if consumer.assignment():
            break
        consumer.poll(0.2)
    producer.begin_transaction()
    producer.produce(feeds.topic, lines("positions")[0], headers=POSITIONS)
    place = TopicPartition(feeds.topic, 0, 41)
    producer.send_offsets_to_transaction([place], consumer.consumer_group_metadata(), WAIT)
    producer.commit_transaction(WAIT)
    assert [found.offset for found in consumer.committed([place], timeout=WAIT)] == [41]
    consumer.close()
    assert len(feeds.records()) == 1


def test_what_an_aborted_transaction_acknowledged_counts_in_no_manifest(transactional, lines):
    feeds, producer = transactional
    producer.begin_transaction()
    producer.produce(feeds.topic, lines("positions")[0], headers=POSITIONS)
    assert producer.flush(WAIT) == 0
    producer.abort_transaction(WAIT)
    producer.begin_transaction()
    for line in lines("positions")[:2]:
        producer.produce(feeds.topic, line, headers=POSITIONS)
    manifest = producer.complete_delivery("positions", business_date="2026-11-20", timeout=WAIT)
    producer.commit_transaction(WAIT)
    assert (manifest.records, manifest.batches) == (2, 1)
    assert len(feeds.read(manifests=True)) == 1


def test_closing_aborts_the_transaction_that_is_open(transactional, lines, outcomes):
    feeds, producer = transactional
    heard = outcomes()
    producer.begin_transaction()
    producer.produce(feeds.topic, lines("positions")[0], headers=POSITIONS, on_delivery=heard)
    producer.close()
    assert [error.code() for error in heard.errors] == [KafkaError._PURGE_QUEUE]
    assert feeds.records() == []
    with pytest.raises(RuntimeError, match="closed"):
        producer.produce(feeds.topic, lines("positions")[0], headers=POSITIONS)
