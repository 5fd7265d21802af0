"""What bulk entry has published on partitions of `orders.out`, read back when they come to an instance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from feedline.consumer.messages import place_of
from feedline.consumer.spans import read_spans
from feedline.kafka.admin import REQUEST_SECONDS, admin_client, watermarks
from feedline.kafka.errors import translate
from feedline.orders.model import EntrySource, facts_from_headers
from feedline.orders.model.book import Book, Place
from feedline.orders.topics import BULK_GROUP


def read_books(
    kafka: Mapping[str, Any], topic: str, partitions: Iterable[int], *, orders: int, within_s: float
) -> dict[int, Book]:
    """By partition, the book of its last `orders` events or more.

    Returns only when every transaction that was open on them at the call has ended: one of an instance that held a
    partition before may be about to be committed or given up. Raises BrokerUnavailableError when nothing comes for
    `within_s`, and what `watermarks` raises.
    """
    wanted = list(partitions)
    ends = _ends(kafka, topic, wanted)
    begins = {p: max(low, ends[p] - orders) for p, (low, _) in watermarks(kafka, topic, wanted).items()}
    books = {p: Book(orders) for p in wanted}
    spans = {p: (begins[p], ends[p]) for p in wanted}
    for message in read_spans(kafka, topic, spans, group=BULK_GROUP, timeout_s=within_s):
        partition, offset = place_of(message)
        facts = facts_from_headers(message.key(), message.headers(), EntrySource.BULK)
        if facts is not None:
            books[partition].adopt(facts, Place(partition, offset))
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
