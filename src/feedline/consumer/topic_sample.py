"""A sample of what lies on a topic: its newest messages, taken from every partition alike, without joining a group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from confluent_kafka import Message

from feedline.batch.headers import MANIFEST, header
from feedline.consumer.messages import headers_of, place_of
from feedline.consumer.spans import read_spans
from feedline.kafka.admin import admin_client, partition_count, watermarks

GROUP = "feedline.discovery"
# How much further back each look goes when the last one found too few messages of the feed.
WIDER = 8


def newest_messages(kafka: Mapping[str, Any], topic: str, most: int, *, feed: str | None = None) -> list[Message]:
    """Up to `most` messages, those of one feed when it is named, by partition and offset; manifests are left out.

    It looks back as far as it must, to the topic's beginning when the feed's messages are few. Raises
    ConfigurationError when there is no such topic, BrokerUnavailableError.
    """
    marks = watermarks(kafka, topic, range(partition_count(admin_client(kafka), topic)))
    ends = {partition: high for partition, (low, high) in marks.items() if low < high}
    found: list[Message] = []
    reach = max(1, -(-most // max(1, len(ends))))
    while ends and len(found) < most:
        spans = {one: (max(marks[one][0], end - reach), end) for one, end in ends.items()}
        found += [message for message in read_spans(kafka, topic, spans, group=GROUP) if _wanted(message, feed)]
        ends = {one: start for one, (start, _) in spans.items() if start > marks[one][0]}
        reach *= WIDER
    newest = sorted(found, key=lambda message: (message.timestamp()[1], *place_of(message)))[-most:]
    return sorted(newest, key=place_of)


def _wanted(message: Message, feed: str | None) -> bool:
    headers = list(headers_of(message) or ())
    if message.value() is None or header(headers, "contentType") == MANIFEST:
        return False
    return feed is None or header(headers, "feed") == feed
