"""Reading a range of offsets: every micro-batch of one feed in it, once, in offset order within a partition.

A pipelined consumer reads the range's spans and ends with them. It joins no group and commits nothing: where a feed
stands is the warehouse's to say, so reading a range twice, or by two loaders at once, disturbs nobody.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaException, Message, TopicPartition

from feedline.batch.consumed import ConsumedBatch
from feedline.batch.headers import MANIFEST, header, read_headers
from feedline.consumer.claim import Work
from feedline.consumer.messages import headers_of, place_of
from feedline.consumer.pipeline_policy import Batching, Ordering, PipelinePolicy
from feedline.consumer.pipelined import PipelinedConsumer
from feedline.consumer.ranges import LoadRange
from feedline.errors import BrokerUnavailableError, CorruptBatchError, FeedlineError
from feedline.kafka.config import consumer_config

# How long the ends of a hand-over wait for one another before they look whether the other side has ended.
WAIT_SECONDS = 0.02
BUDGET_SECONDS = 60.0
REQUEST_SECONDS = 5.0

# Read ahead while the warehouse works: one hand-over, one in the queue, and what the engine holds, on top of
# librdkafka's own queue. One worker, one lane: messages of a partition come in order.
READING = PipelinePolicy(
    workers=1,
    ordering=Ordering.TOPIC,
    batching=Batching(max_messages=200, max_bytes=4 * 1024 * 1024),
    queue_messages=1_000,
    queue_bytes=8 * 1024 * 1024,
)

OnCorrupt = Callable[[Message, CorruptBatchError], None]
OnRead = Callable[[list[Message]], None]


def group_of(feed: str) -> str:
    """The consumer group in whose name a feed is loaded."""
    return f"feedline.{feed}"


def read_range(
    kafka: Mapping[str, Any],
    load_range: LoadRange,
    *,
    budget_s: float = BUDGET_SECONDS,
    on_corrupt: OnCorrupt | None = None,
    on_read: OnRead | None = None,
    group_id: str | None = None,
) -> Generator[ConsumedBatch]:
    """The feed's micro-batches in the range; other feeds' messages and manifests are passed over by their headers.

    kafka: librdkafka client properties. budget_s: seconds without any progress after which the broker counts as away.
    group_id: the name the reader goes by on the broker, the feed's group without one; it is never joined either way.
    A message of the feed whose headers cannot be read goes to `on_corrupt`, or raises CorruptBatchError without one.
    Every message goes to `on_read`, some at a time, before a micro-batch of them or after them is yielded.

    Raises OffsetsExpiredError when the range is no longer on the topic, BrokerUnavailableError when nothing came for
    `budget_s`. The client is closed when the iterator ends, fails or is closed.
    """
    handed_over = read_messages(kafka, load_range, budget_s=budget_s, group_id=group_id)
    try:
        for messages in handed_over:
            if on_read is not None:
                on_read(messages)
            for message in messages:
                batch = batch_of(message, load_range.feed, on_corrupt)
                if batch is not None:
                    yield batch
    finally:
        handed_over.close()


def read_messages(
    kafka: Mapping[str, Any], load_range: LoadRange, *, budget_s: float = BUDGET_SECONDS, group_id: str | None = None
) -> Generator[list[Message]]:
    """Every message in the range, whatever it is, some at a time; see `read_range`."""
    if not load_range.spans:
        return
    handed: queue.Queue[list[Message]] = queue.Queue(1)
    left = threading.Event()

    def hand_over(work: Work) -> None:
        over = False
        while not (over or left.is_set()):
            with suppress(queue.Full):
                handed.put(work.messages, timeout=WAIT_SECONDS)
                over = True

    consumer = PipelinedConsumer(
        kafka,
        hand_over,
        group_id=group_id or group_of(load_range.feed),
        topics=[load_range.topic],
        policy=READING,
        spans=load_range.spans,
    )
    consumer.start()
    try:
        yield from _until_its_end(consumer, handed, kafka, load_range, budget_s)
    finally:
        left.set()
        consumer.stop()
        with suppress(FeedlineError):
            # Raised already, or of no interest to one who left.
            consumer.wait()


def _until_its_end(
    consumer: PipelinedConsumer,
    handed: queue.Queue[list[Message]],
    kafka: Mapping[str, Any],
    load_range: LoadRange,
    budget_s: float,
) -> Generator[list[Message]]:
    """What the consumer hands over; raises what stopped it, with the feed, and BrokerUnavailableError (the budget)."""
    deadline = time.monotonic() + budget_s
    while True:
        try:
            # Asked before the queue: what it has handed over before it ended is in there.
            ended = consumer.wait(0)
        except FeedlineError as error:
            where = {"topic": load_range.topic, "partition": error.where.partition, "offset": error.where.offset}
            raise type(error)(error.reason, feed=load_range.feed, **where) from error
        try:
            yield handed.get(timeout=0 if ended else WAIT_SECONDS)
        except queue.Empty:
            if ended:
                return
            if time.monotonic() > deadline:
                raise _stalled(consumer, kafka, load_range, budget_s) from None
        else:
            # What the caller does with a batch is not the broker's silence.
            deadline = time.monotonic() + budget_s


def batch_of(message: Message, feed: str, on_corrupt: OnCorrupt | None) -> ConsumedBatch | None:
    """The feed's micro-batch that a message is; None for another feed's, a manifest, and what went to `on_corrupt`."""
    headers = headers_of(message)
    if header(headers, "feed") != feed or header(headers, "contentType") == MANIFEST:
        return None
    topic = str(message.topic())
    partition, offset = place_of(message)
    try:
        return ConsumedBatch(topic, partition, offset, read_headers(headers), message.value() or b"", _sent_at(message))
    except CorruptBatchError as error:
        placed = CorruptBatchError(error.reason, feed=feed, topic=topic, partition=partition, offset=offset)
        if on_corrupt is None:
            raise placed from error
        on_corrupt(message, placed)
        return None


def _sent_at(message: Message) -> datetime | None:
    kind, milliseconds = message.timestamp()
    return None if kind == TIMESTAMP_NOT_AVAILABLE else datetime.fromtimestamp(milliseconds / 1000, UTC)


def _stalled(
    consumer: PipelinedConsumer, kafka: Mapping[str, Any], load_range: LoadRange, budget_s: float
) -> BrokerUnavailableError:
    """Why nothing came: the broker is away, or it holds less than the range asks for."""
    waiting = [one.partition for one in consumer.status().partitions if one.lag]
    span = next((s for s in load_range.spans if s.partition in waiting), load_range.spans[0])
    where: dict[str, Any] = {"feed": load_range.feed, "topic": load_range.topic, "partition": span.partition}
    asking = Consumer(consumer_config(kafka, group_id=group_of(load_range.feed)))
    try:
        _, high = asking.get_watermark_offsets(
            TopicPartition(load_range.topic, span.partition), timeout=REQUEST_SECONDS
        )
    except KafkaException as error:
        return BrokerUnavailableError(
            f"no message and no answer from the broker for {budget_s:g} s: {error}; the load can be repeated", **where
        )
    finally:
        asking.close()
    return BrokerUnavailableError(
        f"nothing to read for {budget_s:g} s: the partition's readable end is {high}, the range's {span.end}; a "
        "transaction may be open, or a replica may still be catching up; the load can be repeated",
        **where,
    )
