"""Reading ranges and manifests from a real topic."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from feedline import cycle
from feedline.batch.identity import Cycle
from feedline.consumer.group_offsets import follow_checkpoints
from feedline.consumer.manifests import await_manifest, find_manifest
from feedline.consumer.range_reader import group_of, read_range
from feedline.consumer.ranges import LoadRange, PartitionSpan, plan_ranges
from feedline.errors import BrokerUnavailableError, CorruptBatchError, OffsetsExpiredError
from feedline.kafka.admin import admin_client, watermarks
from feedline.kafka.config import consumer_config, producer_config

DAY = date(2026, 11, 20)


@pytest.fixture
def delivered(bulk, topics):
    """Two feeds on one topic; the manifest of positions, in batches of 20 records."""
    feed = topics.feed("positions")
    feed = replace(feed, batch=replace(feed.batch, max_records=20))
    bulk.produce(topics.feed("accounts"), bulk.land("accounts", bulk.text(bulk.lines("accounts"))))
    manifest = bulk.produce(feed, bulk.land("positions", bulk.text(bulk.lines("positions"))))
    bulk.produce(topics.feed("snapshots"), bulk.land("snapshots", bulk.text(bulk.lines("snapshots"))))
    return manifest


def _plan(settings, topic, manifest, ranges=3, checkpoints=None):
    partitions = [held.partition for held in manifest.partitions]
    low = {p: marks[0] for p, marks in watermarks(settings.kafka, topic, partitions).items()}
    return plan_ranges(manifest, checkpoints or {}, low, ranges, topic=topic)


def _read(settings, ranges):
    return [batch for load_range in ranges for batch in read_range(settings.kafka, load_range)]


def test_the_ranges_of_a_delivery_hold_each_of_its_batches_once(delivered, positions, settings):
    batches = _read(settings, _plan(settings, positions.topic.name, delivered))
    assert len({b.headers.correlation_id for b in batches}) == len(batches) == delivered.batches
    assert {b.headers.feed for b in batches} == {"positions"}
    assert sum(b.headers.record_count for b in batches) == delivered.records


def test_a_partitions_batches_come_in_offset_order(delivered, positions, settings):
    for load_range in _plan(settings, positions.topic.name, delivered):
        offsets: dict[int, list[int]] = {}
        for batch in read_range(settings.kafka, load_range):
            offsets.setdefault(batch.partition, []).append(batch.offset)
        assert all(found == sorted(found) for found in offsets.values())


def test_reading_goes_on_from_the_checkpoints(delivered, positions, settings):
    topic = positions.topic.name
    everything = _read(settings, _plan(settings, topic, delivered))
    done = {held.partition: held.end_offset - 1 for held in delivered.partitions}
    rest = _read(settings, _plan(settings, topic, delivered, checkpoints=done))
    assert {(b.partition, b.offset) for b in rest} == {
        (b.partition, b.offset) for b in everything if b.offset >= done[b.partition]
    }


def test_an_end_that_no_message_lies_at_is_reached(positions, settings):
    """A transaction's marker takes the offset before the end."""
    topic = positions.topic.name
    producer = Producer(
        producer_config(settings.kafka) | {"transactional.id": topic, "transaction.timeout.ms": 300_000}
    )
    producer.init_transactions()
    producer.begin_transaction()
    producer.produce(topic, b"x", partition=3)
    producer.commit_transaction()
    producer.begin_transaction()
    producer.produce(topic, b"x", partition=3)
    producer.flush()
    producer.abort_transaction()
    producer.close()
    (low, high) = watermarks(settings.kafka, topic, [3])[3]
    assert (low, high) == (0, 4)
    assert list(read_range(settings.kafka, LoadRange("positions", topic, (PartitionSpan(3, 0, 4),)), budget_s=10)) == []


def test_offsets_that_left_the_topic_are_an_error(delivered, positions, settings):
    topic = positions.topic.name
    (load_range,) = _plan(settings, topic, delivered, ranges=1)
    gone = load_range.spans[0]
    admin = admin_client(settings.kafka)
    for future in admin.delete_records([TopicPartition(topic, gone.partition, gone.end)]).values():
        future.result(10)
    with pytest.raises(OffsetsExpiredError, match="not on the topic") as caught:
        list(read_range(settings.kafka, load_range))
    assert caught.value.where.partition == gone.partition
    with pytest.raises(OffsetsExpiredError):
        _plan(settings, topic, delivered)


def test_a_broker_that_is_away_is_given_up_after_the_budget(settings, positions):
    load_range = LoadRange("positions", positions.topic.name, (PartitionSpan(0, 0, 5),))
    kafka = {**settings.kafka, "bootstrap.servers": "127.0.0.1:1"}
    with pytest.raises(BrokerUnavailableError, match="can be repeated"):
        list(read_range(kafka, load_range, budget_s=0.5))


def test_a_range_beyond_the_topics_end_is_given_up_after_the_budget(settings, positions):
    load_range = LoadRange("positions", positions.topic.name, (PartitionSpan(0, 0, 5),))
    with pytest.raises(BrokerUnavailableError, match="readable end is 0, the range's 5"):
        list(read_range(settings.kafka, load_range, budget_s=1))


def test_a_message_of_the_feed_without_its_headers_is_told_and_passed(positions, settings):
    topic = positions.topic.name
    producer = Producer(producer_config(settings.kafka))
    producer.produce(topic, b"x", partition=2, headers=[("feed", b"positions")])
    producer.close()
    load_range = LoadRange("positions", topic, (PartitionSpan(2, 0, 1),))
    with pytest.raises(CorruptBatchError, match="no correlationId header") as caught:
        list(read_range(settings.kafka, load_range))
    assert (caught.value.where.partition, caught.value.where.offset) == (2, 0)
    told = []
    assert (
        list(read_range(settings.kafka, load_range, on_corrupt=lambda m, error: told.append((m.value(), error)))) == []
    )
    assert told[0][0] == b"x"


def test_a_reader_that_is_left_early_closes_its_client(delivered, positions, settings):
    threads = threading.active_count()
    batches = read_range(settings.kafka, _plan(settings, positions.topic.name, delivered, ranges=1)[0])
    next(batches)
    batches.close()
    assert threading.active_count() == threads


def test_reading_leaves_the_groups_offsets_alone(delivered, positions, settings):
    _read(settings, _plan(settings, positions.topic.name, delivered))
    assert set(_committed(settings, positions.topic.name).values()) == {-1001}


def _committed(settings, topic):
    consumer = Consumer(consumer_config(settings.kafka, group_id=group_of("positions")))
    try:
        found = consumer.committed([TopicPartition(topic, p) for p in range(8)], timeout=10)
        return {tp.partition: tp.offset for tp in found}
    finally:
        consumer.close()


def test_the_groups_offsets_follow_the_checkpoints_and_never_go_back(positions, settings, caplog):
    topic = positions.topic.name
    assert follow_checkpoints(settings.kafka, "positions", topic, {0: 5, 3: 9})
    assert follow_checkpoints(settings.kafka, "positions", topic, {0: 4, 3: 11})
    committed = _committed(settings, topic)
    assert (committed[0], committed[3], committed[1]) == (5, 11, -1001)
    assert caplog.text == ""


def test_offsets_that_cannot_be_committed_are_a_warning_only(positions, settings, caplog, monkeypatch):
    monkeypatch.setattr("feedline.consumer.group_offsets.TIMEOUT_SECONDS", 0.5)
    kafka = {**settings.kafka, "bootstrap.servers": "127.0.0.1:1"}
    assert not follow_checkpoints(kafka, "positions", positions.topic.name, {0: 5})
    assert "could not be committed" in caplog.text


def test_a_manifest_is_found_by_feed_date_and_delivery(delivered, positions, settings):
    this = delivered.delivery_id
    find = partial(find_manifest, settings.kafka, positions.topic.name, feed="positions", delivery_id=this)
    assert find(business_date=DAY) == delivered
    assert find(business_date=DAY, cycle="EOD") == delivered
    assert find(business_date=DAY, delivery_id="another") is None
    assert find(business_date=DAY, cycle=Cycle.INTRADAY) is None
    assert find(business_date=DAY + timedelta(days=1)) is None
    assert find(business_date=DAY, since=datetime.now(UTC) + timedelta(minutes=5)) is None
    assert find(business_date=DAY, since=datetime.now(UTC) - timedelta(minutes=5)) == delivered


def test_of_two_deliveries_of_a_day_the_one_that_was_produced_last_counts(bulk, delivered, positions, settings):
    corrected = bulk.produce(positions, bulk.land("positions", bulk.text(bulk.lines("positions")[1:])))
    assert cycle.delivered(settings, positions, DAY) == corrected
    assert cycle.delivered(settings, positions, DAY, delivery_id=delivered.delivery_id) == delivered


def test_an_empty_topic_has_no_manifest(positions, settings):
    assert cycle.delivered(settings, positions, DAY) is None


async def awaited(kafka, feed, delivery_id, **more):
    where = {"feed": feed.name, "business_date": DAY, "delivery_id": delivery_id}
    return await await_manifest(kafka, feed.topic.name, **where, poll_s=0.2, **more)


def test_waiting_returns_the_manifest_that_is_there(delivered, positions, settings):
    waiting = awaited(settings.kafka, positions, delivered.delivery_id)
    assert asyncio.run(asyncio.wait_for(waiting, 30)) == delivered


def test_waiting_returns_the_manifest_that_comes_later(bulk, positions, settings):
    source = bulk.land("positions", bulk.text(bulk.lines("positions")[:30]))

    async def wait():
        since = datetime.now(UTC) - timedelta(minutes=1)
        this = source.control.delivery.delivery_id
        waiting = asyncio.create_task(awaited(settings.kafka, positions, this, since=since))
        await asyncio.sleep(1)
        assert not waiting.done()
        manifest = await asyncio.to_thread(bulk.produce, positions, source)
        return manifest, await asyncio.wait_for(waiting, 30)

    manifest, found = asyncio.run(wait())
    assert found == manifest


def test_a_wait_that_is_cancelled_closes_its_client(positions, settings):
    before = set(threading.enumerate())

    async def wait():
        waiting = asyncio.create_task(awaited(settings.kafka, positions, "none that comes"))
        await asyncio.sleep(1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(wait())
    # The threads that closed the client end by themselves, just after the cancelled wait has returned.
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("feedline-manifest"):
            thread.join(timeout=30)
            assert not thread.is_alive()


def test_waiting_for_a_broker_that_is_away_goes_on_until_it_is_cancelled(positions, settings):
    kafka = {**settings.kafka, "bootstrap.servers": "127.0.0.1:1"}

    async def wait():
        await asyncio.wait_for(awaited(kafka, positions, "none that comes"), 2)

    with pytest.raises(TimeoutError):
        asyncio.run(wait())
