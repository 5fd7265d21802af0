"""The headers of an order message.

Beside what every message has, they say what the life cycle needs to know of the event, so that a service which only
has to know how orders stand need not decode them all.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from feedline.batch.headers import AVRO, KafkaHeaders
from feedline.errors import CorruptBatchError
from feedline.orders.model.events import EntrySource, EventKind, OrderEvent
from feedline.orders.model.life_cycle import DIGEST_BYTES, Facts

_CONTENT_TYPE = AVRO.encode()
_KINDS: dict[object, EventKind] = {kind.value.encode(): kind for kind in EventKind}


def event_headers(event: OrderEvent, facts: Facts, traceparent: str | bytes | None = None) -> KafkaHeaders:
    """facts: of the same event. traceparent: of the request or message that brought it (W3C Trace Context)."""
    headers = [
        ("correlationId", event.event_id.encode()),
        ("contentType", _CONTENT_TYPE),
        ("source", event.source.encode()),
        ("sequence", b"%d" % event.sequence),
        ("kind", event.kind.encode()),
        ("digest", facts.content + facts.terms + facts.instrument),
    ]
    if traceparent:
        headers.append(("traceparent", traceparent.encode() if isinstance(traceparent, str) else traceparent))
    return headers


def facts_from_headers(
    key: bytes | None, headers: Iterable[tuple[str, bytes | str | None]] | None, source: EntrySource
) -> Facts | None:
    """The facts of a message of `orders.out` that came through that entry, None when it came through another.

    Raises CorruptBatchError for a message without them.
    """
    found: dict[str, Any] = dict(headers or ())
    if found.get("source") != source.encode():
        return None
    digest, sequence, kind = found.get("digest", b""), found.get("sequence", b""), _KINDS.get(found.get("kind"))
    if key is None or kind is None or len(digest) < 2 * DIGEST_BYTES or not sequence.isdigit():
        raise CorruptBatchError("the message has not the key and headers of an order event")
    return Facts(
        key.decode(errors="replace"),
        int(sequence),
        kind,
        digest[:DIGEST_BYTES],
        digest[DIGEST_BYTES : 2 * DIGEST_BYTES],
        digest[2 * DIGEST_BYTES :],
    )
