"""A span is read to the end that was asked for, whatever the partition's end is said to be on the way."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError
from tests.unit.consumer.scripted_client import TOPIC, Message

from feedline.consumer import spans
from feedline.consumer.spans import read_spans
from feedline.errors import BrokerUnavailableError


def end(offset, partition=0):
    return Message(partition, offset, KafkaError(KafkaError._PARTITION_EOF))


def messages(*offsets, partition=0):
    return [Message(partition, offset) for offset in offsets]


class Client:
    """In place of Kafka's: each call gives the next of what is written down, then nothing."""

    def __init__(self, calls):
        self.calls = list(calls)
        self.closed = False

    def assign(self, _places):
        pass

    def consume(self, _count, timeout):
        return self.calls.pop(0) if self.calls else []

    def close(self):
        self.closed = True


@pytest.fixture
def read(monkeypatch):
    def run(calls, asked):
        client = Client(calls)
        monkeypatch.setattr(spans, "Consumer", lambda _config: client)
        try:
            return [(m.partition(), m.offset()) for m in read_spans({}, TOPIC, asked, group="g", timeout_s=0.01)]
        finally:
            assert client.closed

    return run


def test_an_end_that_is_told_too_early_is_passed(read):
    """As by a leader that is new, and does not know yet how far its followers have come."""
    calls = [[*messages(0, 1, 2), end(3)], messages(3, 4), [*messages(5), end(6)]]
    assert read(calls, {0: (0, 6)}) == [(0, offset) for offset in range(6)]


def test_of_an_end_that_stays_short_it_is_told_how_far_the_reading_came(read):
    with pytest.raises(BrokerUnavailableError, match="stands at offset 3, and was to go on to 6") as caught:
        read([[*messages(0, 1, partition=1), *messages(0, 1, 2), end(3), end(2, partition=1)]], {0: (0, 6), 1: (0, 2)})
    assert (caught.value.where.partition, caught.value.where.offset) == (0, 3)


@pytest.mark.parametrize(
    "calls",
    [
        # Markers of transactions, or what was aborted, lie before the end.
        [[*messages(0, 1, 2), end(6)]],
        # What lay there is compacted away, and something lies behind.
        [messages(0, 1, 2, 9)],
        [[end(6)]],
    ],
)
def test_offsets_without_a_message_are_passed_at_once(read, calls):
    assert read(calls, {0: (0, 6)}) == [(0, m.offset()) for m in calls[0] if not m.error() and m.offset() < 6]
