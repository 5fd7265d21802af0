"""The headers of an order message.

Beside what every message has, they say what the life cycle needs to know of the event, so that a service which only
has to know how orders stand need not decode them all.
"""

from __future__ import annotations

import re
from typing import Any

from feedline.batch.headers import AVRO, KafkaHeaders
from feedline.batch.identity import name_id
from feedline.errors import CorruptBatchError
from feedline.orders.model.events import EntrySource, EventKind, OrderEvent
from feedline.orders.model.life_cycle import DIGEST_BYTES, Facts

_CONTENT_TYPE = AVRO.encode()
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_KINDS: dict[object, EventKind] = {kind.value.encode(): kind for kind in EventKind}


def event_headers(event: OrderEvent, facts: Facts, traceparent: str | None = None) -> KafkaHeaders:
    """facts: of the same event. traceparent: of the request or message that brought it (W3C Trace Context); without a
    valid one the event begins a trace of its own."""
    headers = [
        ("correlationId", event.event_id.encode()),
        ("contentType", _CONTENT_TYPE),
        ("source", event.source.encode()),
        ("sequence", b"%d" % event.sequence),
        ("kind", event.kind.encode()),
        ("digest", facts.content + facts.terms + facts.instrument),
    ]
    headers.append(("traceparent", _trace(event.event_id, traceparent).encode()))
    return headers


def _trace(event_id: str, given: str | None) -> str:
    if given and _TRACEPARENT.fullmatch(given):
        return given
    trace = event_id.replace("-", "").lower()
    if not _TRACE_ID.fullmatch(trace):
        trace = name_id(event_id).replace("-", "")
    return f"00-{trace}-{trace[:16]}-01"


def facts_from_headers(key: bytes | str | None, headers: Any, source: EntrySource) -> Facts | None:
    """The facts of a message of `orders.out` that came through that entry, None when it came through another.
    key, headers: as confluent-kafka's messages give them.

    Raises CorruptBatchError for a message without them.
    """
    found: dict[str, Any] = dict(headers or ())
    if found.get("source") != source.encode():
        return None
    digest, sequence, kind = found.get("digest", b""), found.get("sequence", b""), _KINDS.get(found.get("kind"))
    if key is None or kind is None or len(digest) < 2 * DIGEST_BYTES or not sequence.isdigit():
        raise CorruptBatchError("the message has not the key and headers of an order event")
    return Facts(
        key if isinstance(key, str) else key.decode(errors="replace"),
        int(sequence),
        kind,
        digest[:DIGEST_BYTES],
        digest[DIGEST_BYTES : 2 * DIGEST_BYTES],
        digest[2 * DIGEST_BYTES :],
    )
