"""What lands on `orders.out`, as it lands, fetched by an event loop in groups.

Uncommitted messages are read too: the events of HTTP entry are in no transaction, and must not wait for one of bulk
entry's that is open on the same partition. Of those of bulk entry only which orders they are of is told.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import OffsetSpec

from feedline.consumer.messages import place_of
from feedline.errors import CorruptBatchError
from feedline.kafka.admin import admin_client, offsets_at, watermarks
from feedline.kafka.config import consumer_config
from feedline.kafka.errors import translate
from feedline.orders.model import EntrySource, Facts, facts_from_headers
from feedline.orders.model.book import Place
from feedline.orders.topics import ENTRY_GROUP

logger = logging.getLogger(__name__)

# So many at once, between which the loop does its other work.
GROUP = 500
WATERMARK_S = 2.0
# After a failure nothing is read for so long.
CALM_S = 1.0


class Landed(NamedTuple):
    """What a group has: events of HTTP entry in each partition's order, how far each partition has been read, and the
    hashes of the ids of orders of bulk entry."""

    events: Sequence[tuple[Facts, Place]]
    positions: Mapping[int, int]
    in_bulk: Sequence[int] = ()


class Tail:
    """Reads from `since` hours ago, at most `events` of them, whenever it is asked to. Call `serve` from the loop."""

    def __init__(self, kafka: Mapping[str, Any], topic: str) -> None:
        self._kafka, self._topic = kafka, topic
        self._again_at = 0.0
        self.problem: str | None = None
        settings = consumer_config(kafka, group_id=ENTRY_GROUP) | {
            "isolation.level": "read_uncommitted",
            "enable.partition.eof": True,
            # What the topic no longer holds, nobody asks for any more.
            "auto.offset.reset": "earliest",
            # A request to the broker costs it more than what it brings: at most a hundred a second.
            "fetch.min.bytes": 20_000,
            "fetch.wait.max.ms": 10,
            "error_cb": self._client_error,
        }
        self._consumer = Consumer(settings)
        self._admin = admin_client(kafka)

    def start(self, hours: float, events: int) -> tuple[dict[int, int], dict[int, int]]:
        """Begins to read; of each partition where, and the end that it has to reach to know everything of before.

        Blocks; raises BrokerUnavailableError, AuthenticationError, ConfigurationError when there is no such topic.
        """
        begins = offsets_at(self._kafka, self._topic, datetime.now(UTC) - timedelta(hours=hours))
        marks = watermarks(self._kafka, self._topic, begins)
        each = max(1_000, events // max(1, len(begins)))
        starts = {p: max(low, min(begins[p], high), high - each) for p, (low, high) in marks.items()}
        self._consumer.assign([TopicPartition(self._topic, p, start) for p, start in starts.items()])
        return starts, {p: high for p, (_, high) in marks.items()}

    def serve(self) -> Landed | None:
        """What has come since the last call, at most a group; never waits."""
        if time.monotonic() < self._again_at:
            return None
        try:
            messages = self._consumer.consume(GROUP, 0)
        except KafkaException as error:
            self.problem, self._again_at = str(error), time.monotonic() + CALM_S
            logger.exception("the orders that land cannot be read")
            return None
        return self._read(messages) if messages else None

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
        self._consumer.close()

    def _read(self, messages: Iterable[Message]) -> Landed:
        events: list[tuple[Facts, Place]] = []
        positions: dict[int, int] = {}
        in_bulk: list[int] = []
        problem: str | None = None
        for message in messages:
            partition, offset = place_of(message)
            error = message.error()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    positions[partition] = offset
                else:
                    # What came before and after it counts: the client will not give it again.
                    problem = str(translate(error, topic=self._topic, partition=partition))
                    logger.warning("the orders that land cannot be read: %s", problem)
                continue
            positions[partition] = offset + 1
            try:
                facts = facts_from_headers(message.key(), message.headers(), EntrySource.HTTP)
            except CorruptBatchError as foreign:
                # Somebody else's message: no order of ours can be in it.
                logger.warning("passed over %s [%d] %d: %s", self._topic, partition, offset, foreign)
                continue
            if facts is not None:
                events.append((facts, Place(partition, offset)))
            else:
                in_bulk.append(hash(message.key()))
        self.problem = problem
        return Landed(events, positions, in_bulk)

    def _client_error(self, error: KafkaError) -> None:
        # That no broker answers, the publisher finds out, and also when one answers again.
        if error.fatal():
            self.problem = error.str()
