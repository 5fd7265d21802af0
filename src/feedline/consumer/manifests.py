"""Finding the manifest that closes a delivery: has all of it reached the topic, and where does it lie?

Manifests are read from one partition, without joining a group and without committing, so any number of waiters can
look at the same time. When a delivery was produced twice it has two manifests; the last one counts, and the batches of
both are the same by their correlation ids. Which delivery of a date counts is `batch.manifest.standing_one`.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.aio import AIOConsumer

from feedline.batch.headers import MANIFEST, header
from feedline.batch.identity import Cycle
from feedline.batch.manifest import MANIFEST_PARTITION, DeliveryManifest, decode_manifest
from feedline.consumer.messages import headers_of, place_of
from feedline.consumer.range_reader import group_of
from feedline.errors import BrokerUnavailableError, CorruptBatchError
from feedline.kafka.config import consumer_config
from feedline.kafka.errors import may_pass, translate

TIMEOUT_SECONDS = 30.0
# `assign` needs the name of a group, which is never joined.
MANIFEST_GROUP = "feedline.manifests"
MESSAGES_A_CALL = 100


@dataclass(frozen=True, slots=True)
class _Sought:
    topic: str
    feed: str
    business_date: date
    cycle: Cycle | None
    delivery_id: str | None = None

    def among(self, messages: Iterable[Message]) -> list[DeliveryManifest]:
        """The manifests among these that are sought; raises CorruptBatchError when one cannot be read."""
        return [
            decode_manifest(message.value() or b"")
            for message in messages
            if message.error() is None and self._matches(message)
        ]

    def last_of(self, messages: Iterable[Message]) -> DeliveryManifest | None:
        return next(reversed(self.among(messages)), None)

    def _matches(self, message: Message) -> bool:
        headers = headers_of(message)
        return (
            header(headers, "contentType") == MANIFEST
            and header(headers, "feed") == self.feed
            and header(headers, "businessDate") == self.business_date.isoformat()
            and (self.cycle is None or header(headers, "cycle") == self.cycle.value)
            and (self.delivery_id is None or header(headers, "deliveryId") == self.delivery_id)
        )


def find_manifest(
    kafka: Mapping[str, Any],
    topic: str,
    *,
    feed: str,
    business_date: date,
    cycle: Cycle | str = Cycle.EOD,
    delivery_id: str,
    since: datetime | None = None,
    timeout_s: float = TIMEOUT_SECONDS,
) -> DeliveryManifest | None:
    """The last manifest of a delivery that is on the topic now, or None.

    since: look at messages from this time on (with zone), or at all that the topic keeps. Raises
    BrokerUnavailableError when the broker does not answer within `timeout_s`.
    """
    sought = _Sought(topic, feed, business_date, Cycle(cycle), delivery_id)
    found = None
    for messages in _until_end(kafka, topic, group_of(feed), since, timeout_s):
        found = sought.last_of(messages) or found
    return found


def read_manifests(
    kafka: Mapping[str, Any], topic: str, feed: str, *, timeout_s: float = TIMEOUT_SECONDS
) -> list[DeliveryManifest]:
    """Every manifest of the feed that is on the topic now, in order; a delivery that was produced twice has two.

    Raises BrokerUnavailableError, CorruptBatchError for a manifest that cannot be read.
    """
    return [
        decode_manifest(message.value() or b"")
        for messages in _until_end(kafka, topic, MANIFEST_GROUP, None, timeout_s)
        for message in messages
        if message.error() is None
        and header(headers_of(message), "contentType") == MANIFEST
        and header(headers_of(message), "feed") == feed
    ]


def find_manifests(
    kafka: Mapping[str, Any],
    topic: str,
    *,
    feed: str,
    business_date: date,
    cycle: Cycle | None,
    since: datetime | None = None,
    timeout_s: float = TIMEOUT_SECONDS,
) -> dict[str, DeliveryManifest]:
    """The last manifest of every delivery of a feed and date that is on the topic now, by delivery id.

    cycle: those of this one, or of both. since, and what it raises: see `find_manifest`.
    """
    sought = _Sought(topic, feed, business_date, cycle)
    found = {}
    for messages in _until_end(kafka, topic, group_of(feed), since, timeout_s):
        for manifest in sought.among(messages):
            found[manifest.delivery_id] = manifest
    return found


def recent_bytes(
    kafka: Mapping[str, Any], topic: str, *, since: datetime, timeout_s: float = TIMEOUT_SECONDS
) -> dict[int, int]:
    """Compressed bytes, as their producers estimated, that deliveries closed since then have put on each partition."""
    total: Counter[int] = Counter()
    for messages in _until_end(kafka, topic, MANIFEST_GROUP, since, timeout_s):
        for message in messages:
            if message.error() is None and header(headers_of(message), "contentType") == MANIFEST:
                with suppress(CorruptBatchError):
                    for held in decode_manifest(message.value() or b"").partitions:
                        total[held.partition] += held.bytes
    return dict(total)


def _until_end(
    kafka: Mapping[str, Any], topic: str, group: str, since: datetime | None, timeout_s: float
) -> Iterator[list[Message]]:
    """What lies on the manifests' partition now, from `since` on."""
    consumer = Consumer(_config(kafka, group))
    try:
        start, end = _bounds(consumer, topic, since, timeout_s)
        consumer.assign([_manifests(topic, start)])
        deadline = time.monotonic() + timeout_s
        while start < end:
            messages = consumer.consume(MESSAGES_A_CALL, timeout=0.1)
            yield messages
            if _reached(messages, topic) >= end:
                break
            if messages:
                deadline = time.monotonic() + timeout_s
            elif time.monotonic() > deadline:
                raise _silent(topic, timeout_s)
    except KafkaException as error:
        raise translate(error, topic=topic) from error
    finally:
        consumer.close()


async def await_manifest(
    kafka: Mapping[str, Any],
    topic: str,
    *,
    feed: str,
    business_date: date,
    cycle: Cycle | str = Cycle.EOD,
    delivery_id: str,
    since: datetime | None = None,
    poll_s: float = 1.0,
) -> DeliveryManifest:
    """Waits until a delivery's manifest is on the topic, without blocking the event loop, and returns the last one.

    Runs until it finds one or is cancelled: a deadline is the caller's. A broker that is away is waited for. The
    client is closed in every case, cancellation included.
    """
    sought = _Sought(topic, feed, business_date, Cycle(cycle), delivery_id)
    # Its own threads: the loop's default executor serves every trigger. Two, since a callback may call back.
    executor = ThreadPoolExecutor(2, thread_name_prefix="feedline-manifest")
    try:
        consumer = AIOConsumer(_config(kafka, group_of(feed)), executor=executor)
        try:
            await _assign_when_there(consumer, topic, since, poll_s)
            found: DeliveryManifest | None = None
            while True:
                messages = await consumer.consume(MESSAGES_A_CALL, timeout=poll_s)
                found = sought.last_of(messages) or found
                # At the end of what the partition holds: no later manifest of the delivery exists.
                if found is not None and (not messages or _reached(messages, topic, at_end=True) >= 0):
                    return found
                _raise_terminal(messages, feed, topic)
        finally:
            # A second cancellation must not leave the client open.
            with suppress(KafkaException):
                await asyncio.shield(consumer.close())
    except KafkaException as error:
        raise translate(error, feed=feed, topic=topic) from error
    finally:
        executor.shutdown(wait=False)


async def _assign_when_there(consumer: AIOConsumer, topic: str, since: datetime | None, poll_s: float) -> None:
    """Assigns the manifests' partition once the broker and the topic can be reached."""
    while True:
        try:
            if since is None:
                low, _ = await consumer.get_watermark_offsets(_manifests(topic), timeout=poll_s)
                start = low
            else:
                (found,) = await consumer.offsets_for_times([_at(topic, since)], timeout=poll_s)
                start = found.offset
                if start < 0:
                    _, start = await consumer.get_watermark_offsets(_manifests(topic), timeout=poll_s)
            await consumer.assign([_manifests(topic, start)])
        except KafkaException as error:
            if not may_pass(error.args[0]):
                raise
            await asyncio.sleep(poll_s)
        else:
            return


def _raise_terminal(messages: Iterable[Message], feed: str, topic: str) -> None:
    for message in messages:
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF and not may_pass(error):
            raise translate(error, feed=feed, topic=topic)


def _bounds(consumer: Consumer, topic: str, since: datetime | None, timeout_s: float) -> tuple[int, int]:
    """Where to start and where the partition ends now; a new topic's leader is waited for."""
    deadline = time.monotonic() + timeout_s
    while True:
        left = max(deadline - time.monotonic(), 0.1)
        try:
            low, high = consumer.get_watermark_offsets(_manifests(topic), timeout=left)
            return (low if since is None else _offset_at(consumer, topic, since, left, high)), high
        except KafkaException as error:
            if time.monotonic() > deadline or not isinstance(translate(error), BrokerUnavailableError):
                raise
            time.sleep(0.1)


def _offset_at(consumer: Consumer, topic: str, since: datetime, timeout_s: float, high: int) -> int:
    (found,) = consumer.offsets_for_times([_at(topic, since)], timeout=timeout_s)
    if found.error is not None:
        raise KafkaException(found.error)
    return int(found.offset) if found.offset >= 0 else high


def _reached(messages: Iterable[Message], topic: str, *, at_end: bool = False) -> int:
    """The offset after the last message or end-of-partition event; with `at_end`, of such events alone; else -1."""
    reached = -1
    for message in messages:
        error = message.error()
        if error is None:
            reached = -1 if at_end else place_of(message)[1] + 1
        elif error.code() == KafkaError._PARTITION_EOF:
            reached = place_of(message)[1]
        elif not at_end and not may_pass(error):
            raise translate(error, topic=topic)
    return reached


def _config(kafka: Mapping[str, Any], group: str) -> dict[str, Any]:
    overrides = {"enable.partition.eof": True, "auto.offset.reset": "earliest"}
    return consumer_config(kafka, group_id=group) | overrides


def _manifests(topic: str, offset: int | None = None) -> TopicPartition:
    if offset is None:
        return TopicPartition(topic, MANIFEST_PARTITION)
    return TopicPartition(topic, MANIFEST_PARTITION, offset)


def _at(topic: str, since: datetime) -> TopicPartition:
    return TopicPartition(topic, MANIFEST_PARTITION, int(since.timestamp() * 1000))


def _silent(topic: str, timeout_s: float) -> BrokerUnavailableError:
    return BrokerUnavailableError(
        f"the manifests could not be read to their end within {timeout_s:g} s",
        topic=topic,
        partition=MANIFEST_PARTITION,
    )
