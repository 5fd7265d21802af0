"""The headers of a micro-batch message (DESIGN section 5)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from feedline.batch.identity import Cycle
from feedline.errors import CorruptBatchError

AVRO = "application/avro"
JSON = "application/json"
MANIFEST = "application/vnd.feedline.manifest+avro"
CONTENT_TYPES = frozenset({AVRO, JSON, MANIFEST})

KafkaHeaders = list[tuple[str, bytes]]

# What the ledger's columns hold: a UUID's length, and 32 bits.
MAX_ID = 36
_COUNTS = range(-(2**31), 2**31)


@dataclass(frozen=True, slots=True)
class BatchHeaders:
    """`batch_index` counts from 0 within the source file; a manifest has index -1 and record count 0."""

    correlation_id: str
    feed: str
    business_date: date
    cycle: Cycle
    delivery_id: str
    batch_index: int
    record_count: int
    source_file: str
    content_type: str
    traceparent: str | None = None

    def to_kafka(self) -> KafkaHeaders:
        pairs = [
            ("correlationId", self.correlation_id),
            ("feed", self.feed),
            ("businessDate", self.business_date.isoformat()),
            ("cycle", self.cycle.value),
            ("deliveryId", self.delivery_id),
            ("batchIndex", str(self.batch_index)),
            ("recordCount", str(self.record_count)),
            ("sourceFile", self.source_file),
            ("contentType", self.content_type),
        ]
        if self.traceparent is not None:
            pairs.append(("traceparent", self.traceparent))
        return [(name, value.encode()) for name, value in pairs]


def read_headers(headers: Iterable[tuple[str, bytes | str | None]] | None) -> BatchHeaders:
    """The headers of a consumed message; raises CorruptBatchError when one is missing, unreadable, or more than the
    ledger can hold."""
    found: dict[str, str] = {}
    try:
        for name, value in headers or ():
            if value is not None:
                found[name] = value if isinstance(value, str) else value.decode()
        read = BatchHeaders(
            correlation_id=found["correlationId"],
            feed=found["feed"],
            business_date=date.fromisoformat(found["businessDate"]),
            cycle=Cycle(found["cycle"]),
            delivery_id=found["deliveryId"],
            batch_index=int(found["batchIndex"]),
            record_count=int(found["recordCount"]),
            source_file=found["sourceFile"],
            content_type=found["contentType"],
            traceparent=found.get("traceparent"),
        )
    except KeyError as error:
        raise CorruptBatchError(f"the message has no {error.args[0]} header") from None
    except ValueError as error:
        raise CorruptBatchError(f"a header of the message cannot be read: {error}") from error
    if len(read.correlation_id) > MAX_ID:
        raise CorruptBatchError(f"the message's correlationId has more than {MAX_ID} characters")
    if read.batch_index not in _COUNTS or read.record_count not in _COUNTS:
        raise CorruptBatchError("the message's batchIndex or recordCount is beyond 32 bits")
    return read


def header(headers: Iterable[tuple[str, bytes | str | None]] | None, name: str) -> str | None:
    """One header's text without reading the rest: how a consumer skips the messages of other feeds."""
    for key, value in headers or ():
        if key == name and value is not None:
            return value if isinstance(value, str) else value.decode(errors="replace")
    return None
