from __future__ import annotations

import pickle

import pytest
from confluent_kafka import KafkaError, KafkaException

from feedline.errors import (
    AuthenticationError,
    BrokerUnavailableError,
    ConfigurationError,
    OffsetsExpiredError,
    RecordTooLargeError,
    RetriableError,
    TerminalError,
    UnknownFeedError,
)
from feedline.kafka.errors import fatal_reason, translate


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError._AUTHENTICATION, AuthenticationError),
        (KafkaError.SASL_AUTHENTICATION_FAILED, AuthenticationError),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, AuthenticationError),
        (KafkaError._TRANSPORT, BrokerUnavailableError),
        (KafkaError._MSG_TIMED_OUT, BrokerUnavailableError),
        (KafkaError.NOT_ENOUGH_REPLICAS, BrokerUnavailableError),
        (KafkaError.FENCED_LEADER_EPOCH, BrokerUnavailableError),
        (KafkaError.UNKNOWN_LEADER_EPOCH, BrokerUnavailableError),
        (KafkaError._NOENT, BrokerUnavailableError),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, ConfigurationError),
        (KafkaError.MSG_SIZE_TOO_LARGE, RecordTooLargeError),
        (KafkaError.OFFSET_OUT_OF_RANGE, OffsetsExpiredError),
        (KafkaError._QUEUE_FULL, RetriableError),
        (KafkaError._FENCED, TerminalError),
        (KafkaError._PURGE_QUEUE, TerminalError),
    ],
)
def test_each_kafka_error_has_one_meaning(code, kind):
    assert type(translate(KafkaError(code))) is kind


def test_a_fatal_error_is_never_called_retriable():
    error = KafkaError(KafkaError._TRANSPORT, "gone", fatal=True)
    assert isinstance(translate(error), TerminalError)


def test_an_unlisted_error_follows_the_clients_own_flag():
    assert isinstance(translate(KafkaError(KafkaError.UNKNOWN, "?", retriable=True)), RetriableError)
    assert isinstance(translate(KafkaError(KafkaError.UNKNOWN, "?", retriable=False)), TerminalError)


def test_the_place_and_the_brokers_words_survive_between_processes():
    error = translate(KafkaException(KafkaError(KafkaError._TRANSPORT, "no route")), topic="T", partition=3)
    again = pickle.loads(pickle.dumps(error))
    assert "no route" in str(again)
    assert (again.where.topic, again.where.partition) == ("T", 3)


def test_an_error_that_is_ours_already_stays_itself():
    ours = UnknownFeedError("no feed", feed="x")
    assert translate(ours) is ours


def test_why_a_transactional_producer_failed_is_waited_for():
    """It has refused a message for a fatal error that its own thread has not taken down yet."""
    refused = KafkaException(KafkaError(KafkaError._FATAL))
    fenced = KafkaException(KafkaError(KafkaError._FENCED, fatal=True))

    class Busy:
        def abort_transaction(self, timeout: float) -> None:
            raise fenced if timeout >= 1 else KafkaException(KafkaError(KafkaError._TIMED_OUT, retriable=True))

    assert fatal_reason(Busy(), refused) is fenced
    other = KafkaException(KafkaError(KafkaError._QUEUE_FULL))
    assert fatal_reason(Busy(), other) is other
