"""Sending a delivery: messages out, acknowledgements counted, the manifest when nothing is left to acknowledge."""

from __future__ import annotations

import logging
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from feedline.batch.error_record import ErrorRecord
from feedline.batch.headers import BatchHeaders
from feedline.batch.identity import Delivery
from feedline.batch.manifest import MANIFEST_PARTITION, PartitionRange
from feedline.catalog import Feed
from feedline.consumer.manifests import recent_bytes
from feedline.errors import AuthenticationError, FeedlineError
from feedline.kafka.config import producer_config
from feedline.kafka.delivery_report import is_unproven
from feedline.kafka.errors import translate
from feedline.kafka.renewal import open_client
from feedline.producer.partitioner import BytesPartitioner

logger = logging.getLogger(__name__)

METADATA_SECONDS = 30.0
RECENT_SECONDS = 10.0
# What was delivered within this time counts when the partitions are made even: a day with all of its feeds.
RECENT = timedelta(hours=24)
# A difference of partitions that is not made up for, as a share of what a partition holds after the delivery.
TOLERATED = 0.05
# A message is a batch of records already. Joined with others, as it happens to wait with one or with two of its
# partition, it would compress better by up to a seventh, and partitions that were given the same would differ by that.
UNBATCHED = {"batch.num.messages": 1}
# How long one look at the delivery reports waits while a queue is full or the last acknowledgements are awaited.
POLL_SECONDS = 0.1
# After a failure: how long accepted messages, the error records above all, may still take.
LAST_FLUSH_SECONDS = 5.0

# A message costs its compressed value and about this much for headers and framing.
HEADER_BYTES = 400


@dataclass(slots=True)
class _Held:
    """What a partition has acknowledged."""

    first: int = -1
    last: int = -1
    batches: int = 0
    records: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Sent:
    """A message as it was handed over, without its value; counted: what its report does."""

    topic: str
    headers: Any
    partition: int
    counted: Callable[[KafkaError | None, Message], None]


class DeliverySender:
    """Sends one delivery's messages; used by one thread, with at most librdkafka's queue limit in memory."""

    def __init__(self, kafka: Mapping[str, Any], feed: Feed, delivery: Delivery, packing: float) -> None:
        self._kafka = kafka
        self._feed = feed
        self._topic = feed.topic.name
        self._delivery = delivery
        self._packing = packing
        self._failure: FeedlineError | None = None
        self._held: dict[int, _Held] = {}
        self._partitioner: BytesPartitioner | None = None
        self._sent = 0
        self._acknowledged = 0
        self._unproven: deque[tuple[_Sent, bytes]] = deque()
        try:
            self._producer = open_client(
                Producer, producer_config(kafka) | UNBATCHED | {"error_cb": self._on_client_error}
            )
        except KafkaException as error:
            raise translate(error, **self._where()) from error

    @property
    def acknowledged_records(self) -> int:
        return sum(held.records for held in self._held.values())

    def connect(self, expected_bytes: int) -> None:
        """Learns the topic's partitions and what lies on them of late.

        Raises BrokerUnavailableError, AuthenticationError, or TerminalError when there is no such topic.
        """
        try:
            found = self._producer.list_topics(self._topic, timeout=METADATA_SECONDS).topics[self._topic]
        except KafkaException as error:
            self._poll(0)
            raise self._failure or translate(error, **self._where()) from error
        if found.error is not None:
            raise translate(found.error, **self._where())
        partitions = len(found.partitions)
        # Another first partition for every delivery: what is left over of many deliveries does not pile up on one.
        first = zlib.crc32(self._delivery.delivery_id.encode()) % partitions
        self._partitioner = BytesPartitioner(partitions, first, self._loads(partitions, expected_bytes))

    def _loads(self, partitions: int, expected_bytes: int) -> dict[int, int]:
        """Bytes that recent deliveries have put on each partition, as far as this one can make up for them.

        A partition is taken to lack no more than its share of this delivery, so that one that was added does not get
        all of it. A small difference is left: to make up for it would spread this delivery less evenly.
        """
        try:
            recent = recent_bytes(self._kafka, self._topic, since=datetime.now(UTC) - RECENT, timeout_s=RECENT_SECONDS)
        except FeedlineError as error:
            # A producer need not have the right to read; evenness within the delivery stays.
            logger.info("what lies on the topic is not known: %s", error)
            return {}
        share = expected_bytes // partitions
        most = max(recent.values(), default=0)
        loads = {partition: max(recent.get(partition, 0), most - share) for partition in range(partitions)}
        usual = sum(recent.values()) // partitions + share
        return loads if most - min(loads.values()) > TOLERATED * usual else {}

    def send(self, headers: BatchHeaders, value: bytes) -> None:
        """Queues a micro-batch, waiting while the queue is full; raises what an earlier message's report said."""
        assert self._partitioner is not None, "connect first"
        size = int(len(value) * self._packing) + HEADER_BYTES
        self._produce(
            self._topic,
            value,
            headers.to_kafka(),
            self._partitioner.choose(size),
            partial(self._on_batch, headers.record_count, size),
        )

    def send_error(self, record: ErrorRecord) -> None:
        """Queues an error record for the topic's error topic."""
        # No partition of our choice: the error topic need not have as many as the topic.
        self._produce(self._feed.topic.error_topic, record.value, record.to_kafka(), -1, self._on_report)

    def send_manifest(self, headers: BatchHeaders, value: bytes) -> None:
        """Sends the manifest and returns when it is acknowledged."""
        self._produce(self._topic, value, headers.to_kafka(), MANIFEST_PARTITION, self._on_report)
        self.finish()

    def finish(self) -> None:
        """Waits until every message is acknowledged; raises, after the delivery timeout at the latest, if not."""
        while self._acknowledged < self._sent:
            # Not `flush`, which would go on waiting for the others after the first failure.
            self._poll(POLL_SECONDS)
            self._check()
        self._check()

    def partitions(self) -> tuple[PartitionRange, ...]:
        """Where the acknowledged micro-batches lie."""
        return tuple(
            PartitionRange(partition, held.first, held.last + 1, held.batches, held.records, held.bytes)
            for partition, held in sorted(self._held.items())
        )

    def let_go(self) -> None:
        """After a failure: a moment for what is under way, then everything that is still queued is dropped."""
        deadline = time.monotonic() + LAST_FLUSH_SECONDS
        while len(self._producer) and time.monotonic() < deadline:
            self._poll(POLL_SECONDS)
        self._producer.purge()
        self._poll(0)

    def close(self) -> None:
        self._producer.close()

    def _poll(self, seconds: float) -> None:
        """Serves delivery reports, and sends again what they do not prove; a fatal error of the client, which it raises
        from here, is kept for `_check`."""
        try:
            self._producer.poll(seconds)
            while self._unproven:
                self._hand_over(*self._unproven[0])
                self._unproven.popleft()
        except BufferError:
            return
        except KafkaException as error:
            self._failure = self._failure or translate(error, **self._where())

    def _wait_for_reason(self, error: KafkaError) -> None:
        """After a fatal error the client takes nothing more; why, its error callback tells, maybe a moment later."""
        deadline = time.monotonic() + LAST_FLUSH_SECONDS
        while error.code() == KafkaError._FATAL and time.monotonic() < deadline:
            self._poll(POLL_SECONDS)
            self._check()

    def _on_client_error(self, error: KafkaError) -> None:
        # librdkafka retries most of its troubles; a refused login it would retry for ever.
        failure = translate(error, **self._where())
        if isinstance(failure, AuthenticationError) or error.fatal():
            self._failure = self._failure or failure

    def _produce(
        self,
        topic: str,
        value: bytes,
        headers: Any,
        partition: int,
        counted: Callable[[KafkaError | None, Message], None],
    ) -> None:
        self._check()
        sent = _Sent(topic, headers, partition, counted)
        while True:
            try:
                self._hand_over(sent, value)
            except BufferError:
                self._poll(POLL_SECONDS)
                self._check()
            except KafkaException as error:
                self._wait_for_reason(error.args[0])
                raise translate(error, **self._where()) from error
            else:
                break
        self._sent += 1
        self._poll(0)

    def _hand_over(self, sent: _Sent, value: bytes) -> None:
        self._producer.produce(
            sent.topic,
            value,
            partition=sent.partition,
            headers=sent.headers,
            on_delivery=partial(self._reported, sent),
        )

    def _reported(self, sent: _Sent, error: KafkaError | None, message: Message) -> None:
        if is_unproven(error, message):
            # Of a copy, should the broker have it after all, the loader knows by the correlation id.
            partition = message.partition()
            logger.warning("no broker has acknowledged a message on %s [%s]: it is sent again", sent.topic, partition)
            self._unproven.append((sent, message.value() or b""))
        else:
            sent.counted(error, message)

    def _on_batch(self, records: int, size: int, error: KafkaError | None, message: Message) -> None:
        self._on_report(error, message)
        if error is not None:
            return
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        held = self._held.setdefault(partition, _Held())
        held.batches += 1
        held.records += records
        held.bytes += size
        held.first = offset if held.first < 0 else min(held.first, offset)
        held.last = max(held.last, offset)

    def _on_report(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self._acknowledged += 1
        elif self._failure is None:
            self._failure = translate(error, **{**self._where(), "topic": message.topic()})

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _where(self) -> dict[str, Any]:
        return {"feed": self._feed.name, "delivery_id": self._delivery.delivery_id, "topic": self._topic}


@contextmanager
def delivery_sender(
    kafka: Mapping[str, Any], feed: Feed, delivery: Delivery, *, expected_bytes: int, packing: float
) -> Iterator[DeliverySender]:
    """A connected sender; it is closed in every case, with its threads.

    expected_bytes: about how many the delivery will have when compressed; packing: compressed bytes a byte of value.
    """
    sender = DeliverySender(kafka, feed, delivery, packing)
    try:
        sender.connect(expected_bytes)
        yield sender
    except Exception:
        sender.let_go()
        raise
    finally:
        sender.close()
