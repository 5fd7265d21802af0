"""A producer that never answers, or can do nothing any more, costs bulk entry that producer, and no event."""

from __future__ import annotations

import threading

import pytest
from confluent_kafka import KafkaError, KafkaException, Message
from tests.unit.orders.bulk_parts import TransactionalProducer, World


class Stuck(TransactionalProducer):
    """With something to publish it waits for a coordinator that is away, whatever the timeout: librdkafka's issue
    5456."""

    def __init__(self, broker):
        super().__init__(broker)
        self.back, self.returned = threading.Event(), threading.Event()

    def send_offsets_to_transaction(self, offsets, group, left):
        waited = bool(self.open) and self.back.wait(60)
        super().send_offsets_to_transaction(offsets, group, left)
        if waited:
            self.returned.set()


def first_failure(one):
    """Of the first step with something to publish."""
    one.client.assign_later(0)
    one.step()
    one.client.fetch(0)
    with pytest.raises(KafkaException) as failure:
        one.step()
    return failure.value


def test_a_transaction_whose_offsets_are_never_taken_is_done_again_by_another_producer(monkeypatch, tmp_path):
    one = World(monkeypatch, tmp_path, producers=(Stuck, TransactionalProducer), transaction_s=0.2)
    stuck, other = one.producers
    one.transactions.renew(first_failure(one))
    one.entry._begin_again(one.client)
    stuck.back.set()
    assert stuck.returned.wait(10)
    one.settle()
    assert one.is_well
    assert stuck.published == []
    assert other.published


class Fenced(TransactionalProducer):
    """The broker has given its transaction up, which the client learns while more is handed to it: of a message it says
    only that it has failed (librdkafka's `_FATAL`), of the transaction why."""

    def produce(self, *_, **__):
        raise KafkaException(KafkaError(KafkaError._FATAL))

    def abort_transaction(self, _left):
        raise KafkaException(KafkaError(KafkaError._FENCED, fatal=True))


def test_a_producer_that_was_given_up_before_all_was_handed_over_is_replaced(monkeypatch, tmp_path):
    # It sleeps with its transaction open for longer than the broker lets it.
    one = World(monkeypatch, tmp_path, producers=(Fenced, TransactionalProducer), transaction_s=1e-6)
    one.transactions.renew(first_failure(one))
    one.entry._begin_again(one.client)
    one.settle()
    assert one.is_well


def test_a_producer_whose_place_another_took_is_not_replaced(monkeypatch, tmp_path):
    one = World(monkeypatch, tmp_path, producers=(Fenced,))
    with pytest.raises(KafkaException) as told:
        one.transactions.renew(first_failure(one))
    assert told.value.args[0].code() == KafkaError._FENCED


class Concluding(TransactionalProducer):
    """Reports the first of its messages as librdkafka does when a later one was taken: delivered, and nowhere."""

    concluded = False

    def flush(self, left):
        if self.open and not self.concluded:
            self.concluded = True
            self.on_delivery(None, Message(topic="orders.out", partition=0))
        return super().flush(left)


def test_a_transaction_with_a_message_that_no_broker_has_acknowledged_is_done_again(monkeypatch, tmp_path):
    one = World(monkeypatch, tmp_path, producers=(Concluding,))
    one.client.assign_later(0)
    one.step()
    one.client.fetch(0)
    one.step()
    assert one.published == []
    assert one.producers[0].concluded
    one.settle()
    assert one.is_well
