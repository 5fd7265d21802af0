"""Everything that lies on an error topic now, without joining a group and without committing."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from feedline.batch.headers import header
from feedline.consumer.messages import Headers, place_of
from feedline.errors import BrokerUnavailableError, ConfigurationError
from feedline.kafka.admin import admin_client, partition_count, watermarks
from feedline.kafka.config import consumer_config
from feedline.kafka.errors import translate

# `assign` needs the name of a group though it never joins one, and nothing is committed under it.
GROUP = "feedline.errors"
MESSAGES_A_CALL = 500
TIMEOUT_SECONDS = 30.0


def error_messages(
    kafka: Mapping[str, Any], error_topic: str, *, timeout_s: float = TIMEOUT_SECONDS
) -> Generator[Message]:
    """The messages between the watermarks of this moment, each partition's in offset order; none of a missing topic.

    Holds a few hundred messages at a time. Raises BrokerUnavailableError when nothing comes for `timeout_s`. The
    client is closed when the iterator ends, fails or is closed.
    """
    try:
        partitions = partition_count(admin_client(kafka), error_topic)
    except ConfigurationError:
        return
    marks = watermarks(kafka, error_topic, range(partitions))
    left = {partition: high for partition, (low, high) in marks.items() if low < high}
    consumer = Consumer(consumer_config(kafka, group_id=GROUP) | {"enable.partition.eof": True})
    try:
        consumer.assign([TopicPartition(error_topic, partition, marks[partition][0]) for partition in left])
        deadline = time.monotonic() + timeout_s
        while left:
            messages = consumer.consume(MESSAGES_A_CALL, timeout=0.1)
            if messages:
                deadline = time.monotonic() + timeout_s
            elif time.monotonic() > deadline:
                raise BrokerUnavailableError(f"no message for {timeout_s:g} s", topic=error_topic)
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
                    raise translate(error, topic=error_topic, partition=partition)
                # The readable end may be short of the high watermark by a transaction's marker.
                if offset >= left.get(partition, 0) or error is not None:
                    left.pop(partition, None)
    except KafkaException as error:
        raise translate(error.args[0], topic=error_topic) from error
    finally:
        consumer.close()


def error_id(headers: Headers) -> str | None:
    """What an error is known by: the correlation id of its line or micro-batch, else one made from its place."""
    kept = list(headers or ())
    return header(kept, "correlationId") or header(kept, "errorId")
