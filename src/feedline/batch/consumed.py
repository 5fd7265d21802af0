"""A micro-batch as it was read from its topic."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from feedline.batch.headers import BatchHeaders


@dataclass(frozen=True, slots=True)
class ConsumedBatch:
    """One message: where it lies, what its headers say, and its value in the wire format, not yet decoded.

    sent_at: the message's own time, with zone, where it came from a topic.
    """

    topic: str
    partition: int
    offset: int
    headers: BatchHeaders
    value: bytes = field(repr=False)
    sent_at: datetime | None = None
