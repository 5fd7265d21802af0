"""What bulk entry has published on partitions of `orders.out`, read back when they come to an instance."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from feedline.consumer.messages import place_of
from feedline.errors import BrokerUnavailableError
from feedline.kafka.admin import REQUEST_SECONDS, admin_client, watermarks
from feedline.kafka.config import consumer_config
from feedline.kafka.errors import translate
from feedline.orders.model import EntrySource, facts_from_headers
from feedline.orders.model.book import Book, Place
from feedline.orders.topics import BULK_GROUP

GROUP = 1_000


def read_books(
    kafka: Mapping[str, Any], topic: str, partitions: Iterable[int], *, orders: int, within_s: float
) -> dict[int, Book]:
    """By partition, the book of its last `orders` events or more.

    Returns only when every transaction that was open on them at the call has ended: one of an instance that held a
    partition before may be about to be committed or given up. Raises BrokerUnavailableError when that takes longer
    than `within_s`, and what `watermarks` raises.
    """
    wanted = list(partitions)
    ends = _ends(kafka, topic, wanted)
    begins = {p: max(low, ends[p] - orders) for p, (low, _) in watermarks(kafka, topic, wanted).items()}
    books = {p: Book(orders) for p in wanted}
    left = {p for p in wanted if begins[p] < ends[p]}
    consumer = Consumer(consumer_config(kafka, group_id=BULK_GROUP) | {"enable.partition.eof": True})
    deadline = time.monotonic() + within_s
    try:
        consumer.assign([TopicPartition(topic, p, begins[p]) for p in left])
        while left:
            if time.monotonic() > deadline:
                raise BrokerUnavailableError(
                    f"what was published cannot be read back within {within_s:g} s: a transaction stays open, or the "
                    "broker is away",
                    topic=topic,
                    partition=min(left),
                )
            for message in consumer.consume(GROUP, 0.1):
                partition, offset = place_of(message)
                error = message.error()
                if error is None:
                    facts = facts_from_headers(message.key(), message.headers(), EntrySource.BULK)
                    if facts is not None:
                        books[partition].adopt(facts, Place(partition, offset))
                    offset += 1
                elif error.code() != KafkaError._PARTITION_EOF:
                    raise translate(error, topic=topic, partition=partition)
                if offset >= ends.get(partition, 0):
                    left.discard(partition)
    finally:
        consumer.close()
    return books


def _ends(kafka: Mapping[str, Any], topic: str, partitions: Iterable[int]) -> dict[int, int]:
    """Where the partitions end, open transactions included."""
    # Held until the answers are there: they never come to a client that is gone.
    admin = admin_client(kafka)
    asked = admin.list_offsets(
        {TopicPartition(topic, p): OffsetSpec.latest() for p in partitions},  # type: ignore[no-untyped-call]
        isolation_level=IsolationLevel.READ_UNCOMMITTED,
        request_timeout=REQUEST_SECONDS,
    )
    try:
        return {place.partition: int(future.result().offset) for place, future in asked.items()}
    except KafkaException as error:
        raise translate(error, topic=topic) from error
