"""What goes to a topic's error topic: the original bytes, and in the headers where they came from and what is wrong.

Its id is made from the delivery, the source and the line, so a delivery that is produced again names the same errors
again; whoever counts them counts distinct ids. What mends an error, a corrected record or the same micro-batch sent
again, is a micro-batch under the error's own id: an error is redriven when the ledger has its id as loaded, and no
second record of that could disagree with the tables.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from feedline.batch.headers import JSON, BatchHeaders, KafkaHeaders
from feedline.batch.identity import Delivery, name_id
from feedline.errors import TerminalError

# The batch index of a corrected record: it has no place among the micro-batches of its file. A manifest has -1.
REDRIVEN_INDEX = -2

# Kafka takes headers of any length; a reason that quotes a bad value must not outgrow the record itself.
MAX_REASON = 1_000


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a refused message lay."""

    topic: str
    partition: int
    offset: int

    def to_kafka(self) -> KafkaHeaders:
        pairs = [
            ("originalTopic", self.topic),
            ("originalPartition", str(self.partition)),
            ("originalOffset", str(self.offset)),
        ]
        return [(name, value.encode()) for name, value in pairs]


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """A record, or a whole micro-batch, that was refused. `line` counts from 1; `field_path` is dotted.

    `error_code` is the name of the error's class. Of a micro-batch, `origin`, `batch_index` and `traceparent` are what
    its message had.
    """

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
    batch_index: int | None = None
    traceparent: str | None = None
    origin: Origin | None = None

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
        if self.batch_index is not None:
            pairs.append(("batchIndex", str(self.batch_index)))
        if self.traceparent is not None:
            pairs.append(("traceparent", self.traceparent))
        origin = self.origin.to_kafka() if self.origin is not None else []
        return [*((name, value.encode(errors="replace")) for name, value in pairs), *origin]


def line_id(delivery_id: str, sha256: str, line: int) -> str:
    """The id of the error of one line of a file with this SHA-256."""
    return name_id(f"{delivery_id}\x1f{sha256}\x1fline {line}")


def place_id(origin: Origin) -> str:
    """The id of the error of a message whose own id cannot be read: the same whenever that message is read again."""
    return name_id(f"{origin.topic}\x1f{origin.partition}\x1f{origin.offset}")


def refused_batch(
    headers: BatchHeaders, value: bytes, error: TerminalError, origin: Origin | None = None
) -> ErrorRecord:
    """A micro-batch that cannot be loaded: it keeps its own correlation id. origin: where its message lies."""
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
        batch_index=headers.batch_index,
        traceparent=headers.traceparent,
        origin=origin,
    )


def refused_message(origin: Origin, error: TerminalError, error_id: str | None = None) -> KafkaHeaders:
    """What is added to the headers of a message that is refused as it is: they are kept before these. error_id: what
    the error is known by, its place without one."""
    return [
        ("reason", str(error)[:MAX_REASON].encode(errors="replace")),
        ("errorCode", type(error).__name__.encode()),
        ("errorId", (error_id or place_id(origin)).encode(errors="replace")),
        *origin.to_kafka(),
    ]
