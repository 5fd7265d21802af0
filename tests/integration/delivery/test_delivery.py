"""A delivery through the bulk path: what its manifest says is what lies on the topic."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from feedline import cycle
from feedline.batch.codec import codec_for
from feedline.batch.manifest import MANIFEST_PARTITION, decode_manifest
from feedline.batch.wire import PREFIX_BYTES
from feedline.catalog import load_catalog
from feedline.datagen import generate_day
from feedline.errors import BrokerUnavailableError, RecordTooLargeError, RegistryUnavailableError, TerminalError
from feedline.kafka.admin import admin_client, ensure_topics
from feedline.kafka.registry import registry_client
from feedline.producer import delivery_sender
from feedline.producer.delivery import BulkPolicy, produce_delivery
from feedline.producer.source_files import find_source

DAY = date(2026, 11, 20)


def _batches(messages):
    return [m for m in messages if not m.is_manifest]


def test_the_manifest_says_what_lies_on_the_topic(bulk, positions):
    records = bulk.lines("positions")
    feed = replace(positions, batch=replace(positions.batch, max_records=25))
    manifest = bulk.produce(feed, bulk.land("positions", bulk.text(records[:250]), bulk.text(records[250:])))
    found = bulk.read_topic(feed.topic.name)
    batches = _batches(found)

    assert manifest.batches == len(batches)
    assert manifest.records == manifest.source_records == len(records)
    assert sum(int(m.headers["recordCount"]) for m in batches) == len(records)
    by_partition = defaultdict(list)
    for message in batches:
        by_partition[message.partition].append(message)
    assert {p.partition for p in manifest.partitions} == set(by_partition)
    for held in manifest.partitions:
        offsets = [m.offset for m in by_partition[held.partition]]
        assert (held.first_offset, held.end_offset) == (min(offsets), max(offsets) + 1)
        assert held.batches == len(offsets)
        # An estimate of the compressed bytes: what is there, and smaller than as it was.
        assert 0 < held.bytes < sum(len(m.value) for m in by_partition[held.partition])
    (sent,) = [m for m in found if m.is_manifest]
    assert sent.partition == MANIFEST_PARTITION
    assert decode_manifest(sent.value) == manifest


def test_control_totals_are_exact_by_file_and_by_fund(bulk, positions):
    records = bulk.lines("positions")
    parsed = [json.loads(line, parse_float=Decimal, parse_int=Decimal) for line in records]
    manifest = bulk.produce(positions, bulk.land("positions", bulk.text(records[:150]), bulk.text(records[150:])))

    def value(record, path):
        for name in path.split("."):
            record = record[name]
        return record

    for path in positions.control_totals:
        assert manifest.control_totals[path] == sum(value(r, path) for r in parsed)
        assert manifest.files[0].control_totals[path] == sum(value(r, path) for r in parsed[:150])
    funds = Counter(record["fund_id"] for record in parsed)
    assert {f.fund: f.records for f in manifest.funds} == funds
    for fund in manifest.funds:
        total = sum(r["market_value_base"] for r in parsed if r["fund_id"] == fund.fund)
        assert fund.control_totals["market_value_base"] == total


def test_every_feed_of_a_generated_day_is_produced_whole(bulk, topics, settings, day):
    settings = replace(settings, landing=day)
    for feed in topics.feeds.values():
        source = find_source(day, feed.name, DAY)
        manifest = cycle.produce(settings, feed, DAY)
        assert (manifest.records, manifest.error_records) == (source.control.records, 0)
        assert {path: manifest.control_totals[path] for path in feed.control_totals} == source.control.control_totals


def test_messages_are_read_by_confluents_own_avro_deserializer(bulk, positions, settings):
    bulk.produce(positions, bulk.land("positions", bulk.text(bulk.lines("positions")[:40])))
    deserialize = AvroDeserializer(registry_client(settings.registry))
    context = SerializationContext(positions.topic.name, MessageField.VALUE)
    found = [
        record
        for m in _batches(bulk.read_topic(positions.topic.name))
        for record in deserialize(m.value, context)["records"]
    ]
    said = [json.loads(line, parse_float=Decimal, parse_int=Decimal) for line in bulk.lines("positions")[:40]]
    assert sorted(r["position_id"] for r in found) == sorted(r["position_id"] for r in said)
    assert {r["position_id"]: r["market_value_base"] for r in found} == {
        r["position_id"]: r["market_value_base"] for r in said
    }


def test_a_json_feed_is_read_by_confluents_own_json_deserializer(bulk, topics, settings):
    feed = topics.feed("snapshots")
    bulk.produce(feed, bulk.land("snapshots", bulk.text(bulk.lines("snapshots"))))
    deserialize = JSONDeserializer(None, schema_registry_client=registry_client(settings.registry))
    context = SerializationContext(feed.topic.name, MessageField.VALUE)
    found = [r for m in _batches(bulk.read_topic(feed.topic.name)) for r in deserialize(m.value, context)["records"]]
    assert found == [json.loads(line) for line in bulk.lines("snapshots")]


def test_a_batch_does_not_split_a_group(bulk, topics):
    feed = topics.feed("ledger_balances")
    assert feed.batch.group_by == "fund_id"
    feed = replace(feed, batch=replace(feed.batch, max_records=30))
    records = bulk.lines("ledger_balances")
    bulk.produce(feed, bulk.land("ledger_balances", bulk.text(records)), policy=BulkPolicy(block_bytes=50_000))
    funds_of = [
        set(codec_for(feed.schema).decode([m.value[PREFIX_BYTES:]]).column("fund_id").to_pylist())
        for m in _batches(bulk.read_topic(feed.topic.name))
    ]
    seen = Counter(fund for funds in funds_of for fund in funds)
    assert len(seen) == 2
    assert set(seen.values()) == {1}


def test_a_batch_too_large_for_a_message_is_sent_in_parts(bulk, topics, settings):
    feed = topics.feed("ledger_balances")
    small = replace(feed, topic=replace(feed.topic, max_message_bytes=16 * 1024 + 20_000))
    records = bulk.lines("ledger_balances")
    manifest = bulk.produce(small, bulk.land("ledger_balances", bulk.text(records)))
    batches = _batches(bulk.read_topic(feed.topic.name))
    assert len({m.headers["correlationId"] for m in batches}) == len(batches) == manifest.batches
    assert max(len(m.value) for m in batches) <= 20_000
    assert sum(int(m.headers["recordCount"]) for m in batches) == len(records)


def test_a_full_days_positions_are_spread_within_a_tenth(topics, settings, tmp_path):
    generate_day(load_catalog(), business_date=DAY, funds=50, seed=5, out=tmp_path, feeds=["positions"])
    feed = topics.feed("positions")
    feed = replace(feed, topic=replace(feed.topic, partitions=80))
    ensure_topics(admin_client(settings.kafka), [feed.topic], settings.replication_factor)
    manifest = cycle.produce(replace(settings, landing=tmp_path), feed, DAY)
    sizes = [held.bytes for held in manifest.partitions]
    assert manifest.records == 10_000
    assert len(sizes) == 80
    assert max(sizes) <= 1.1 * min(sizes)


def test_what_one_delivery_puts_on_some_partitions_the_next_makes_up_for(topics, bulk):
    ledger, positions = topics.feed("ledger_balances"), topics.feed("positions")
    whole_funds = bulk.produce(ledger, bulk.land("ledger_balances", bulk.text(bulk.lines("ledger_balances"))))
    loaded = {held.partition for held in whole_funds.partitions}
    assert len(loaded) == 2
    manifest = bulk.produce(positions, bulk.land("positions", bulk.text(bulk.lines("positions"))))
    sizes = dict.fromkeys(range(positions.topic.partitions), 0)
    sizes |= {held.partition: held.bytes for held in manifest.partitions}
    most = max(size for partition, size in sizes.items() if partition in loaded)
    assert most < min(size for partition, size in sizes.items() if partition not in loaded)


KILLED = """
import sys, time
from datetime import date
from pathlib import Path
from feedline import cycle
from feedline.catalog import Catalog
from feedline.producer.delivery import BulkPolicy
import pickle
settings, feed = pickle.load(open(sys.argv[1], "rb"))
def progress(records, _):
    print(records, flush=True)
    time.sleep(0.2)
cycle.produce(settings, feed, date(2026, 11, 20), progress=progress,
    policy=BulkPolicy(threads=1, blocks_ahead=1, block_bytes=100_000))
"""


def test_a_produce_that_is_killed_and_repeated_brings_no_new_correlation_id(bulk, positions, settings, tmp_path):
    feed = replace(positions, batch=replace(positions.batch, max_records=10))
    bulk.land("positions", bulk.text(bulk.lines("positions")))
    killed = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(_pickled(tmp_path, settings, feed))], stdout=subprocess.PIPE
    )
    for line in killed.stdout:
        if int(line) > 100:
            break
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    killed.stdout.close()
    before = bulk.read_topic(feed.topic.name)
    assert before
    assert not any(m.is_manifest for m in before)

    manifest = cycle.produce(settings, feed, DAY)
    after = _batches(bulk.read_topic(feed.topic.name))
    assert len(after) == len(before) + manifest.batches
    content = defaultdict(set)
    for message in after:
        content[message.headers["correlationId"]].add(message.value)
    assert len(content) == manifest.batches
    assert all(len(values) == 1 for values in content.values())


def _pickled(folder: Path, settings, feed) -> Path:
    import pickle

    path = folder / "arguments"
    path.write_bytes(pickle.dumps((settings, feed)))
    return path


def test_another_number_of_partitions_does_not_change_the_batches(bulk, positions, settings):
    source = bulk.land("positions", bulk.text(bulk.lines("positions")))
    bulk.produce(positions, source)
    first = {m.headers["correlationId"]: m.value for m in _batches(bulk.read_topic(positions.topic.name))}
    ensure_topics(admin_client(settings.kafka), [replace(positions.topic, partitions=13)], settings.replication_factor)
    bulk.produce(positions, source)
    assert {m.headers["correlationId"]: m.value for m in _batches(bulk.read_topic(positions.topic.name))} == first


@pytest.mark.parametrize("policy", [BulkPolicy(1, 1, 5_000), BulkPolicy(4, 9, 100_000)])
def test_how_the_machine_is_used_does_not_change_the_batches(bulk, policy, positions):
    feed = replace(positions, batch=replace(positions.batch, max_records=10))
    source = bulk.land("positions", bulk.text(bulk.lines("positions")[:200]))
    bulk.produce(feed, source)
    first = {m.headers["correlationId"]: m.value for m in _batches(bulk.read_topic(feed.topic.name))}
    bulk.produce(feed, source, policy=policy)
    assert {m.headers["correlationId"]: m.value for m in _batches(bulk.read_topic(feed.topic.name))} == first


def test_no_thread_and_no_connection_is_left(bulk, positions):
    source = bulk.land("positions", bulk.text(bulk.lines("positions")[:50]))
    bulk.produce(positions, source)
    threads, python = _threads(), threading.active_count()
    for _ in range(3):
        bulk.produce(positions, source)
    assert threading.active_count() == python
    assert _threads() <= threads


def _threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def test_progress_ends_with_all_records_and_bytes(bulk, positions):
    content = bulk.text([*bulk.lines("positions"), b"bad"])
    told = []
    bulk.produce(positions, bulk.land("positions", content), progress=lambda *told_now: told.append(told_now))
    assert told[-1] == (len(bulk.lines("positions")) + 1, len(content))
    assert told == sorted(told)


def test_a_broker_that_is_away_is_an_error_that_may_pass(bulk, positions, settings, monkeypatch):
    monkeypatch.setattr(delivery_sender, "METADATA_SECONDS", 1.0)
    source = bulk.land("positions", bulk.text(bulk.lines("positions")[:5]))
    kafka = {**settings.kafka, "bootstrap.servers": "127.0.0.1:1"}
    with pytest.raises(BrokerUnavailableError):
        produce_delivery(positions, source, kafka=kafka, registry=settings.registry)


def test_a_message_that_the_broker_refuses_fails_the_delivery_and_no_manifest_follows(bulk, positions, settings):
    """It is told by a delivery report only, long after the call that queued the message has returned."""
    resource = ConfigResource(ConfigResource.Type.TOPIC, positions.topic.name)
    resource.add_incremental_config(
        ConfigEntry("max.message.bytes", "2000", incremental_operation=AlterConfigOpType.SET)
    )
    admin = admin_client(settings.kafka)
    admin.incremental_alter_configs([resource])[resource].result(30)
    with pytest.raises(RecordTooLargeError):
        bulk.produce(positions, bulk.land("positions", bulk.text(bulk.lines("positions")[:200])))
    assert not any(message.is_manifest for message in bulk.read_topic(positions.topic.name))


def test_a_registry_that_is_away_is_an_error_that_may_pass(bulk, positions, settings):
    source = bulk.land("positions", bulk.text(bulk.lines("positions")[:5]))
    with pytest.raises(RegistryUnavailableError):
        produce_delivery(positions, source, kafka=settings.kafka, registry={"url": "http://127.0.0.1:1"})


def test_a_topic_that_is_not_there_is_an_error_for_somebody(bulk, topics, settings):
    feed = topics.feed("positions")
    missing = replace(feed, topic=replace(feed.topic, name=f"{feed.topic.name}.MISSING"))
    with pytest.raises(TerminalError):
        bulk.produce(missing, bulk.land("positions", bulk.text(bulk.lines("positions")[:5])))


def test_a_batch_that_no_broker_is_known_to_have_is_sent_again_under_its_id(bulk, positions, monkeypatch):
    unproven = iter([False, True])
    monkeypatch.setattr(delivery_sender, "is_unproven", lambda *_: next(unproven, False))
    records = bulk.lines("positions")
    feed = replace(positions, batch=replace(positions.batch, max_records=25))
    manifest = bulk.produce(feed, bulk.land("positions", bulk.text(records)))
    found = _batches(bulk.read_topic(feed.topic.name))
    copies = Counter(message.headers["correlationId"] for message in found)
    assert sorted(copies.values()) == [1] * (manifest.batches - 1) + [2]
    assert manifest.records == len(records)
    assert sum(held.batches for held in manifest.partitions) == manifest.batches
