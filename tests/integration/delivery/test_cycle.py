"""The steps of a cycle on a real broker and the warehouse: produced, planned, loaded, and once only."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from feedline import cycle
from feedline.batch.headers import AVRO, BatchHeaders
from feedline.batch.identity import Cycle
from feedline.catalog import Catalog, ErrorLimit
from feedline.consumer.range_reader import group_of
from feedline.errors import ConfigurationError, ErrorLimitExceededError, LostRaceError
from feedline.kafka.config import consumer_config, producer_config
from feedline.warehouse.connection import open_warehouse
from feedline.warehouse.ledger import read_checkpoints
from feedline.warehouse.load import LoadPolicy, Step
from feedline.warehouse.names import CONSUMER_CHECKPOINT, data_table
from feedline.warehouse.provision import provision_tables
from feedline.warehouse.validate import validate_delivery

DAY = date(2026, 11, 20)


@pytest.fixture
def settings(settings, warehouse_settings):
    return replace(settings, warehouse=warehouse_settings.warehouse)


@pytest.fixture
def feed(topics, connection):
    """Positions under a name, a topic and tables of this test alone, in batches of 20 records."""
    shipped = topics.feed("positions")
    name = f"positions_{shipped.topic.name.rsplit('.', 1)[-1]}"
    feed = replace(shipped, name=name, batch=replace(shipped.batch, max_records=20))
    provision_tables(connection, Catalog({name: feed}))
    return feed


@pytest.fixture
def delivered(bulk, feed):
    """200 records and two bad ones."""
    records = bulk.lines("positions")[:200]
    return bulk.produce(feed, bulk.land(feed.name, bulk.text([*records[:70], b"bad", b"{}", *records[70:]])))


def _rows(connection, feed):
    with connection.cursor() as cursor:
        return cursor.execute(f"SELECT COUNT(*) FROM {data_table(feed.table)}").fetchone()[0]


def _load_all(settings, connection, feed, manifest):
    ranges = cycle.plan(settings, connection, feed, manifest, max_ranges=3)
    return [cycle.load(settings, connection, feed, one) for one in ranges]


def _committed(settings, feed):
    consumer = Consumer(consumer_config(settings.kafka, group_id=group_of(feed.name)))
    try:
        partitions = [TopicPartition(feed.topic.name, p) for p in range(feed.topic.partitions)]
        return {tp.partition: tp.offset for tp in consumer.committed(partitions, timeout=10) if tp.offset >= 0}
    finally:
        consumer.close()


def test_source_records_are_loaded_records_and_error_records(settings, connection, feed, delivered, bulk):
    results = _load_all(settings, connection, feed, delivered)
    assert len(results) == 3
    assert sum(result.records for result in results) == 200 == _rows(connection, feed)
    errors = {message.headers["correlationId"] for message in bulk.read_topic(feed.topic.error_topic)}
    assert delivered.source_records == 200 + len(errors) == 202
    assert validate_delivery(connection, feed, delivered).failures == ()


def test_the_groups_offsets_follow_the_load(settings, connection, feed, delivered):
    _load_all(settings, connection, feed, delivered)
    assert _committed(settings, feed) == read_checkpoints(connection, feed.name, feed.topic.name)


def test_steps_that_are_repeated_change_nothing(settings, connection, feed, delivered, bulk):
    ranges = cycle.plan(settings, connection, feed, delivered)
    for one in ranges:
        cycle.load(settings, connection, feed, one)
    assert cycle.plan(settings, connection, feed, delivered) == ()
    for one in ranges:
        assert cycle.load(settings, connection, feed, one).records == 0
    again = bulk.produce(feed, bulk.land(feed.name, bulk.text(_content(bulk))))
    assert again.delivery_id == delivered.delivery_id
    results = _load_all(settings, connection, feed, again)
    assert sum(result.records for result in results) == 0
    assert sum(result.duplicate_batches for result in results) == again.batches
    assert _rows(connection, feed) == 200


def _content(bulk):
    records = bulk.lines("positions")[:200]
    return [*records[:70], b"bad", b"{}", *records[70:]]


def test_two_loaders_of_the_same_ranges_load_each_record_once(settings, connection, feed, delivered):
    ranges = cycle.plan(settings, connection, feed, delivered, max_ranges=2)

    def load(one):
        with open_warehouse(settings.warehouse) as own:
            return cycle.load(settings, own, feed, one)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(load, [*ranges, *ranges]))
    assert sum(result.records for result in results) == 200 == _rows(connection, feed)


def test_a_lost_race_is_run_again_from_the_new_checkpoint(settings, connection, feed, delivered, monkeypatch):
    monkeypatch.setattr(cycle, "LOST_RACE_WAIT", 0.01)
    real, lost = cycle.load_batches, []

    def first_loses(*arguments, **more):
        if not lost:
            lost.append(True)
            raise LostRaceError("somebody else")
        return real(*arguments, **more)

    monkeypatch.setattr(cycle, "load_batches", first_loses)
    (one,) = cycle.plan(settings, connection, feed, delivered, max_ranges=1)
    assert cycle.load(settings, connection, feed, one).records == 200


def test_what_was_loaded_before_a_race_was_lost_is_counted(settings, connection, feed, delivered, monkeypatch):
    monkeypatch.setattr(cycle, "LOST_RACE_WAIT", 0.01)
    real, chunks = cycle.load_batches, []

    def loses_the_third_chunk(*arguments, **more):
        def on_step(step):
            if step is Step.STAGED:
                chunks.append(step)
                if len(chunks) == 3:
                    raise LostRaceError("somebody else")

        return real(*arguments, on_step=on_step, **more)

    monkeypatch.setattr(cycle, "load_batches", loses_the_third_chunk)
    (one,) = cycle.plan(settings, connection, feed, delivered, max_ranges=1)
    result = cycle.load(settings, connection, feed, one, policy=LoadPolicy(chunk_batches=1))
    assert (result.records, result.batches) == (200, delivered.batches)
    assert result.transactions == delivered.batches == len(chunks) - 1
    # Nothing is left, and that is what the next one says.
    assert cycle.load(settings, connection, feed, one).records == 0


def test_a_race_that_is_always_lost_is_given_up(settings, connection, feed, delivered, monkeypatch):
    monkeypatch.setattr(cycle, "LOST_RACE_WAIT", 0.01)

    def loses(*_arguments, **_more):
        raise LostRaceError("somebody else")

    monkeypatch.setattr(cycle, "load_batches", loses)
    (one,) = cycle.plan(settings, connection, feed, delivered, max_ranges=1)
    with pytest.raises(LostRaceError):
        cycle.load(settings, connection, feed, one)


def test_a_message_that_cannot_be_decoded_goes_to_the_error_topic_and_the_rest_is_loaded(
    settings, connection, feed, bulk
):
    records = bulk.lines("positions")[:100]
    producer = Producer(producer_config(settings.kafka))
    headers = BatchHeaders("broken-1", feed.name, DAY, Cycle.EOD, "broken", 0, 5, "broken.jsonl", AVRO)
    for partition in range(feed.topic.partitions):
        producer.produce(feed.topic.name, b"no wire format", partition=partition, headers=headers.to_kafka())
        producer.produce(feed.topic.name, b"no headers", partition=partition, headers=[("feed", feed.name.encode())])
    producer.close()
    manifest = bulk.produce(feed, bulk.land(feed.name, bulk.text(records)))

    results = _load_all(settings, connection, feed, manifest)
    assert sum(result.records for result in results) == 100 == _rows(connection, feed)
    errors = bulk.read_topic(feed.topic.error_topic)
    broken = [message for message in errors if message.value == b"no wire format"]
    assert broken[0].headers["correlationId"] == "broken-1"
    assert broken[0].headers["errorCode"] == "CorruptBatchError"
    assert broken[0].headers["sourceFile"] == "broken.jsonl"
    headless = [message for message in errors if message.value == b"no headers"]
    assert len(headless) == len(manifest.partitions)
    assert "no correlationId header" in headless[0].headers["reason"]


def test_a_delivery_that_was_stopped_does_not_stand_in_the_way_of_the_corrected_one(settings, connection, feed, bulk):
    strict = replace(feed, errors=ErrorLimit(0, 0))
    records = bulk.lines("positions")[:100]
    with pytest.raises(ErrorLimitExceededError):
        bulk.produce(strict, bulk.land(feed.name, bulk.text([*records[:-1], b"bad"])))
    assert cycle.delivered(settings, strict, DAY) is None
    manifest = bulk.produce(strict, bulk.land(feed.name, bulk.text(records)))
    _load_all(settings, connection, strict, manifest)
    assert validate_delivery(connection, strict, manifest).failures == ()


def test_checkpoints_beyond_a_topic_that_was_made_anew_are_told(settings, connection, feed, delivered):
    _load_all(settings, connection, feed, delivered)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {CONSUMER_CHECKPOINT} SET NEXT_OFFSET = 1000000 WHERE TOPIC = '{feed.topic.name}'")
    with pytest.raises(ConfigurationError, match="the topic was made anew"):
        cycle.plan(settings, connection, feed, delivered)


def test_a_delivery_is_kept_as_long_as_the_topic_has_all_of_it(settings, feed, delivered):
    assert cycle.is_kept(settings, feed, delivered)
    later = [replace(held, end_offset=held.end_offset + 10_000) for held in delivered.partitions]
    assert not cycle.is_kept(settings, feed, replace(delivered, partitions=tuple(later)))
