"""One ownership of one partition, from its assignment until it is revoked or lost."""

from __future__ import annotations

import time

from confluent_kafka import Message, TopicPartition

from feedline.consumer.tracker import OffsetTracker


class Claim:
    """A partition while this consumer owns it.

    Handlers read `held`, `generation` and `start`: with `held` False somebody else may own the partition by now, and
    a sink must refuse the write. A partition that comes back is a new claim with a higher generation, and so is one
    whose handler has set `displaced` and raised a RetriableError: it begins where `positions` says then.
    """

    __slots__ = (
        "aside",
        "at_end",
        "begun",
        "closing",
        "committed",
        "displaced",
        "doubted",
        "end",
        "failing",
        "generation",
        "held",
        "in_hand",
        "lanes",
        "moved_at",
        "progressed_at",
        "seen_next",
        "start",
        "tracker",
        "where",
    )

    def __init__(self, topic: str, partition: int, start: int, generation: int, end: int | None = None) -> None:
        self.where = (topic, partition)
        self.start = start
        self.generation = generation
        # The offset to stop before, or None to follow the topic.
        self.end = end
        self.held = True
        # No message is begun any more: it is being taken away.
        self.closing = False
        # Set aside: paused, what was not begun given up, until the messages that failed have succeeded.
        self.aside = False
        # Set by a handler that finds that the partition begins elsewhere by now; it is then placed anew.
        self.displaced = False
        self.at_end = False
        # Whether what was read first lay at its start; or beyond it, and again when it was read a second time.
        self.begun = self.doubted = False
        # Messages in handlers' hands, and batches waiting for another attempt; guarded by the schedule's lock.
        self.in_hand = 0
        self.failing = 0
        self.lanes: dict[object, object] = {}
        self.tracker = OffsetTracker(start)
        # The group's offset on the broker as far as it is known; -1 for none.
        self.committed = -1
        self.seen_next = start
        self.moved_at = time.monotonic()
        # When a handler that has messages of it began, or said that it gets on.
        self.progressed_at = 0.0

    @property
    def finished(self) -> bool:
        """Whether everything before `end` was read; never without an end."""
        return self.end is not None and self.tracker.position >= self.end

    def topic_partition(self, offset: int | None = None) -> TopicPartition:
        topic, partition = self.where
        return TopicPartition(topic, partition) if offset is None else TopicPartition(topic, partition, offset)


# A message taken from the broker: what it is, whose it was, its offset and its size.
Entry = tuple[Message, Claim, int, int]


class Work:
    """What a handler is called with: messages, of one partition or (Ordering.TOPIC) several, each in offset order."""

    __slots__ = ("entries",)

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries

    @property
    def messages(self) -> list[Message]:
        return [entry[0] for entry in self.entries]

    @property
    def message(self) -> Message:
        """The first message: the only one unless `Batching` says otherwise."""
        return self.entries[0][0]

    @property
    def claims(self) -> dict[tuple[str, int], Claim]:
        """By topic and partition."""
        return {entry[1].where: entry[1] for entry in self.entries}

    def progressed(self) -> None:
        """A handler that takes long says so now and then, so that it is not taken to be stuck."""
        now = time.monotonic()
        for entry in self.entries:
            entry[1].progressed_at = now

    @property
    def held(self) -> bool:
        """Whether all of its partitions are still this consumer's."""
        return all(entry[1].held for entry in self.entries)
