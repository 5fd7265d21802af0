"""librdkafka's errors as Feedline's: retriable or terminal, decided in one table."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from feedline.errors import (
    AuthenticationError,
    BrokerUnavailableError,
    ConfigurationError,
    CorruptBatchError,
    FeedlineError,
    OffsetsExpiredError,
    RecordTooLargeError,
    RetriableError,
    SchemaMismatchError,
    TerminalError,
)

# A commit that came too late: the partitions are somebody else's, who will do the work again, or the group has moved
# on, of which this member hears next. Nothing is wrong.
CAME_TOO_LATE = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.STALE_MEMBER_EPOCH,
        KafkaError.FENCED_MEMBER_EPOCH,
        KafkaError._ASSIGNMENT_LOST,
        KafkaError._NO_OFFSET,
    }
)

# What a client or broker says of a partition that it has not heard of: one that is not there, or was made a moment
# ago. Of a partition that a group has given out it is the latter.
NOT_HEARD_OF = frozenset({KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART})

# For the reason why a client has failed for good: it says so in milliseconds, when it is scheduled.
REASON_WITHIN_S = 5.0

# What a person should do about it; librdkafka's own text says what happened.
_ADVICE: Mapping[type[FeedlineError], str] = {
    AuthenticationError: "check the credentials and the access rights of this principal",
    BrokerUnavailableError: "check that the brokers run and can be reached, then try again",
    ConfigurationError: "check the name and settings of the topic, and that it is provisioned",
    CorruptBatchError: "the message cannot be read as it lies on the topic",
    OffsetsExpiredError: "the topic no longer holds these offsets: produce the delivery again from its files",
    RecordTooLargeError: "make the record smaller or raise the feed's and the topic's limits",
    RetriableError: "try again",
    SchemaMismatchError: "the record does not fit its schema",
    TerminalError: "trying again will not help",
}

_TABLE: Mapping[type[FeedlineError], tuple[int, ...]] = {
    AuthenticationError: (
        KafkaError._AUTHENTICATION,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError.ILLEGAL_SASL_STATE,
        KafkaError.SECURITY_DISABLED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.DELEGATION_TOKEN_EXPIRED,
    ),
    BrokerUnavailableError: (
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._RESOLVE,
        # A broker that restarts drops connections in mid-handshake, which librdkafka reports as an SSL error too.
        KafkaError._SSL,
        KafkaError._WAIT_COORD,
        KafkaError._ISR_INSUFF,
        # The admin client's word for partitions that have no leader just now.
        KafkaError._NOENT,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.LEADER_NOT_AVAILABLE,
        # A leader has moved: the one that was asked, or the one who asks, does not know it yet.
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.PREFERRED_LEADER_NOT_AVAILABLE,
        KafkaError.ELIGIBLE_LEADERS_NOT_AVAILABLE,
        KafkaError.LISTENER_NOT_FOUND,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_CONTROLLER,
        KafkaError.KAFKA_STORAGE_ERROR,
    ),
    ConfigurationError: (
        *NOT_HEARD_OF,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.INVALID_CONFIG,
        KafkaError.INVALID_PARTITIONS,
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.INVALID_REPLICA_ASSIGNMENT,
        KafkaError.INVALID_REQUIRED_ACKS,
        KafkaError.INVALID_TRANSACTION_TIMEOUT,
        KafkaError.POLICY_VIOLATION,
        KafkaError.UNSUPPORTED_VERSION,
        KafkaError.UNSUPPORTED_COMPRESSION_TYPE,
        KafkaError._INVALID_ARG,
        KafkaError._NOT_CONFIGURED,
        KafkaError._UNSUPPORTED_FEATURE,
    ),
    CorruptBatchError: (KafkaError._BAD_MSG, KafkaError._BAD_COMPRESSION, KafkaError.INVALID_MSG),
    OffsetsExpiredError: (KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET, KafkaError._NO_OFFSET),
    RecordTooLargeError: (
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_MSG_SIZE,
    ),
    RetriableError: (
        KafkaError._QUEUE_FULL,
        KafkaError._RETRY,
        KafkaError._IN_PROGRESS,
        KafkaError._PREV_IN_PROGRESS,
        KafkaError.CONCURRENT_TRANSACTIONS,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.THROTTLING_QUOTA_EXCEEDED,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
        KafkaError.OFFSET_NOT_AVAILABLE,
    ),
    SchemaMismatchError: (KafkaError._VALUE_SERIALIZATION, KafkaError._KEY_SERIALIZATION),
    # Everything else is decided by librdkafka's own flag, these included: fenced, fatal, purged, wrong state.
}

_KIND_OF_CODE: Mapping[int, type[FeedlineError]] = {code: kind for kind, codes in _TABLE.items() for code in codes}


def error_kind(error: KafkaError) -> type[FeedlineError]:
    """The class of Feedline error that a KafkaError is; a fatal one is always terminal."""
    kind = _KIND_OF_CODE.get(error.code())
    if error.fatal():
        # An idempotent producer without rights hears of it as a fatal error.
        return AuthenticationError if kind is AuthenticationError else TerminalError
    if kind is None:
        kind = RetriableError if error.retriable() else TerminalError
    return kind


def translate(error: KafkaError | KafkaException, **where: Any) -> FeedlineError:
    """The Feedline error to raise for a KafkaError; keywords are those of `feedline.errors.Where`."""
    if isinstance(error, FeedlineError):
        return error
    cause = error.args[0] if isinstance(error, KafkaException) else error
    if not isinstance(cause, KafkaError):
        return TerminalError(f"the Kafka client failed: {cause}", **where)
    kind = error_kind(cause)
    return kind(f"{cause.str()} ({cause.name()}): {_ADVICE[kind]}", **where)


def may_pass(error: KafkaError) -> bool:
    """Whether to whoever waits for a topic nothing is wrong yet: it may still be made, or a broker come back."""
    return error.code() in NOT_HEARD_OF or issubclass(error_kind(error), BrokerUnavailableError)


def is_one_of(error: Exception, codes: Collection[int]) -> bool:
    """Whether it is the Kafka client's error, with one of these codes."""
    return isinstance(error, KafkaException) and error.args[0].code() in codes


def fatal_reason(producer: Producer, failure: KafkaException) -> KafkaException:
    """Why a transactional producer can do nothing any more: when it refuses a message it says only that it cannot
    (`_FATAL`), and in any call of its transaction why. Other failures are given back as they came."""
    if failure.args[0].code() != KafkaError._FATAL:
        return failure
    try:
        # Not at once: its own thread, which knows the reason, may be about to take it down.
        producer.abort_transaction(REASON_WITHIN_S)
    except KafkaException as reason:
        return reason if reason.args[0].fatal() else failure
    return failure
