"""What goes to a topic's error topic: the original bytes, and in the headers where they came from and what is wrong.

Its id is made from the delivery, the source and the line, so a delivery that is produced again names the same errors
again; whoever counts them counts distinct ids.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import uuid5

from feedline.batch.headers import JSON, BatchHeaders, KafkaHeaders
from feedline.batch.identity import NAMESPACE, Delivery
from feedline.errors import CorruptBatchError

# Kafka takes headers of any length; a reason that quotes a bad value must not outgrow the record itself.
MAX_REASON = 1_000


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """A record, or a whole micro-batch, that was refused. `line` counts from 1; `field_path` is dotted."""

    correlation_id: str
    delivery: Delivery
    source_file: str
    reason: str
    error_code: str
    value: bytes = field(repr=False)
    line: int | None = None
    field_path: str | None = None
    content_type: str = JSON
    records: int = 1

    def to_kafka(self) -> KafkaHeaders:
        pairs = [
            ("correlationId", self.correlation_id),
            ("feed", self.delivery.feed),
            ("businessDate", self.delivery.business_date.isoformat()),
            ("cycle", self.delivery.cycle.value),
            ("deliveryId", self.delivery.delivery_id),
            ("sourceFile", self.source_file),
            ("recordCount", str(self.records)),
            ("reason", self.reason[:MAX_REASON]),
            ("errorCode", self.error_code),
            ("contentType", self.content_type),
        ]
        if self.line is not None:
            pairs.append(("line", str(self.line)))
        if self.field_path is not None:
            pairs.append(("field", self.field_path))
        return [(name, value.encode(errors="replace")) for name, value in pairs]


def line_id(delivery_id: str, sha256: str, line: int) -> str:
    """The id of the error of one line of a file with this SHA-256."""
    return str(uuid5(NAMESPACE, f"{delivery_id}\x1f{sha256}\x1fline {line}"))


def refused_batch(headers: BatchHeaders, value: bytes, error: CorruptBatchError) -> ErrorRecord:
    """A micro-batch that cannot be decoded: it keeps its own correlation id."""
    return ErrorRecord(
        correlation_id=headers.correlation_id,
        delivery=Delivery(headers.feed, headers.business_date, headers.cycle, headers.delivery_id),
        source_file=headers.source_file,
        reason=str(error),
        error_code=type(error).__name__,
        value=value,
        field_path=error.where.field,
        content_type=headers.content_type,
        records=headers.record_count,
    )
