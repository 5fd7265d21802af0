"""A producer that never answers, or can do nothing any more, costs bulk entry that producer, and no event."""

from __future__ import annotations

import threading

import pytest
from confluent_kafka import KafkaError, KafkaException, Message
from tests.unit.orders.bulk_parts import Transactions, World

from feedline.kafka.errors import fatal_reason
from feedline.orders.bulk.delays import read_delay
from feedline.orders.bulk.lane import LanePolicy
from feedline.orders.bulk.service import BulkPolicy


class Stuck(Transactions):
    """Waits for a coordinator that is away, whatever the timeout: librdkafka's issue 5456."""

    def __init__(self, broker):
        super().__init__(broker)
        self.back, self.returned = threading.Event(), threading.Event()

    def send_offsets_to_transaction(self, offsets, group, left):
        self.back.wait(60)
        super().send_offsets_to_transaction(offsets, group, left)
        self.returned.set()


def failure_of(one, producer):
    """Of the first step with something to publish, by that producer."""
    one.client.assign_later(0)
    one.step()
    one.client.fetch(0)
    with pytest.raises(KafkaException) as failure:
        one.entry._step(one.client, producer)
    return failure.value


def test_a_transaction_whose_offsets_are_never_taken_is_done_again_by_another_producer(monkeypatch, tmp_path):
    one = World(monkeypatch, tmp_path)
    lane = LanePolicy(read_delay("0"))
    one.entry._policy = BulkPolicy(lane=lane, linger_s=0.0, idle_commit_s=1e-9, transaction_s=0.2)
    stuck, one.transactions = Stuck(one.broker), Transactions(one.broker)
    one.transactions.init_transactions = lambda _left: None
    monkeypatch.setattr(one.entry, "_producer", lambda: one.transactions)
    failure = failure_of(one, stuck)
    assert one.entry._renewed(failure, one.client) is one.transactions
    stuck.back.set()
    assert stuck.returned.wait(10)
    one.settle()
    assert one.is_well
    assert stuck.published == []


class Fenced(Transactions):
    """The broker has given its transaction up, which the client learns while more is handed to it: of a message it says
    only that it has failed (librdkafka's `_FATAL`), of the transaction why."""

    def produce(self, *_, **__):
        raise KafkaException(KafkaError(KafkaError._FATAL))

    def abort_transaction(self, _left):
        raise KafkaException(KafkaError(KafkaError._FENCED, fatal=True))


def test_a_producer_that_was_given_up_before_all_was_handed_over_is_replaced(monkeypatch, tmp_path):
    one = World(monkeypatch, tmp_path)
    one.transactions.init_transactions = lambda _left: None
    monkeypatch.setattr(one.entry, "_producer", lambda: one.transactions)
    fenced = Fenced(one.broker)
    failure = failure_of(one, fenced)
    # It slept with its transaction open for longer than the broker lets it.
    one.entry._begun_at -= 2 * one.entry._policy.transaction_s
    assert one.entry._renewed(fatal_reason(fenced, failure), one.client) is one.transactions
    one.settle()
    assert one.is_well


def test_a_producer_whose_place_another_took_is_not_replaced(monkeypatch, tmp_path):
    one = World(monkeypatch, tmp_path)
    fenced = Fenced(one.broker)
    failure = failure_of(one, fenced)
    with pytest.raises(KafkaException) as told:
        one.entry._renewed(fatal_reason(fenced, failure), one.client)
    assert told.value.args[0].code() == KafkaError._FENCED


class Concluding(Transactions):
    """Reports the first of its messages as librdkafka does when a later one was taken: delivered, and nowhere."""

    entry = None

    def flush(self, left):
        if self.entry is not None and self.open:
            self.entry._reported(None, Message(topic="orders.out", partition=0))
            self.entry = None
        return super().flush(left)


def test_a_transaction_with_a_message_that_no_broker_has_acknowledged_is_done_again(monkeypatch, tmp_path):
    one = World(monkeypatch, tmp_path)
    one.transactions = Concluding(one.broker)
    one.transactions.entry = one.entry
    one.client.assign_later(0)
    one.step()
    one.client.fetch(0)
    one.step()
    assert one.transactions.published == []
    assert one.transactions.entry is None
    one.settle()
    assert one.is_well
