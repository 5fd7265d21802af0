"""What confluent-kafka's loosely typed messages hold once they were consumed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from confluent_kafka import Message

Headers = Iterable[tuple[str, bytes | str | None]] | None


def headers_of(message: Message) -> Headers:
    return cast("Headers", message.headers())


def place_of(message: Message) -> tuple[int, int]:
    """Partition and offset; -1 for what an error event does not know."""
    partition, offset = message.partition(), message.offset()
    return (-1 if partition is None else partition, -1 if offset is None else offset)
