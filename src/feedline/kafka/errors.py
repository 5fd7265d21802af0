"""librdkafka's errors in our words: which may pass by themselves, and which need somebody."""

from __future__ import annotations

from typing import Any

from confluent_kafka import KafkaError

from feedline.errors import (
    AuthenticationError,
    BrokerUnavailableError,
    FeedlineError,
    OffsetsExpiredError,
    RecordTooLargeError,
    TerminalError,
)

_AUTHENTICATION = frozenset(
    {
        KafkaError._AUTHENTICATION,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError.ILLEGAL_SASL_STATE,
        KafkaError._SSL,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)
_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE, KafkaError.INVALID_MSG_SIZE})
_EXPIRED = frozenset({KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET})
_AWAY = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._WAIT_COORD,
        KafkaError._RETRY,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.NOT_CONTROLLER,
        KafkaError.KAFKA_STORAGE_ERROR,
    }
)


def translate(error: KafkaError, **where: Any) -> FeedlineError:
    """The error of our tree that a KafkaError means; keywords are those of `Where`. The caller raises it."""
    code = error.code()
    said = f"{error.name()}: {error.str()}"
    if code in _AUTHENTICATION:
        return AuthenticationError(f"the broker refused this client ({said}); check its credentials and ACLs", **where)
    if code in _TOO_LARGE:
        return RecordTooLargeError(f"the broker takes no message that large ({said})", **where)
    if code in _EXPIRED:
        return OffsetsExpiredError(f"these offsets are no longer on the topic ({said}); produce them again", **where)
    if code in _AWAY or error.retriable():
        return BrokerUnavailableError(f"Kafka cannot take this now ({said}); it is safe to try again", **where)
    return TerminalError(f"Kafka refused this ({said})", **where)
