"""How many records lie on an error topic, by delivery: each counted once, however often it was sent."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from feedline.batch.headers import header
from feedline.consumer.messages import headers_of, place_of
from feedline.errors import BrokerUnavailableError, ConfigurationError
from feedline.kafka.admin import admin_client, partition_count, watermarks
from feedline.kafka.config import consumer_config
from feedline.kafka.errors import translate

# `assign` needs the name of a group though it never joins one, and nothing is committed under it.
GROUP = "feedline.error-counts"
MESSAGES_A_CALL = 500
TIMEOUT_SECONDS = 30.0


def error_counts(kafka: Mapping[str, Any], error_topic: str, *, timeout_s: float = TIMEOUT_SECONDS) -> dict[str, int]:
    """Records on the error topic now by delivery id, over distinct correlation ids.

    A refused micro-batch counts as many records as its header says, a refused line one; what names no delivery is left
    out. A topic that is not there has none. Raises BrokerUnavailableError when nothing comes for `timeout_s`.
    """
    try:
        partitions = partition_count(admin_client(kafka), error_topic)
    except ConfigurationError:
        return {}
    marks = watermarks(kafka, error_topic, range(partitions))
    left = {partition: high for partition, (low, high) in marks.items() if low < high}
    records: dict[str, dict[str, int]] = defaultdict(dict)
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
                    headers = headers_of(message)
                    delivery, record = header(headers, "deliveryId"), header(headers, "correlationId")
                    if delivery and record:
                        records[delivery][record] = _records(header(headers, "recordCount"))
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
    return {delivery: sum(by_id.values()) for delivery, by_id in records.items()}


def _records(count: str | None) -> int:
    return int(count) if count is not None and count.isdigit() else 1
