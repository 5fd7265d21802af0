"""The errors Feedline raises: one tree, two roots.

`RetriableError`: the same call may succeed later with nothing changed. `TerminalError`: it will not, until somebody
changes the input, the configuration or the state that the message names.

Every error carries what is known of where it happened (feed, topic, partition, offset, correlation id, file, line,
field) as attributes, survives pickling between processes, and reads as one sentence that says what to do.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from confluent_kafka import KafkaError, KafkaException


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """The place an error speaks of; what is not known is None."""

    feed: str | None = None
    delivery_id: str | None = None
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    correlation_id: str | None = None
    file: str | None = None
    line: int | None = None
    field: str | None = None

    def __str__(self) -> str:
        known = ((f.name, getattr(self, f.name)) for f in fields(self))
        return ", ".join(f"{name}={value}" for name, value in known if value is not None)


class FeedlineError(Exception):
    """Root of the tree; never raised itself.

    `reason` is what happened and what to do; keywords are those of `Where`.
    """

    def __init__(self, reason: str, **where: Any) -> None:
        self.reason = reason
        self.where = Where(**where)
        super().__init__(*self._arguments())

    def _arguments(self) -> tuple[Any, ...]:
        return (str(self),)

    def __str__(self) -> str:
        place = str(self.where)
        return f"{self.reason} [{place}]" if place else self.reason

    def __reduce__(self) -> tuple[Any, ...]:
        known = {f.name: getattr(self.where, f.name) for f in fields(self.where)}
        return (_rebuild, (type(self), self.reason, {k: v for k, v in known.items() if v is not None}))


def _rebuild(kind: type[FeedlineError], reason: str, where: dict[str, Any]) -> FeedlineError:
    return kind(reason, **where)


class RetriableError(FeedlineError):
    """The same call may succeed later."""


class TerminalError(FeedlineError):
    """The same call will fail again until somebody changes something."""


class RaisedByProducerError(FeedlineError, KafkaException):
    """An error that `produce` raises: programs written for confluent-kafka catch it as a KafkaException."""

    kafka_code = KafkaError._FAIL

    def _arguments(self) -> tuple[Any, ...]:
        return (KafkaError(self.kafka_code, str(self)),)


class SchemaMismatchError(RaisedByProducerError, TerminalError):
    """A record does not fit its feed's schema; `where.field` is the path of the first field that does not."""

    kafka_code = KafkaError._VALUE_SERIALIZATION


class UnknownFeedError(RaisedByProducerError, TerminalError):
    """A feed that the catalogue does not know, or none named on a topic that carries feeds."""

    kafka_code = KafkaError._INVALID_ARG


class RecordTooLargeError(RaisedByProducerError, TerminalError):
    """A single record over its feed's limit."""

    kafka_code = KafkaError.MSG_SIZE_TOO_LARGE


class AuthenticationError(RaisedByProducerError, TerminalError):
    """The broker or the registry refused the credentials."""

    kafka_code = KafkaError._AUTHENTICATION


class BrokerUnavailableError(RaisedByProducerError, RetriableError):
    """No broker, or not enough in-sync replicas, within the time given."""

    kafka_code = KafkaError._TRANSPORT


class RegistryUnavailableError(RetriableError):
    """The schema registry did not answer."""


class WarehouseUnavailableError(RetriableError):
    """The warehouse did not answer, or the session broke; whether a transaction committed is read back, not assumed."""


class LostRaceError(RetriableError):
    """Another loader moved the checkpoint first; nothing was changed by this one."""


class ConfigurationError(TerminalError):
    """A setting, the catalogue or a schema file is wrong."""


class FeedTakenError(ConfigurationError):
    """A feed that is to be added has the name, a table or the subject of one that there is; nothing was changed."""


class ControlMismatchError(TerminalError):
    """What was read or loaded does not agree with the control file or the manifest."""


class SourceChangedError(TerminalError):
    """A feed file changed while it was read."""


class ErrorLimitExceededError(TerminalError):
    """A delivery has more bad records than its feed allows."""


class OffsetsExpiredError(TerminalError):
    """Offsets that were never loaded are older than the topic's retention."""


class CorruptBatchError(TerminalError):
    """A message that cannot be decoded with the schema it names."""


class ValidationFailedError(TerminalError):
    """A loaded delivery failed a check."""
