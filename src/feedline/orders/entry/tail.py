"""What lands on `orders.out`, as it lands, given to an event loop in groups.

Uncommitted messages are read too: the events of HTTP entry are in no transaction, and must not wait for one of bulk
entry's that is open on the same partition. Those of bulk entry are passed over.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import OffsetSpec

from feedline.consumer.messages import place_of
from feedline.errors import CorruptBatchError, FeedlineError
from feedline.kafka.admin import admin_client, offsets_at, watermarks
from feedline.kafka.config import consumer_config
from feedline.kafka.errors import translate
from feedline.orders.model import EntrySource, Facts, facts_from_headers
from feedline.orders.model.book import Place
from feedline.orders.topics import ENTRY_GROUP

logger = logging.getLogger(__name__)

POLL_S = 0.1
GROUP = 1_000
# Groups that the loop has not dealt with; then the thread waits, and memory does not grow.
GROUPS_AHEAD = 8
WATERMARK_S = 2.0


class Landed(NamedTuple):
    """What a group has: events of HTTP entry in each partition's order, and how far each partition has been read."""

    events: Sequence[tuple[Facts, Place]]
    positions: Mapping[int, int]


class Tail:
    """Reads from `since` hours ago, at most `events` of them, and goes on until it is closed."""

    def __init__(self, kafka: Mapping[str, Any], topic: str, on_landed: Callable[[Landed], None]) -> None:
        self._kafka, self._topic, self._on_landed = kafka, topic, on_landed
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._ahead = threading.Semaphore(GROUPS_AHEAD)
        self.problem: str | None = None
        settings = consumer_config(kafka, group_id=ENTRY_GROUP) | {
            "isolation.level": "read_uncommitted",
            "enable.partition.eof": True,
            # What the topic no longer holds, nobody asks for any more.
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50,
            "error_cb": self._client_error,
        }
        self._consumer = Consumer(settings)
        self._admin = admin_client(kafka)
        self._thread = threading.Thread(target=self._run, name="feedline-tail", daemon=True)

    def start(self, hours: float, events: int) -> dict[int, int]:
        """Begins to read; of each partition the end that it has to reach to know everything of before.

        Blocks; raises BrokerUnavailableError, AuthenticationError, ConfigurationError when there is no such topic.
        """
        begins = offsets_at(self._kafka, self._topic, datetime.now(UTC) - timedelta(hours=hours))
        marks = watermarks(self._kafka, self._topic, begins)
        each = max(1_000, events // max(1, len(begins)))
        starts = {p: max(low, min(begins[p], high), high - each) for p, (low, high) in marks.items()}
        self._consumer.assign([TopicPartition(self._topic, p, start) for p, start in starts.items()])
        self._loop.call_soon_threadsafe(self._on_landed, Landed((), starts))
        self._thread.start()
        return {p: high for p, (_, high) in marks.items()}

    async def end_of(self, partition: int) -> int:
        """The offset after the partition's last acknowledged message, asked of the broker; raises what `translate`
        gives."""
        place = TopicPartition(self._topic, partition)
        asked = self._admin.list_offsets({place: OffsetSpec.latest()}, request_timeout=WATERMARK_S)  # type: ignore[no-untyped-call]
        try:
            found = await asyncio.wrap_future(asked[place])
        except KafkaException as error:
            raise translate(error, topic=self._topic, partition=partition) from error
        return int(found.offset)

    def close(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                first = self._consumer.poll(POLL_S)
                if first is None:
                    continue
                landed = self._read([first, *self._consumer.consume(GROUP, 0)])
            except (KafkaException, FeedlineError) as error:
                self.problem = str(error)
                logger.exception("the orders that land cannot be read")
                self._stop.wait(1.0)
                continue
            while not self._ahead.acquire(timeout=POLL_S):
                if self._stop.is_set():
                    return
            self._loop.call_soon_threadsafe(self._give, landed)

    def _give(self, landed: Landed) -> None:
        self._ahead.release()
        self._on_landed(landed)

    def _read(self, messages: Iterable[Message]) -> Landed:
        events: list[tuple[Facts, Place]] = []
        positions: dict[int, int] = {}
        for message in messages:
            partition, offset = place_of(message)
            error = message.error()
            if error is not None:
                if error.code() != KafkaError._PARTITION_EOF:
                    raise translate(error, topic=self._topic, partition=partition)
                positions[partition] = offset
                continue
            positions[partition] = offset + 1
            try:
                facts = facts_from_headers(message.key(), message.headers(), EntrySource.HTTP)
            except CorruptBatchError as problem:
                # Somebody else's message: no order of ours can be in it.
                logger.warning("passed over %s [%d] %d: %s", self._topic, partition, offset, problem)
                continue
            if facts is not None:
                events.append((facts, Place(partition, offset)))
        self.problem = None
        return Landed(events, positions)

    def _client_error(self, error: KafkaError) -> None:
        if error.fatal() or error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.problem = error.str()
