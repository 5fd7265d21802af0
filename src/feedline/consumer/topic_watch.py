"""Telling many waiters in one event loop what arrives on a topic, at the cost of one client for all of them.

The client assigns the topic's partitions itself: it joins no group and commits nothing, so a watch moves no offset.
It reads from the lowest position that any waiter asked for; each waiter is told only of what lies at its own position
or after, so a waiter that comes late, or comes again, misses nothing and hurts nobody.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from confluent_kafka import KafkaException, Message, TopicPartition
from confluent_kafka.aio import AIOConsumer

from feedline.batch.headers import MANIFEST, header
from feedline.batch.identity import Cycle
from feedline.consumer.messages import headers_of, place_of
from feedline.kafka.config import consumer_config
from feedline.kafka.errors import may_pass, translate

# `assign` needs the name of a group, which is never joined.
WATCH_GROUP = "feedline.watch"
MESSAGES_A_CALL = 100
POLL_SECONDS = 1.0
# A topic may grow while it is watched.
PARTITIONS_EVERY_S = 60.0
METADATA_SECONDS = 5.0
# Only headers are looked at: there is no hurry, and little memory is enough.
QUEUED_KBYTES = 8 * 1024


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message of a feed, by its headers."""

    feed: str
    business_date: str
    delivery_id: str
    is_manifest: bool
    partition: int
    offset: int


class Arrivals:
    """What one waiter is told, in the order of each partition."""

    def __init__(self, feeds: Iterable[str], cycle: Cycle, business_date: str | None, positions: Mapping[int, int]):
        self.feeds = frozenset(feeds)
        self.cycle = cycle.value
        self.business_date = business_date
        self._positions = dict(positions)
        self._queue: asyncio.Queue[Arrival | Exception] = asyncio.Queue()

    def position(self, partition: int) -> int:
        """From where on; a partition that did not exist when the positions were taken has all of it new."""
        return self._positions.get(partition, 0)

    def tell(self, arrival: Arrival | Exception) -> None:
        if isinstance(arrival, Arrival):
            if arrival.offset < self.position(arrival.partition):
                return
            self._positions[arrival.partition] = arrival.offset + 1
        self._queue.put_nowait(arrival)

    async def next(self) -> Arrival:
        """The next message that came; raises what ended the watch (AuthenticationError, TerminalError)."""
        arrival = await self._queue.get()
        if isinstance(arrival, Exception):
            raise arrival
        return arrival

    def waiting(self) -> list[Arrival]:
        """What has come and was not asked for yet; raises as `next` does."""
        found = []
        while not self._queue.empty():
            arrival = self._queue.get_nowait()
            if isinstance(arrival, Exception):
                raise arrival
            found.append(arrival)
        return found


@dataclass(slots=True, eq=False)
class _Watch:
    """One client and its waiters; used in its event loop only."""

    kafka: Mapping[str, Any] = field(repr=False)
    topic: str
    waiters: set[Arrivals] = field(default_factory=set)
    task: asyncio.Task[None] | None = None
    _next: dict[int, int] = field(default_factory=dict)
    _counted_at: float = -PARTITIONS_EVERY_S
    _partitions: int = 0
    _newcomers: list[Arrivals] = field(default_factory=list)

    def join(self, waiter: Arrivals) -> None:
        self.waiters.add(waiter)
        self._newcomers.append(waiter)

    async def run(self) -> None:
        # Its own threads: the loop's default executor serves every trigger. Two, since a callback may call back.
        executor = ThreadPoolExecutor(2, thread_name_prefix="feedline-watch")
        try:
            overrides = {"auto.offset.reset": "earliest", "queued.max.messages.kbytes": QUEUED_KBYTES}
            config = consumer_config(self.kafka, group_id=WATCH_GROUP) | overrides
            consumer = AIOConsumer(config, executor=executor)
            try:
                while True:
                    await self._place(consumer)
                    for message in await consumer.consume(MESSAGES_A_CALL, timeout=POLL_SECONDS):
                        self._take(message)
            finally:
                # A second cancellation must not leave the client open.
                with suppress(KafkaException):
                    await asyncio.shield(consumer.close())
        except KafkaException as error:
            self._fail(translate(error, topic=self.topic))
        except Exception as error:  # noqa: BLE001  whatever ends the watch, nobody may go on waiting for it
            self._fail(error)
        finally:
            executor.shutdown(wait=False)

    def _fail(self, error: Exception) -> None:
        for waiter in self.waiters:
            waiter.tell(error)

    async def _place(self, consumer: AIOConsumer) -> None:
        """Brings the client to where every waiter is served from."""
        now = time.monotonic()
        if now - self._counted_at > PARTITIONS_EVERY_S:
            self._partitions = await self._count(consumer)
            self._counted_at = time.monotonic()
        newcomers, self._newcomers = self._newcomers, []
        wanted = dict(self._next)
        for partition in range(self._partitions):
            asked = [waiter.position(partition) for waiter in newcomers]
            if partition not in wanted:
                asked = [waiter.position(partition) for waiter in self.waiters] or [0]
            wanted[partition] = min([*asked, wanted.get(partition, min(asked, default=0))])
        if wanted != self._next:
            await consumer.assign([TopicPartition(self.topic, number, offset) for number, offset in wanted.items()])
            self._next = wanted

    async def _count(self, consumer: AIOConsumer) -> int:
        while True:
            try:
                found = (await consumer.list_topics(self.topic, timeout=METADATA_SECONDS)).topics[self.topic]
                if found.error is None:
                    return len(found.partitions)
                error = found.error
            except KafkaException as raised:
                error = raised.args[0]
            if not may_pass(error):
                raise translate(error, topic=self.topic)
            await asyncio.sleep(POLL_SECONDS)

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            if not may_pass(error):
                raise translate(error, topic=self.topic)
            return
        partition, offset = place_of(message)
        self._next[partition] = offset + 1
        headers = headers_of(message)
        feed, cycle, day = (header(headers, name) for name in ("feed", "cycle", "businessDate"))
        arrival = None
        for waiter in self.waiters:
            if feed in waiter.feeds and cycle == waiter.cycle and waiter.business_date in (None, day):
                arrival = arrival or Arrival(
                    str(feed),
                    str(day),
                    header(headers, "deliveryId") or "",
                    header(headers, "contentType") == MANIFEST,
                    partition,
                    offset,
                )
                waiter.tell(arrival)


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str], _Watch]] = WeakKeyDictionary()


@asynccontextmanager
async def watch_topic(
    kafka: Mapping[str, Any],
    topic: str,
    *,
    feeds: Iterable[str],
    positions: Mapping[int, int],
    cycle: Cycle = Cycle.INTRADAY,
    business_date: str | None = None,
) -> AsyncIterator[Arrivals]:
    """Messages of these feeds and this cycle (and business date, YYYY-MM-DD) from `positions` on, by partition.

    All watches of a topic in an event loop share a client, which is closed when the last of them ends or is
    cancelled. A broker that is away, and a topic that is not there yet, are waited for.
    """
    shared = _watches.setdefault(asyncio.get_running_loop(), {})
    key = (topic, repr(sorted((name, str(value)) for name, value in kafka.items())))
    watch = shared.get(key)
    if watch is None or (watch.task is not None and watch.task.done()):
        watch = shared[key] = _Watch(kafka, topic)
    waiter = Arrivals(feeds, cycle, business_date, positions)
    watch.join(waiter)
    if watch.task is None:
        watch.task = asyncio.create_task(watch.run(), name=f"feedline watch of {topic}")
    try:
        yield waiter
    finally:
        watch.waiters.discard(waiter)
        if not watch.waiters:
            # Out of the register before it is closed: who comes meanwhile begins a watch of its own.
            if shared.get(key) is watch:
                del shared[key]
            watch.task.cancel()
            await asyncio.shield(asyncio.gather(watch.task, return_exceptions=True))
