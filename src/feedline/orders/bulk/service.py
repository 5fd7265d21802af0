"""Bulk entry as a loop: take from `orders.bulk`, wait each event's delay, publish in Kafka transactions.

A transaction holds what was published to `orders.out`, what was refused to `orders.ERROR`, and how far `orders.bulk`
has been dealt with: all of it counts or none. An instance that lost its partitions cannot commit (the group's
generation fences it), and one that was started again under the same name fences the one before.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from feedline.batch.error_record import Origin
from feedline.batch.headers import header
from feedline.consumer.messages import place_of
from feedline.errors import (
    BrokerUnavailableError,
    ConfigurationError,
    CorruptBatchError,
    FeedlineError,
    LostRaceError,
    OffsetsExpiredError,
)
from feedline.kafka.admin import admin_client, partition_count, watermarks
from feedline.kafka.assignment import find_beginnings, take_up
from feedline.kafka.config import consumer_config
from feedline.kafka.errors import translate
from feedline.orders.bulk.lane import INVALID, UNREADABLE, Due, Fate, Lane, LanePolicy, Taken, default_policy
from feedline.orders.bulk.progress import Progress
from feedline.orders.bulk.reading import EventReader
from feedline.orders.bulk.rebuild import read_books
from feedline.orders.bulk.transaction import FENCED, Transactions
from feedline.orders.model import OrderEvent, event_headers, facts_of, faults_of
from feedline.orders.refused import refusal_headers
from feedline.orders.topics import BULK_GROUP, BULK_TRANSACTIONS, OrderTopics
from feedline.settings import Settings

logger = logging.getLogger(__name__)

REQUEST_S = 10.0


@dataclass(frozen=True, slots=True)
class BulkPolicy:
    """lane: what becomes of events. at_once: events of a transaction; linger_s: how long events are gathered for one,
    which costs as much for one event as for a hundred; outstanding: events held in memory; transaction_s: after so long
    the broker gives an open transaction up; call_s: how long one call to the broker may take; session_s: without a
    heartbeat for so long an instance has lost its partitions; idle_commit_s: how often progress without output is
    committed."""

    lane: LanePolicy = field(default_factory=default_policy)
    at_once: int = 2_000
    linger_s: float = 0.025
    outstanding: int = 20_000
    transaction_s: float = 10.0
    call_s: float = 30.0
    session_s: float = 10.0
    idle_commit_s: float = 2.0

    def __post_init__(self) -> None:
        least = min(self.transaction_s, self.call_s, self.session_s, self.idle_commit_s)
        if min(self.at_once, self.outstanding) < 1 or least <= 0 or self.linger_s < 0:
            raise ConfigurationError("every limit of bulk entry must be positive")


class BulkEntry:
    """One instance. name: its own among all that run at once, and the same when it is started again.

    `run` in one thread; `stop`, `problems` and `figures` from any.
    """

    def __init__(
        self, settings: Settings, name: str, *, policy: BulkPolicy | None = None, topics: OrderTopics | None = None
    ) -> None:
        self._policy, self._topics = policy or BulkPolicy(), topics or OrderTopics()
        self._kafka = settings.acting_as("order-bulk").kafka
        self._reader = EventReader(settings, self._topics)
        self._lanes: dict[int, Lane] = {}
        self._paused: set[int] = set()
        self._stop = threading.Event()
        self._counts: Counter[str] = Counter()
        self._committed_at = time.monotonic()
        self._reset: str | None = None
        self._partitions = 0
        self._name = name
        self._since_beat = time.monotonic()

    def stop(self) -> None:
        """Ends `run` after the transaction at work; what is not published yet stays on `orders.bulk`."""
        self._stop.set()

    def figures(self) -> Mapping[str, float]:
        """Counters, and gauges of what is held."""
        lanes = list(self._lanes.values())
        return {
            **self._counts,
            "partitions": len(lanes),
            "open": sum(lane.progress.open for lane in lanes),
            "parked": sum(lane.parked for lane in lanes),
        }

    def problems(self) -> list[str]:
        """Why it does not go on; nothing when it does."""
        silent = time.monotonic() - self._since_beat
        return [f"nothing was finished for {silent:.0f} s: the broker does not answer"] if silent > 30 else []

    def run(self) -> None:
        """Works until `stop`.

        Raises LostRaceError when another instance of the same name was started, BrokerUnavailableError,
        AuthenticationError, ConfigurationError, OffsetsExpiredError. Nothing is lost or published twice by any.
        """
        admin = admin_client(self._kafka)
        self._partitions = partition_count(admin, self._topics.out)
        if partition_count(admin, self._topics.bulk) > self._partitions:
            raise ConfigurationError(
                f"it has fewer partitions than {self._topics.bulk}: add to it, each goes to that of its own number",
                topic=self._topics.out,
            )
        transactions = Transactions(
            self._kafka,
            f"{BULK_TRANSACTIONS}{self._topics.prefix}.{self._name}",
            transaction_s=self._policy.transaction_s,
            call_s=self._policy.call_s,
        )
        consumer = Consumer(
            consumer_config(self._kafka, group_id=BULK_GROUP + self._topics.prefix)
            | {
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": int(self._policy.session_s * 1000),
                "queued.max.messages.kbytes": 16 * 1024,
                "fetch.wait.max.ms": 50,
            }
        )
        try:
            with closing(consumer):
                self._work(consumer, transactions)
        except KafkaException as error:
            raise self._translated(error) from error

    def _work(self, consumer: Consumer, transactions: Transactions) -> None:
        transactions.take_over()
        consumer.subscribe(
            [self._topics.bulk], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
        )
        while not self._stop.is_set():
            try:
                self._step(consumer, transactions)
            except KafkaException as failure:
                transactions.renew(failure)
                self._counts["producers_renewed"] += 1
                self._begin_again(consumer)

    def _step(self, consumer: Consumer, transactions: Transactions) -> None:
        # No more than may be held; while that is none, everything is paused, and nothing comes.
        room = max(1, self._policy.outstanding - self._held)
        messages = consumer.consume(min(self._policy.at_once, room), self._policy.linger_s)
        self._since_beat = time.monotonic()
        for message in messages:
            self._take(message)
        now = time.monotonic()
        found = [(lane, due) for lane in list(self._lanes.values()) for due in lane.due(now, self._policy.at_once)]
        if found or now - self._committed_at > self._policy.idle_commit_s:
            self._publish(consumer, transactions, found)
        if self._reset:
            self._begin_again(consumer)
        self._hold_back(consumer)

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            raise translate(error, topic=self._topics.bulk)
        partition, offset = place_of(message)
        lane = self._lanes.get(partition)
        if lane is None:
            return
        now = time.monotonic()
        self._counts["taken"] += 1
        event: OrderEvent | None = None
        code, reason = UNREADABLE, ""
        headers: Any = message.headers() or []
        key: Any = message.key() or b""
        value: Any = message.value() or b""
        try:
            read = self._reader.read(message)
        except CorruptBatchError as problem:
            reason = problem.reason
        else:
            event = read.event
            code, reason = INVALID, "; ".join(map(str, faults_of(event)))
            # A refused event keeps its bytes.
            value = value if reason else read.value
        if reason:
            lane.refuse(Taken(offset, key, value, headers, event, None), code, reason, now)
            return
        assert event is not None
        lane.take(Taken(offset, key, value, headers, event, facts_of(event)), now)

    def _publish(self, consumer: Consumer, transactions: Transactions, found: Sequence[tuple[Lane, Due]]) -> None:
        self._committed_at = time.monotonic()
        if not self._lanes:
            return
        try:
            transactions.begin()
            for lane, due in found:
                self._produce(transactions, lane.partition, due)
                lane.progress.finish(due.taken.offset)
            marks = [(lane.partition, *lane.progress.mark()) for lane in self._lanes.values()]
            offsets = [TopicPartition(self._topics.bulk, p, offset, metadata) for p, offset, metadata in marks]
            transactions.commit(offsets, consumer.consumer_group_metadata())
        except KafkaException as failure:
            transactions.give_up(failure)
            self._reset = str(failure.args[0])
            logger.warning("a transaction of %d events was given up and is done again: %s", len(found), self._reset)
            self._counts["given_up"] += 1
        else:
            self._counts["transactions"] += 1
            for _, due in found:
                self._counts[due.fate.value] += 1

    def _produce(self, transactions: Transactions, partition: int, due: Due) -> None:
        taken = due.taken
        if due.fate is Fate.DROP:
            return
        if due.fate is Fate.PUBLISH:
            assert taken.event is not None
            assert taken.facts is not None
            headers = event_headers(taken.event, taken.facts, header(taken.headers, "traceparent"))
            topic, value, key = self._topics.out, taken.value, taken.event.order_id.encode()
        else:
            origin = Origin(self._topics.bulk, partition, taken.offset)
            headers = [*taken.headers, *refusal_headers(due.code, due.reason, origin)]
            topic, value, key, partition = self._topics.error, taken.value, taken.key, 0
        transactions.produce(topic, value, key, partition, headers)

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = [one.partition for one in partitions]
        starts = self._open_lanes(consumer, numbers) if numbers else {}
        if starts is None:
            # Nothing of them is read, and nobody need know where they begin.
            consumer.incremental_assign(partitions)
            return
        take_up(consumer, [TopicPartition(self._topics.bulk, p, start) for p, start in starts.items()])

    def _open_lanes(self, consumer: Consumer, numbers: list[int]) -> dict[int, int] | None:
        """As `_opened`; None when it is told to end."""
        look = partial(self._opened, consumer, numbers)
        return find_beginnings(look, len(numbers), within_s=self._policy.call_s, ending=self._stop.is_set)

    def _opened(self, consumer: Consumer, numbers: list[int]) -> dict[int, int]:
        """Makes the lanes as whoever had them before left them; where each is read on."""
        asked = [TopicPartition(self._topics.bulk, number) for number in numbers]
        committed = {one.partition: one for one in consumer.committed(asked, timeout=REQUEST_S)}
        marks = watermarks(self._kafka, self._topics.bulk, numbers)
        within = self._policy.transaction_s + self._policy.call_s
        remembered = self._policy.lane.remembered
        books = read_books(self._kafka, self._topics.out, numbers, orders=remembered, within_s=within)
        starts = {}
        for number in numbers:
            low, _ = marks[number]
            start, metadata = committed[number].offset, committed[number].metadata
            if start < 0 and len(books[number]):
                raise ConfigurationError(
                    f"events were entered from here before, and the group {BULK_GROUP}{self._topics.prefix} does not "
                    "know how far: set its offset to that of the group that entered them, or they would be entered "
                    "again",
                    topic=self._topics.bulk,
                    partition=number,
                )
            if start < 0:
                start, metadata = low, None
            elif start < low:
                raise OffsetsExpiredError(
                    f"events {start} to {low - 1} are gone that were never entered: set the group to {low} when they "
                    "are to be given up",
                    topic=self._topics.bulk,
                    partition=number,
                )
            starts[number] = start
            self._lanes[number] = Lane(number, self._policy.lane, Progress(start, metadata), books[number])
        return starts

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # What is not published stays with the topic: the next owner reads from the committed offset.
        self._drop(partitions)
        consumer.incremental_unassign(partitions)

    def _drop(self, partitions: Iterable[TopicPartition]) -> None:
        for one in partitions:
            self._lanes.pop(one.partition, None)
            self._paused.discard(one.partition)

    def _begin_again(self, consumer: Consumer) -> None:
        """After a transaction was given up: from what is committed, as if the partitions had just come."""
        self._reset = None
        numbers = list(self._lanes)
        starts = self._open_lanes(consumer, numbers)
        if starts is None:
            return
        for number, start in starts.items():
            consumer.seek(TopicPartition(self._topics.bulk, number, start))
            self._paused.discard(number)
        consumer.resume([TopicPartition(self._topics.bulk, number) for number in numbers])

    @property
    def _held(self) -> int:
        return sum(lane.progress.open for lane in self._lanes.values())

    def _hold_back(self, consumer: Consumer) -> None:
        """Pauses partitions while too much is held, and lets them go on again."""
        held = self._held
        full = held >= self._policy.outstanding
        wanted = {number for number, lane in self._lanes.items() if full or lane.is_full}
        if held > self._policy.outstanding // 2:
            wanted |= self._paused & set(self._lanes)
        for change, numbers in ((consumer.pause, wanted - self._paused), (consumer.resume, self._paused - wanted)):
            if numbers:
                change([TopicPartition(self._topics.bulk, number) for number in numbers])
        self._paused = wanted

    def _translated(self, failure: KafkaException) -> FeedlineError:
        error = failure.args[0]
        if isinstance(error, KafkaError) and error.code() in FENCED:
            return LostRaceError(f"another instance named {self._name!r} was started and goes on in place of this one")
        if isinstance(error, KafkaError) and error.retriable():
            return BrokerUnavailableError(f"{error.str()}: the broker does not answer, start again when it does")
        return translate(failure, topic=self._topics.bulk)
