"""Everything that lies on an error topic now, without joining a group and without committing."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from confluent_kafka import Message

from feedline.batch.headers import header
from feedline.consumer.messages import Headers
from feedline.consumer.spans import TIMEOUT_SECONDS, read_spans
from feedline.errors import ConfigurationError
from feedline.kafka.admin import admin_client, partition_count, watermarks

# `assign` needs the name of a group though it never joins one, and nothing is committed under it.
GROUP = "feedline.errors"


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
    yield from read_spans(kafka, error_topic, marks, group=GROUP, timeout_s=timeout_s)


def error_id(headers: Headers) -> str | None:
    """What an error is known by: what refused it says so after the message's own headers; of a line and a micro-batch
    it is the correlation id."""
    kept = list(headers or ())
    return header(reversed(kept), "errorId") or header(kept, "correlationId")
