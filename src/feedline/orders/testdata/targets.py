"""Where made events go: a topic, a file, or order entry over HTTP."""

from __future__ import annotations

import http.client
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.parse import urlsplit
from zlib import crc32

import msgspec
from confluent_kafka import Producer

from feedline.errors import BrokerUnavailableError, ConfigurationError, FeedlineError
from feedline.kafka.acknowledged import AcknowledgedSender
from feedline.kafka.config import producer_config
from feedline.kafka.registry import registry_client, schema_id
from feedline.orders.model import EventKind, OrderEvent, encode_event
from feedline.orders.model.schemas import ORDER_EVENT, order_schema
from feedline.orders.testdata.lives import Made
from feedline.settings import Settings

FLUSH_S = 60.0
CALLERS = 16
AHEAD = 64
Advance = Callable[[float], None]


def paced(events: Iterable[Made], rate: float) -> Iterator[Made]:
    """The events, at most `rate` a second on average; 0: as fast as they are taken."""
    began = time.monotonic()
    for number, one in enumerate(events):
        wait = began + number / rate - time.monotonic() if rate else 0.0
        if wait > 0:
            time.sleep(wait)
        yield one


def to_topic(events: Iterable[Made], settings: Settings, topic: str, advance: Advance) -> Counter[str]:
    """Produces the events, acknowledged by all in-sync replicas; what was sent, by kind and by what is wrong.

    Raises BrokerUnavailableError when not all were acknowledged, ConfigurationError without the topic's schema.
    """
    number = schema_id(registry_client(settings.registry), f"{topic}-value", order_schema(ORDER_EVENT))
    sender = AcknowledgedSender(Producer(producer_config(settings.acting_as("order-test").kafka)), topic)
    counts: Counter[str] = Counter()
    for made in events:
        sender.send(encode_event(made.event, number), made.event.order_id)
        counts[made.wrong or made.event.kind.value] += 1
        advance(1)
    sender.settle(FLUSH_S)
    return counts


def to_file(events: Iterable[Made], file: Path, advance: Advance) -> Counter[str]:
    """Writes JSON lines, whole or not at all: amounts as texts, `wrong` beside the event. Counts as `to_topic`."""
    counts: Counter[str] = Counter()
    partial = file.with_name(f".{file.name}.partial")
    with partial.open("wb") as output:
        for made in events:
            output.write(msgspec.json.encode({"event": made.event, "wrong": made.wrong or None}) + b"\n")
            counts[made.wrong or made.event.kind.value] += 1
            advance(1)
    partial.replace(file)
    return counts


def to_http(events: Iterable[Made], url: str, key: str, advance: Advance) -> Counter[str]:
    """Sends each event to order entry; what was answered, by kind and status. All events of an order go one after the
    other, those of different orders side by side.

    Raises ConfigurationError for an address that is none, BrokerUnavailableError when nobody answers there.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"{url!r} is no address of order entry: write http://127.0.0.1:8091")
    queues: list[Queue[Made | None]] = [Queue(AHEAD) for _ in range(CALLERS)]
    with ThreadPoolExecutor(CALLERS) as pool:
        asked = [pool.submit(_call, queue, parts.scheme, parts.netloc, key, advance) for queue in queues]
        for made in events:
            queues[crc32(made.event.order_id.encode()) % CALLERS].put(made)
        for queue in queues:
            queue.put(None)
        return sum((future.result() for future in asked), Counter())


def _call(queue: Queue[Made | None], scheme: str, place: str, key: str, advance: Advance) -> Counter[str]:
    kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
    counts: Counter[str] = Counter()
    # The ids that order entry gave, by ours.
    ids: dict[str, str] = {}
    failed: FeedlineError | None = None
    with closing(kind(place, timeout=FLUSH_S)) as connection:
        while (made := queue.get()) is not None:
            if failed is None:
                try:
                    counts[_ask(connection, made.event, ids, key)] += 1
                    advance(1)
                except (OSError, http.client.HTTPException) as error:
                    failed = BrokerUnavailableError(f"order entry at {place} does not answer: {error}")
    if failed is not None:
        raise failed
    return counts


def _ask(connection: http.client.HTTPConnection, event: OrderEvent, ids: dict[str, str], key: str) -> str:
    body: dict[str, Any] = {"accountId": event.account_id, "product": event.product}
    if event.kind is not EventKind.NEW:
        body["sequence"] = event.sequence
    if event.order is not None:
        body["order"] = event.order
    known = ids.get(event.order_id, event.order_id)
    method, path = {
        EventKind.NEW: ("POST", "/orders"),
        EventKind.AMEND: ("PUT", f"/orders/{known}"),
        EventKind.CANCEL: ("POST", f"/orders/{known}/cancel"),
    }[event.kind]
    headers = {"X-API-Key": key, "Content-Type": "application/json"}
    if event.kind is EventKind.NEW:
        headers["Idempotency-Key"] = event.order_id
    connection.request(method, path, msgspec.json.encode(body), headers)
    answer = connection.getresponse()
    told = answer.read()
    if event.kind is EventKind.NEW and answer.status in (200, 201):
        ids[event.order_id] = json.loads(told)["orderId"]
    return f"{event.kind} {answer.status}"
