"""What lies on `orders.ERROR`: which event or report of which order was refused, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from feedline.batch.error_record import MAX_REASON, Origin
from feedline.batch.headers import header
from feedline.consumer.error_topic import error_messages
from feedline.consumer.messages import headers_of
from feedline.orders.fix.raw import exec_id_of, fields_in
from feedline.orders.topics import OrderTopics

Place = tuple[int, int]
# The code of a message of the engine that could not be read.
REPORT_REFUSED = "ReportRefused"


@dataclass(frozen=True, slots=True)
class RefusedMessage:
    """sequence: of the event, as far as the message tells; code, reason: why; topic, partition, offset: where it lies,
    empty and -1 for a message of the engine; cl_ord_id, exec_id: of such a message, by which it is known."""

    key: str
    sequence: str
    code: str
    reason: str
    topic: str
    partition: int
    offset: int
    refused_at: datetime
    cl_ord_id: str = ""
    exec_id: str = ""


def refusal_headers(code: str, reason: str, origin: Origin) -> list[tuple[str, bytes]]:
    """What a refused event's message has beside its own headers; origin: where the event lies."""
    return [
        ("reason", reason[:MAX_REASON].encode(errors="replace")),
        ("errorCode", code.encode()),
        *origin.to_kafka(),
    ]


def refused_messages(kafka: Mapping[str, Any], topics: OrderTopics) -> Iterator[RefusedMessage]:
    """Everything that is there now, in the order in which it was refused; one message may have been refused twice.

    Raises BrokerUnavailableError.
    """
    for message in error_messages(kafka, topics.error):
        headers, key = list(headers_of(message) or ()), message.key()
        code = header(headers, "errorCode") or ""
        told = fields_in(message.value()) if code == REPORT_REFUSED else {}
        yield RefusedMessage(
            key=key.decode(errors="replace") if isinstance(key, bytes) else key or "",
            sequence=header(headers, "sequence") or "",
            code=code,
            reason=header(headers, "reason") or "",
            topic=header(headers, "originalTopic") or "",
            partition=int(header(headers, "originalPartition") or -1),
            offset=int(header(headers, "originalOffset") or -1),
            refused_at=datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC),
            cl_ord_id=told.get("11", ""),
            exec_id=exec_id_of(told),
        )


def refused_places(kafka: Mapping[str, Any], topics: OrderTopics) -> set[Place]:
    """Partition and offset on `orders.out` of the events that were refused, by whoever refused them."""
    return {(one.partition, one.offset) for one in refused_messages(kafka, topics) if one.topic == topics.out}
