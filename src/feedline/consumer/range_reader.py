"""Reading a range of offsets: every micro-batch of one feed in it, once, in offset order within a partition.

The reader assigns its partitions itself. It joins no group and commits nothing: where a feed stands is the
warehouse's to say, so reading a range twice, or by two loaders at once, disturbs nobody.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from feedline.batch.consumed import ConsumedBatch
from feedline.batch.headers import MANIFEST, header, read_headers
from feedline.consumer.messages import headers_of, place_of
from feedline.consumer.ranges import LoadRange, PartitionSpan
from feedline.errors import BrokerUnavailableError, CorruptBatchError, OffsetsExpiredError
from feedline.kafka.config import consumer_config
from feedline.kafka.errors import translate

# Messages of 100 kB: the bytes in flight are bounded by librdkafka's own queue limits, not by this count.
MESSAGES_A_CALL = 200
# `consume` waits for the whole count: this is how long the last few messages of a range are waited for.
CALL_SECONDS = 0.1
BUDGET_SECONDS = 60.0

_EXPIRED = frozenset({KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET})

OnCorrupt = Callable[[Message, CorruptBatchError], None]


def group_of(feed: str) -> str:
    """The consumer group in whose name a feed is loaded."""
    return f"feedline.{feed}"


def read_range(
    kafka: Mapping[str, Any],
    load_range: LoadRange,
    *,
    budget_s: float = BUDGET_SECONDS,
    on_corrupt: OnCorrupt | None = None,
    group_id: str | None = None,
) -> Generator[ConsumedBatch]:
    """The feed's micro-batches in the range; other feeds' messages and manifests are passed over by their headers.

    kafka: librdkafka client properties. budget_s: seconds without any progress after which the broker counts as away.
    group_id: the name the reader goes by on the broker, the feed's group without one; it is never joined either way.
    A message of the feed whose headers cannot be read goes to `on_corrupt`, or raises CorruptBatchError without one.

    Raises OffsetsExpiredError when the range is no longer on the topic, BrokerUnavailableError when nothing came for
    `budget_s`. The client is closed when the iterator ends, fails or is closed.
    """
    remaining = {span.partition: span for span in load_range.spans}
    if not remaining:
        return
    with _assigned(kafka, load_range, group_id or group_of(load_range.feed)) as consumer:
        deadline = time.monotonic() + budget_s
        while remaining:
            messages = consumer.consume(MESSAGES_A_CALL, timeout=CALL_SECONDS)
            if messages:
                deadline = time.monotonic() + budget_s
            elif time.monotonic() > deadline:
                raise _stalled(consumer, load_range.topic, remaining, budget_s)
            for message in messages:
                partition, offset = place_of(message)
                span = remaining.get(partition)
                if span is None and message.error() is None:
                    continue
                passed = _passes(consumer, message, span, load_range)
                if span is not None and not passed and message.error() is None:
                    batch = batch_of(message, load_range.feed, on_corrupt)
                    if batch is not None:
                        yield batch
                        # What the caller does with a batch is not the broker's silence.
                        deadline = time.monotonic() + budget_s
                    passed = offset + 1 >= span.end
                if passed:
                    del remaining[partition]
                    consumer.pause([TopicPartition(load_range.topic, partition)])


@contextmanager
def _assigned(kafka: Mapping[str, Any], load_range: LoadRange, group_id: str) -> Iterator[Consumer]:
    # An end that no message lies at, as a transaction's marker, is known by the end-of-partition event.
    overrides = {"enable.partition.eof": True, "auto.offset.reset": "error"}
    consumer = Consumer(consumer_config(kafka, group_id=group_id) | overrides)
    try:
        consumer.assign([TopicPartition(load_range.topic, s.partition, s.start) for s in load_range.spans])
        yield consumer
    except KafkaException as error:
        raise translate(error.args[0], feed=load_range.feed, topic=load_range.topic) from error
    finally:
        consumer.close()


def _passes(consumer: Consumer, message: Message, span: PartitionSpan | None, load_range: LoadRange) -> bool:
    """Whether this event says that the rest of its span holds nothing; raises what an error event means."""
    error = message.error()
    partition, offset = place_of(message)
    if error is None or error.code() == KafkaError._PARTITION_EOF:
        return span is not None and offset >= span.end
    where: dict[str, Any] = {"feed": load_range.feed, "topic": load_range.topic, "partition": partition}
    if error.code() in _EXPIRED and span is not None:
        low, high = consumer.get_watermark_offsets(TopicPartition(load_range.topic, span.partition), timeout=10)
        raise OffsetsExpiredError(
            f"offsets {span.start} to {span.end - 1} are not on the topic, which holds {low} to {high - 1}: plan the "
            "load again, and produce what was never loaded again from the file archive",
            **where,
            offset=span.start,
        )
    failure = translate(error, **where)
    if isinstance(failure, BrokerUnavailableError):
        # librdkafka reconnects by itself; the budget decides when to give up.
        return False
    raise failure


def batch_of(message: Message, feed: str, on_corrupt: OnCorrupt | None) -> ConsumedBatch | None:
    """The feed's micro-batch that a message is; None for another feed's, a manifest, and what went to `on_corrupt`."""
    headers = headers_of(message)
    if header(headers, "feed") != feed or header(headers, "contentType") == MANIFEST:
        return None
    topic = str(message.topic())
    partition, offset = place_of(message)
    try:
        return ConsumedBatch(topic, partition, offset, read_headers(headers), message.value() or b"")
    except CorruptBatchError as error:
        placed = CorruptBatchError(error.reason, feed=feed, topic=topic, partition=partition, offset=offset)
        if on_corrupt is None:
            raise placed from error
        on_corrupt(message, placed)
        return None


def _stalled(
    consumer: Consumer, topic: str, remaining: Mapping[int, PartitionSpan], budget_s: float
) -> BrokerUnavailableError:
    """Why nothing came: the broker is away, or it holds less than the range asks for."""
    partition, span = next(iter(remaining.items()))
    where: dict[str, Any] = {"topic": topic, "partition": partition}
    try:
        _, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=5)
    except KafkaException as error:
        return BrokerUnavailableError(
            f"no message and no answer from the broker for {budget_s:g} s: {error}; the load can be repeated", **where
        )
    return BrokerUnavailableError(
        f"nothing to read for {budget_s:g} s: the partition's readable end is {high}, the range's {span.end}; a "
        "transaction may be open, or a replica may still be catching up; the load can be repeated",
        **where,
    )
