from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedline.batch.identity import Cycle, Delivery
from feedline.catalog import BatchRule, Feed, Topic, Volume
from feedline.producer.accumulator import MAX_OPEN, Accumulator, CompressionEstimate
from feedline.producer.feed_record import Lane
from feedline.producer.row_encoder import EncodedRecord

SCHEMA = {
    "type": "record",
    "name": "R",
    "businessKeys": ["a"],
    "fields": [{"name": "a", "type": "string"}],
}
DAY = date(2026, 11, 20)
MESSAGE_BYTES = 10_000


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


DEFAULT = BatchRule()


def lane(rule=DEFAULT, **changes):
    feed = Feed(name="rr", title="R", topic=Topic("T"), schema=SCHEMA, volume=Volume(1, 1), batch=rule)
    return replace(Lane(feed, Delivery("rr", DAY, Cycle.EOD, "d"), "s"), **changes)


def record(size=100, group=None):
    return EncodedRecord(b"x" * size, None, size, group)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def accumulator(clock):
    return Accumulator(clock, lambda _: MESSAGE_BYTES)


def add(accumulator, at, *records):
    closed = []
    for one in records:
        closed += accumulator.add(at, one, None, None)[0]
    return [len(batch.records) for batch in closed]


def test_a_batch_closes_when_it_has_the_most_records(accumulator):
    at = lane(BatchRule(max_records=3))
    assert add(accumulator, at, *[record()] * 7) == [3, 3]
    assert [len(batch.records) for batch in accumulator.close_all()] == [1]
    assert accumulator.empty


def test_a_batch_closes_at_its_target_as_far_as_that_can_be_estimated(accumulator):
    at = lane(BatchRule(target_bytes=1024))
    assert add(accumulator, at, *[record(4096)] * 2) == [2]
    accumulator.estimate("rr").learn(bytes(range(256)) * 4)
    assert accumulator.estimate("rr").ratio > 0.2
    assert add(accumulator, at, *[record(4096)] * 2) == [1, 1]


def test_the_estimate_follows_the_data():
    estimate = CompressionEstimate()
    for _ in range(40):
        estimate.learn(b"a" * 10_000)
    assert estimate.ratio < 0.01


def test_no_batch_outgrows_a_message(accumulator):
    at = lane(BatchRule(target_bytes=1 << 20))
    assert add(accumulator, at, *[record(4_000)] * 5) == [2, 2]


def test_a_full_batch_waits_for_the_end_of_its_group(accumulator):
    at = lane(BatchRule(max_records=2, group_by="a"))
    groups = ["x", "x", "x", "y", "z", "z", "z", "x"]
    assert add(accumulator, at, *[record(group=group) for group in groups]) == [3, 4]


def test_a_group_larger_than_a_message_is_split_rather_than_lost(accumulator):
    at = lane(BatchRule(max_records=1, group_by="a"))
    assert add(accumulator, at, *[record(4_000, "x")] * 5) == [2, 2]


def test_age_closes_the_oldest_first_and_tells_when_to_look_again(accumulator, clock):
    young, old = lane(BatchRule(max_age_s=5)), lane(BatchRule(max_age_s=2), source_file="other")
    assert accumulator.seconds_to_next() is None
    assert accumulator.add(young, record(), None, None)[1] is True
    assert accumulator.add(young, record(), None, None)[1] is False
    accumulator.add(old, record(), None, None)
    assert accumulator.seconds_to_next() == 2
    clock.now = 2.0
    assert [batch.lane for batch in accumulator.close_due()] == [old]
    assert accumulator.seconds_to_next() == 3
    clock.now = 9.0
    assert accumulator.seconds_to_next() == 0
    assert [len(batch.records) for batch in accumulator.close_due()] == [2]


def test_a_record_with_its_own_correlation_id_travels_alone(accumulator):
    assert add(accumulator, lane(correlation_id="mine"), record(), record()) == [1, 1]


def test_abandoned_lanes_do_not_gather(accumulator):
    closed = [add(accumulator, lane(source_file=str(number)), record()) for number in range(MAX_OPEN + 3)]
    assert sum(map(len, closed)) == 3
    assert len(accumulator.close_all()) == MAX_OPEN


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9_000)), max_size=80), st.integers(1, 10))
def test_every_record_leaves_once_in_its_lane_and_in_order(given_records, most):
    accumulator = Accumulator(Clock(), lambda _: MESSAGE_BYTES)
    lanes = [lane(BatchRule(max_records=most), partition=number) for number in range(4)]
    batches = []
    for number, (at, size) in enumerate(given_records):
        one = EncodedRecord(str(number).encode() + b"," * size, None, size)
        batches += accumulator.add(lanes[at], one, None, None)[0]
    batches += accumulator.close_all()
    for at, chosen in enumerate(lanes):
        left = [r.avro for batch in batches if batch.lane == chosen for r in batch.records]
        expected = [number for number, (place, _) in enumerate(given_records) if place == at]
        assert [int(body.split(b",")[0]) for body in left] == expected
    assert all(batch.bytes <= MESSAGE_BYTES for batch in batches)
    assert all(0 < len(batch.records) <= most for batch in batches)
