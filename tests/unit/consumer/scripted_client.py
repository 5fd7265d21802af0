"""A broker with one topic, and a client of it, in place of Kafka's: what happens next is the test's to say.

The client keeps what librdkafka keeps, as tests/integration/consumer/test_rebalances.py sees it on a real broker. What
has come of a partition and the rebalances lie in one queue. `poll` and `consume` serve callbacks on the way. What was
read ahead of a partition is dropped when its reading is set anew; what a call has read of a partition that goes and
comes back within the call is dropped too.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from confluent_kafka import OFFSET_END, KafkaError, KafkaException, TopicPartition

TOPIC = "T"


def at(partition, offset=None):
    return TopicPartition(TOPIC, partition) if offset is None else TopicPartition(TOPIC, partition, offset)


@dataclass
class Message:
    _partition: int
    _offset: int
    _error: KafkaError | None = None

    def topic(self):
        return TOPIC

    def partition(self):
        return self._partition

    def offset(self):
        return self._offset

    def error(self):
        return self._error

    def key(self):
        return None

    def value(self):
        return None

    def headers(self):
        return None

    def __len__(self):
        return 10


@dataclass
class Broker:
    """messages: by partition the offsets that have one; ends; committed: the group's offsets, and metadata beside
    them; ours: the partitions that the group has given to the client; unheard: how often it is asked of a partition
    before it has heard of it."""

    messages: dict[int, list[int]]
    ends: dict[int, int]
    committed: dict[int, int] = field(default_factory=dict)
    ours: set[int] = field(default_factory=set)
    metadata: dict[int, str] = field(default_factory=dict)
    unheard: int = 0

    @classmethod
    def holding(cls, **counts):
        """`p0=5`: partition 0 with messages 0 to 4."""
        ends = {int(name[1:]): count for name, count in counts.items()}
        return cls({partition: list(range(end)) for partition, end in ends.items()}, ends)


@dataclass
class Reading:
    """Of one partition. version: ops of an older one are out of date; start: where it begins after a change; app: what
    the caller has had, None for nothing since; ended: at which end it has said so."""

    start: int
    version: int = 0
    position: int = 0
    app: int | None = None
    paused: bool = False
    ended: int | None = None

    def begin(self, start, app=None):
        self.version += 1
        self.start = self.position = start
        self.app, self.ended = app, None


class Client:
    """For Consumer of confluent_kafka. ends: as `enable.partition.eof`."""

    def __init__(self, broker, *, ends=True):
        self.broker, self._ends = broker, ends
        # Messages with their version, and callbacks.
        self.queue = deque()
        self.readings = {}
        self._versions = {}
        self.on_commit = None
        # Whether the client has still to hear of a change; the group makes the next one after it.
        self.changing = False

    # What the test does.

    def fetch(self, partition, count=1_000):
        """What the broker sends next of a partition, and its end when it is reached."""
        reading = self.readings.get(partition)
        if reading is None or reading.paused:
            return
        end = self.broker.ends[partition]
        if reading.position == OFFSET_END:
            reading.position = end
        for offset in [one for one in self.broker.messages[partition] if one >= reading.position][:count]:
            self.queue.append((Message(partition, offset), reading.version))
            reading.position = offset + 1
        if (
            self._ends
            and not any(one >= reading.position for one in self.broker.messages[partition])
            and reading.ended != end
        ):
            reading.position = reading.ended = end
            self.queue.append((Message(partition, end, KafkaError(KafkaError._PARTITION_EOF)), reading.version))

    def assign_later(self, *partitions, then=None):
        def served():
            self.broker.ours.update(partitions)
            self._on_assign(self, [at(one) for one in partitions])

        self._later(served, then)

    def revoke_later(self, *partitions, then=None):
        def served():
            self._on_revoke(self, [at(one) for one in partitions])
            self.broker.ours.difference_update(partitions)

        self._later(served, then)

    def lose(self, *partitions, then=None):
        """The broker gives them up at once; the client hears of it later."""
        self.broker.ours.difference_update(partitions)
        self._later(lambda: self._on_lost(self, [at(one) for one in partitions]), then)

    def _later(self, served, then):
        """then: what happens next, within the same call if it goes on so long."""

        self.changing = True

        def callback():
            self.changing = False
            served()
            if then is not None:
                then()

        self.queue.append(callback)

    # What the consumer does.

    def subscribe(self, _topics, *, on_assign, on_revoke, on_lost):
        self._on_assign, self._on_revoke, self._on_lost = on_assign, on_revoke, on_lost

    def poll(self, _timeout=0.0):
        found = self.consume(1)
        return found[0] if found else None

    def consume(self, most, timeout=0.0):
        read = []
        while self.queue and len(read) < most:
            op = self.queue.popleft()
            if not callable(op):
                read += [op] if self._is_current(*op) else []
                continue
            op()
            # Of a partition that is gone it may still be returned.
            read = [one for one in read if one[0].partition() not in self.readings or self._is_current(*one)]
        for message, _ in read:
            reading = self.readings.get(message.partition())
            if reading is not None and message.error() is None:
                reading.app = message.offset() + 1
        return [message for message, _ in read]

    def _is_current(self, message, version):
        reading = self.readings.get(message.partition())
        return reading is not None and reading.version == version

    def incremental_assign(self, places):
        for place in places:
            assert place.partition not in self.readings, f"{place.partition} is assigned already"
            reading = Reading(place.offset, self._versions.get(place.partition, 0))
            reading.begin(place.offset)
            self.readings[place.partition] = reading

    def incremental_unassign(self, places):
        for place in places:
            self._versions[place.partition] = self.readings.pop(place.partition).version

    def pause(self, places):
        for place in places:
            reading = self.readings[place.partition]
            app = reading.app
            reading.begin(reading.start if app is None else app, app)
            reading.paused = True

    def resume(self, places):
        for place in places:
            reading = self.readings[place.partition]
            if reading.paused:
                reading.begin(reading.start, reading.app)
                reading.paused = False

    def seek(self, place):
        self.readings[place.partition].begin(place.offset)

    def committed(self, places, timeout):
        committed, metadata = self.broker.committed, self.broker.metadata
        return [
            TopicPartition(TOPIC, p, committed.get(p, -1001), metadata.get(p) or "")
            for p in (one.partition for one in places)
        ]

    def get_watermark_offsets(self, place, timeout):
        if self.broker.unheard:
            self.broker.unheard -= 1
            raise KafkaException(KafkaError(KafkaError._UNKNOWN_PARTITION))
        return 0, self.broker.ends[place.partition]

    def commit(self, *, offsets, asynchronous):
        refused = None
        if not {one.partition for one in offsets} <= self.broker.ours:
            refused = KafkaError(KafkaError.ILLEGAL_GENERATION)
        else:
            self.broker.committed.update({one.partition: one.offset for one in offsets})
            self.broker.metadata.update({one.partition: one.metadata for one in offsets})
        if asynchronous:
            self.queue.append(lambda: self.on_commit(refused, offsets))
            return None
        if refused is not None:
            raise KafkaException(refused)
        return offsets
