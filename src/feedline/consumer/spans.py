"""What lies between two offsets of some partitions, without joining a group and without committing."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from feedline.consumer.messages import place_of
from feedline.errors import BrokerUnavailableError
from feedline.kafka.config import consumer_config
from feedline.kafka.errors import translate

MESSAGES_A_CALL = 500
TIMEOUT_SECONDS = 30.0


def read_spans(
    kafka: Mapping[str, Any],
    topic: str,
    spans: Mapping[int, tuple[int, int]],
    *,
    group: str,
    timeout_s: float = TIMEOUT_SECONDS,
    uncommitted: bool = False,
) -> Generator[Message]:
    """The messages of each partition from its first offset to the one before its second, in offset order; all of them.

    group: `assign` needs a name though no group is joined, and nothing is committed under it. Where a span ends behind
    a transaction that is open it waits for that to end, unless `uncommitted` asks for what lies there as it lies. Holds
    a few hundred messages at a time. The client is closed when the iterator ends, fails or is closed. Raises
    BrokerUnavailableError when nothing comes for `timeout_s`, OffsetsExpiredError when a span begins before what the
    topic still holds.
    """
    left = {partition: end for partition, (start, end) in spans.items() if start < end}
    reached = {partition: spans[partition][0] for partition in left}
    level = {"isolation.level": "read_uncommitted"} if uncommitted else {}
    consumer = Consumer(consumer_config(kafka, group_id=group) | {"enable.partition.eof": True} | level)
    try:
        consumer.assign([TopicPartition(topic, partition, spans[partition][0]) for partition in left])
        deadline = time.monotonic() + timeout_s
        while left:
            messages = consumer.consume(MESSAGES_A_CALL, timeout=0.1)
            if messages:
                deadline = time.monotonic() + timeout_s
            elif time.monotonic() > deadline:
                raise _stopped_short(topic, reached, left, timeout_s)
            for message in messages:
                partition, offset = place_of(message)
                error = message.error()
                if error is None:
                    if offset < left.get(partition, 0):
                        yield message
                        # What the caller does with a message is not the broker's silence.
                        deadline = time.monotonic() + timeout_s
                    offset += 1
                elif error.code() != KafkaError._PARTITION_EOF:
                    raise translate(error, topic=topic, partition=partition)
                reached[partition] = offset
                # Behind markers of transactions, which are no messages, the partition's end tells. Short of what was
                # asked for it is none: a leader that is new may not know yet how far the others have come, and tells
                # another end, without being asked, when it does.
                if offset >= left.get(partition, 0):
                    left.pop(partition, None)
    except KafkaException as error:
        raise translate(error, topic=topic) from error
    finally:
        consumer.close()


def _stopped_short(
    topic: str, reached: Mapping[int, int], left: Mapping[int, int], timeout_s: float
) -> BrokerUnavailableError:
    partition = min(left)
    return BrokerUnavailableError(
        f"no message for {timeout_s:g} s: the reading stands at offset {reached[partition]}, and was to go on to "
        f"{left[partition]}; a transaction is open there, or the broker is away or does not know all of the partition "
        "yet: try again",
        topic=topic,
        partition=partition,
        offset=reached[partition],
    )
