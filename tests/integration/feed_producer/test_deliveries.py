"""Deliveries that are produced record by record end with a manifest that says exactly what lies on the topic."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pytest

from feedline.batch.control_totals import add_exact
from feedline.batch.identity import Cycle
from feedline.batch.manifest import MANIFEST_PARTITION, decode_manifest
from feedline.batch.row_check import check_record
from feedline.catalog import BatchRule
from feedline.errors import BrokerUnavailableError, ControlMismatchError, UnknownFeedError

WAIT = 30
DAY = date(2026, 11, 20)
POSITIONS = {"feed": "positions", "businessDate": DAY.isoformat()}


def test_the_manifest_counts_and_totals_are_those_of_the_topic(feeds, lines):
    small = feeds.changed("positions", batch=BatchRule(max_records=7))
    producer = small.producer(**{"feedline.cycle": "EOD", "feedline.delivery.id": "positions-by-hand"})
    records = lines("positions")
    for line in records:
        producer.produce(small.topic, line, headers=POSITIONS)
    manifest = producer.complete_delivery("positions", business_date=DAY, records=len(records), timeout=WAIT)

    [message] = small.read(manifests=True)
    assert message.partition == MANIFEST_PARTITION
    assert decode_manifest(message.value) == manifest
    assert (message.headers["batchIndex"], message.headers["recordCount"]) == ("-1", "0")
    assert (manifest.delivery_id, manifest.business_date, manifest.cycle) == ("positions-by-hand", DAY, Cycle.EOD)
    assert (manifest.records, manifest.source_records, manifest.error_records) == (len(records), len(records), 0)
    assert manifest.raw_bytes == sum(map(len, records))

    landed = small.read()
    assert manifest.batches == len(landed)
    held = Counter(m.partition for m in landed)
    for span in manifest.partitions:
        offsets = [m.offset for m in landed if m.partition == span.partition]
        assert (span.first_offset, span.end_offset) == (min(offsets), max(offsets) + 1)
        assert span.batches == held.pop(span.partition)
    assert not held

    values = [check_record(line, small.feed("positions").schema) for line in records]
    assert manifest.control_totals["quantity"] == add_exact(v["quantity"] for v in values)
    assert {fund.fund: fund.records for fund in manifest.funds} == Counter(v["fund_id"] for v in values)
    assert add_exact(f.control_totals["quantity"] for f in manifest.funds) == manifest.control_totals["quantity"]


def test_a_delivery_that_is_not_whole_is_not_completed(feeds, lines, outcomes):
    heard = outcomes()
    slow = feeds.changed("positions", batch=BatchRule(max_age_s=600))
    producer = slow.producer()
    first, second = lines("positions")[:2]
    producer.produce(slow.topic, first, headers=POSITIONS, on_delivery=heard)
    producer.purge()
    producer.produce(slow.topic, second, headers=POSITIONS, on_delivery=heard)
    with pytest.raises(ControlMismatchError, match="1 of 2 records are acknowledged"):
        producer.complete_delivery("positions", business_date=DAY, timeout=WAIT)
    producer.produce(slow.topic, first, headers=POSITIONS)
    assert producer.complete_delivery("positions", business_date=DAY, records=2, timeout=WAIT).records == 2
    with pytest.raises(ControlMismatchError, match="2 of 3"):
        producer.complete_delivery("positions", business_date=DAY, records=3, timeout=WAIT)
    assert len(slow.read(manifests=True)) == 1


def test_a_delivery_that_is_not_acknowledged_yet_says_so(feeds, lines):
    nowhere = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0, "delivery.timeout.ms": 5_000}
    producer = feeds.producer(**nowhere)
    producer.produce(feeds.topic, lines("positions")[0], headers=POSITIONS)
    with pytest.raises(BrokerUnavailableError, match="complete it later"):
        producer.complete_delivery("positions", business_date=DAY, timeout=0.1)
    producer.purge()
    producer.poll(WAIT)


def test_an_unknown_feed_has_no_delivery(feeds):
    with pytest.raises(UnknownFeedError):
        feeds.producer().complete_delivery("nosuch")
