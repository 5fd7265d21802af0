"""An error as it lies on an error topic, and which of them somebody asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from confluent_kafka import Message

from feedline.batch.error_record import Origin, place_id
from feedline.batch.headers import JSON, BatchHeaders, read_headers
from feedline.batch.identity import Cycle, Delivery
from feedline.consumer.error_counts import record_count
from feedline.consumer.error_topic import error_id, error_messages
from feedline.consumer.messages import headers_of, place_of
from feedline.errors import CorruptBatchError

# What is shown of bytes that are not UTF-8.
_REPLACE = "backslashreplace"


@dataclass(frozen=True, slots=True)
class StoredError:
    """A refused line of a file, or a refused message; `value` has its bytes as they came.

    headers: every header of the error's message, in order, as bytes. at: where that message lies; origin: where a
    refused message lay. A line has its number; a message that did not say what it is has neither delivery nor batch.
    """

    error_id: str
    feed: str
    reason: str
    error_code: str
    value: bytes = field(repr=False)
    headers: tuple[tuple[str, bytes | None], ...] = field(repr=False)
    at: Origin
    delivery: Delivery | None = None
    source_file: str | None = None
    line: int | None = None
    field_path: str | None = None
    records: int = 1
    content_type: str = JSON
    origin: Origin | None = None
    batch: BatchHeaders | None = None

    @property
    def delivery_id(self) -> str | None:
        return None if self.delivery is None else self.delivery.delivery_id

    @property
    def is_line(self) -> bool:
        return self.line is not None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which errors are meant; every condition that is given must hold, and none means all."""

    feeds: frozenset[str] | None = None
    business_date: date | None = None
    delivery_id: str | None = None
    error_ids: frozenset[str] | None = None
    error_code: str | None = None

    def takes(self, error: StoredError) -> bool:
        return (
            (self.feeds is None or error.feed in self.feeds)
            and (
                self.business_date is None
                or (error.delivery is not None and error.delivery.business_date == self.business_date)
            )
            and (self.delivery_id is None or error.delivery_id == self.delivery_id)
            and (self.error_ids is None or error.error_id in self.error_ids)
            and (self.error_code is None or error.error_code == self.error_code)
        )


def read_errors(kafka: Mapping[str, Any], error_topic: str, selection: Selection) -> Iterator[StoredError]:
    """The errors on the topic now that are meant, each once, in the order of the topic.

    Remembers the ids, not the errors. Raises BrokerUnavailableError.
    """
    seen: set[str] = set()
    messages = error_messages(kafka, error_topic)
    try:
        for message in messages:
            error = stored_error(message)
            if selection.takes(error) and error.error_id not in seen:
                seen.add(error.error_id)
                yield error
    finally:
        messages.close()


def stored_error(message: Message) -> StoredError:
    """The error that a message of an error topic tells of; whatever it lacks, there is one."""
    raw = tuple((name, _bytes(value)) for name, value in headers_of(message) or ())
    # Of a header given twice the first counts, as everywhere; what was added to a message comes after its own.
    text = {name: value.decode(errors=_REPLACE) for name, value in reversed(raw) if value is not None}
    at = Origin(str(message.topic()), *place_of(message))
    line = _number(text.get("line"))
    return StoredError(
        error_id=error_id(raw) or place_id(at),
        feed=text.get("feed", ""),
        reason=_added(raw, "reason"),
        error_code=_added(raw, "errorCode"),
        value=message.value() or b"",
        headers=raw,
        at=at,
        delivery=_delivery(text),
        source_file=text.get("sourceFile") or None,
        line=line,
        field_path=text.get("field"),
        records=record_count(text.get("recordCount")),
        content_type=text.get("contentType", JSON),
        origin=_origin(raw),
        batch=None if line is not None else _batch(raw),
    )


def _bytes(value: bytes | str | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _added(raw: tuple[tuple[str, bytes | None], ...], name: str) -> str:
    """The last header of this name: what refused the message said it after whatever the message said itself."""
    found = [value for key, value in raw if key == name and value is not None]
    return found[-1].decode(errors=_REPLACE) if found else ""


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() and len(text) < 19 else None


def _delivery(text: Mapping[str, str]) -> Delivery | None:
    try:
        business_date, cycle = date.fromisoformat(text["businessDate"]), Cycle(text["cycle"])
        return Delivery(text["feed"], business_date, cycle, text["deliveryId"])
    except (KeyError, ValueError):
        return None


def _origin(raw: tuple[tuple[str, bytes | None], ...]) -> Origin | None:
    partition, offset = _number(_added(raw, "originalPartition")), _number(_added(raw, "originalOffset"))
    topic = _added(raw, "originalTopic")
    return None if not topic or partition is None or offset is None else Origin(topic, partition, offset)


def _batch(raw: tuple[tuple[str, bytes | None], ...]) -> BatchHeaders | None:
    """The headers of the micro-batch, when its message had them and they can be read."""
    try:
        return read_headers(raw)
    except CorruptBatchError:
        return None
