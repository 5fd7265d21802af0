"""What is waited for is acknowledged or told as a failure; the producer is a stand-in that reports as it is told."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from feedline.errors import AuthenticationError, BrokerUnavailableError
from feedline.kafka.acknowledged import AcknowledgedSender

TAKEN = (None, {"offset": 7})
UNPROVEN = (None, {})
REFUSED = (KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), {})


class Reporting:
    """Reports one message a poll; room: messages it holds at most."""

    def __init__(self, *reports, room=10):
        self.reports, self.room, self.open, self.sent = list(reports), room, [], []

    def produce(self, topic, value, key, *, headers, on_delivery):
        if len(self.open) == self.room:
            raise BufferError("queue full")
        self.sent.append((topic, value, key, headers))
        self.open.append(on_delivery)

    def poll(self, _timeout):
        # What is polled for while it is handed over is not due yet.
        if self.reports and self.open and _timeout:
            error, place = self.reports.pop(0)
            self.open.pop(0)(error, Message(topic="t", partition=0, **place))


def test_all_that_was_handed_over_is_acknowledged():
    sender = AcknowledgedSender(Reporting(TAKEN, TAKEN), "t")
    sender.send(b"1", b"k", [("h", b"v")])
    sender.send(b"2")
    sender.settle()
    assert sender.acknowledged == 2
    assert sender._producer.sent == [("t", b"1", b"k", [("h", b"v")]), ("t", b"2", None, [])]


@pytest.mark.parametrize(
    ("report", "raised"),
    [(UNPROVEN, BrokerUnavailableError), (REFUSED, AuthenticationError)],
    ids=["unproven", "refused"],
)
def test_one_that_no_broker_is_known_to_have_fails_all(report, raised):
    sender = AcknowledgedSender(Reporting(TAKEN, report, TAKEN), "t", feed="positions")
    for value in (b"1", b"2", b"3"):
        sender.send(value)
    with pytest.raises(raised) as told:
        sender.settle()
    assert (told.value.where.topic, told.value.where.feed) == ("t", "positions")
    assert sender.acknowledged == 2


def test_a_failure_is_told_once():
    sender = AcknowledgedSender(Reporting(UNPROVEN, TAKEN), "t")
    sender.send(b"1")
    with pytest.raises(BrokerUnavailableError):
        sender.settle()
    sender.send(b"1")
    sender.settle()
    assert sender.acknowledged == 1


def test_a_full_queue_is_waited_for():
    sender = AcknowledgedSender(Reporting(*[TAKEN] * 3, room=1), "t")
    for value in (b"1", b"2", b"3"):
        sender.send(value)
    sender.settle()
    assert [value for _, value, _, _ in sender._producer.sent] == [b"1", b"2", b"3"]


def test_a_refused_message_is_not_waited_for():
    class Refusing(Reporting):
        def produce(self, *_, **__):
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))

    sender = AcknowledgedSender(Refusing(), "t")
    with pytest.raises(Exception, match="too large"):
        sender.send(b"x")
    sender.settle()


def test_a_broker_that_is_away_is_told_by_the_client_itself():
    producer = Producer(
        {"bootstrap.servers": "127.0.0.1:1", "delivery.timeout.ms": 200, "linger.ms": 0, "log_level": 0}
    )
    sender = AcknowledgedSender(producer, "t")
    sender.send(b"1")
    with pytest.raises(BrokerUnavailableError):
        sender.settle()


def test_what_is_due_after_the_time_given_is_told():
    sender = AcknowledgedSender(Reporting(), "t")
    sender.send(b"1")
    with pytest.raises(BrokerUnavailableError, match="1 messages were not acknowledged"):
        sender.settle(0.01)
