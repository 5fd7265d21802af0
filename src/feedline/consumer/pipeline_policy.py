"""What a pipelined consumer is told once: order, bounds, how partitions change hands, and when it counts as stalled."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from feedline.errors import (
    ConfigurationError,
    ControlMismatchError,
    CorruptBatchError,
    FeedlineError,
    RecordTooLargeError,
    SchemaMismatchError,
)


class Ordering(StrEnum):
    """Which messages wait for one another.

    NONE: none do. KEY: those of one key of a partition; messages without a key do not wait. PARTITION: those of a
    partition. TOPIC: those of a partition too, in batches of many partitions each, for a sink that loads in bulk; what
    a batch leaves is begun beside it when there are more workers.
    """

    NONE = "none"
    KEY = "key"
    PARTITION = "partition"
    TOPIC = "topic"


class Rebalance(StrEnum):
    """How partitions change hands: all at once, only those that move, or as the broker says (KIP-848)."""

    EAGER = "eager"
    COOPERATIVE = "cooperative"
    CONSUMER = "consumer"

    @property
    def ruled_by_broker(self) -> tuple[str, ...]:
        """librdkafka's settings that a client may not name under it."""
        if self is not Rebalance.CONSUMER:
            return ()
        return ("session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy", "group.protocol.type")

    def settings(self) -> dict[str, str]:
        """librdkafka's settings for it."""
        if self is Rebalance.CONSUMER:
            return {"group.protocol": "consumer"}
        strategy = "cooperative-sticky" if self is Rebalance.COOPERATIVE else "range,roundrobin"
        return {"group.protocol": "classic", "partition.assignment.strategy": strategy}


@dataclass(frozen=True, slots=True)
class Batching:
    """How many messages one call of the handler gets: closed by count, by bytes, or by the age of its first message.

    With `max_age_s` 0 a call takes what is there and waits for nothing.
    """

    max_messages: int = 1
    max_bytes: int = 48 * 1024 * 1024
    max_age_s: float = 0.0

    def __post_init__(self) -> None:
        if self.max_messages < 1 or self.max_bytes < 1 or self.max_age_s < 0:
            raise ConfigurationError("a batch holds at least 1 message and 1 byte, and its age is not negative")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits between attempts, in seconds: doubled each time, each shortened at random by up to half."""

    first_s: float = 0.2
    most_s: float = 30.0

    def __post_init__(self) -> None:
        if not 0 < self.first_s <= self.most_s:
            raise ConfigurationError("the first wait must be positive and no longer than the longest")

    def wait(self, attempt: int, chance: float) -> float:
        """Seconds to wait after the failed attempt of this number, from 1; `chance` lies between 0 and 1."""
        return min(self.most_s, self.first_s * 2.0 ** min(attempt - 1, 32)) * (1 - chance / 2)


# Errors that condemn the message they are raised for. Any other terminal error says that the set-up is wrong, and
# would condemn every message that follows.
POISON: tuple[type[FeedlineError], ...] = (
    CorruptBatchError,
    SchemaMismatchError,
    RecordTooLargeError,
    ControlMismatchError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelinePolicy:
    """workers: threads that call the handler; `PipelinedConsumer.resize` changes it.
    queue_messages, queue_bytes: bound of what is taken from the broker and not done, on top of librdkafka's own.
    drain_s: how long a partition that is taken away, or the end, waits for handlers that are at work.
    stall_s: lag without progress for so long is a stall.
    """

    workers: int = 8
    ordering: Ordering = Ordering.NONE
    batching: Batching = field(default_factory=Batching)
    rebalance: Rebalance = Rebalance.COOPERATIVE
    queue_messages: int = 10_000
    queue_bytes: int = 64 * 1024 * 1024
    commit_s: float = 1.0
    drain_s: float = 10.0
    stall_s: float = 60.0
    backoff: Backoff = field(default_factory=Backoff)
    poison: tuple[type[FeedlineError], ...] = POISON

    def __post_init__(self) -> None:
        if self.workers < 1 or self.queue_messages < 1 or self.queue_bytes < 1:
            raise ConfigurationError("workers, queue_messages and queue_bytes must be at least 1")
        if self.commit_s < 0 or self.drain_s < 0 or self.stall_s <= 0:
            raise ConfigurationError("commit_s and drain_s must not be negative, stall_s must be positive")
        if self.queue_messages < self.batching.max_messages or (
            self.batching.max_messages > 1 and self.queue_bytes < self.batching.max_bytes
        ):
            raise ConfigurationError("queue_messages and queue_bytes must hold at least one batch")
