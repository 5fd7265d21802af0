"""Sends made-up orders at a rate, over HTTP and through the bulk topic, and counts what became of them."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import msgspec
from confluent_kafka import Producer

from feedline.errors import RetriableError
from feedline.kafka.acknowledged import AcknowledgedSender
from feedline.kafka.config import producer_config
from feedline.kafka.registry import registry_client, schema_id
from feedline.orders.model import EventKind, OrderEvent, encode_event
from feedline.orders.model.schemas import ORDER_EVENT, order_schema
from feedline.orders.topics import OrderTopics
from feedline.settings import Settings

# Requests in flight at once, which bounds what a slow service is asked.
CONNECTIONS = 24
REQUEST_S = 30.0
ACKNOWLEDGED_S = 60.0
ATTEMPTS = 10
BUSY = (429, 503)


@dataclass(slots=True)
class Tally:
    """entered: events acknowledged; refused: answered with a problem; seconds: how long each answer took."""

    entered: int = 0
    orders: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)


class Pace:
    """Gives each caller its moment: `rate` a second from the first call on, for `seconds`."""

    def __init__(self, rate: float, seconds: float) -> None:
        self._rate, self._seconds = rate, seconds
        self._lock = threading.Lock()
        self._taken, self._began = 0, 0.0

    def wait(self) -> bool:
        """Waits for the next moment; False when there is none left."""
        with self._lock:
            self._began = self._began or time.monotonic()
            after, self._taken = self._taken / self._rate, self._taken + 1
        if after >= self._seconds:
            return False
        time.sleep(max(0.0, self._began + after - time.monotonic()))
        return True


def enter_over_http(url: str, key: str, lives: Iterator[list[OrderEvent]], pace: Pace, tally: Tally) -> None:
    """Sends orders until the pace ends: an order's events one after the other, orders side by side.

    A request that is not answered, or answered with 429 or 503, is sent again under the same Idempotency-Key.
    """
    lock = threading.Lock()
    failures: list[BaseException] = []

    def work() -> None:
        client = _Client(url, key)
        try:
            while pace.wait():
                with lock:
                    life = next(lives)
                _enter(client, life, pace, tally, lock)
        except BaseException as error:  # noqa: BLE001 - raised by the thread that waits
            failures.append(error)
        finally:
            client.close()

    threads = [threading.Thread(target=work, name=f"feedline-demo-{n}", daemon=True) for n in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _enter(client: _Client, life: list[OrderEvent], pace: Pace, tally: Tally, lock: threading.Lock) -> None:
    order_id, first = None, True
    for event in life:
        if not first:
            # What follows takes its own moment; an order that was begun is finished, whatever the clock says.
            pace.wait()
        method, path, body = _request(event, order_id)
        began = time.monotonic()
        status, answer = client.send(method, path, body, event.event_id)
        with lock:
            if status < 300:
                tally.entered += 1
                tally.orders += first
                tally.seconds.append(time.monotonic() - began)
            else:
                tally.refused[status] += 1
        if first and status >= 300:
            return
        order_id, first = order_id or answer["orderId"], False


def _request(event: OrderEvent, order_id: str | None) -> tuple[str, str, dict[str, Any]]:
    body: dict[str, Any] = {"accountId": event.account_id, "product": event.product}
    if event.order is not None:
        body["order"] = event.order
    if event.kind is EventKind.NEW:
        return "POST", "/orders", body
    body["sequence"] = event.sequence
    if event.kind is EventKind.AMEND:
        return "PUT", f"/orders/{order_id}", body
    return "POST", f"/orders/{order_id}/cancel", body


class _Client:
    """One connection, opened again when it breaks."""

    def __init__(self, url: str, key: str) -> None:
        self._address = urlsplit(url)
        self._headers: Mapping[str, str] = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._connection = self._open()

    def _open(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._address.hostname or "", self._address.port, timeout=REQUEST_S)

    def send(self, method: str, path: str, body: dict[str, Any], idempotency_key: str) -> tuple[int, Any]:
        """Status and body of the answer; raises RetriableError when there is none after some attempts."""
        headers = {**self._headers, "Idempotency-Key": idempotency_key}
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._connection.request(method, path, msgspec.json.encode(body), headers)
                answer = self._connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                self._connection = self._open()
                if attempt == ATTEMPTS:
                    raise RetriableError(f"order entry does not answer: {error}") from error
                time.sleep(0.1 * attempt)
                continue
            if answer.status not in BUSY or attempt == ATTEMPTS:
                return answer.status, msgspec.json.decode(content)
            time.sleep(float(answer.headers.get("Retry-After") or 1))
        raise AssertionError("the last attempt returns or raises")

    def close(self) -> None:
        self._connection.close()


def enter_in_bulk(
    settings: Settings, topics: OrderTopics, lives: Iterator[list[OrderEvent]], pace: Pace, tally: Tally
) -> None:
    """Produces orders to the bulk topic until the pace ends, and finishes those that were begun.

    Raises BrokerUnavailableError when the broker did not take all of them, and what `translate` makes of a refusal.
    """
    number = schema_id(registry_client(settings.registry), f"{topics.bulk}-value", order_schema(ORDER_EVENT))
    producer = Producer(
        producer_config(settings.acting_as("order-test").kafka) | {"linger.ms": 5, "partitioner": "murmur2_random"}
    )
    sender, before = AcknowledgedSender(producer, topics.bulk), tally.entered
    try:
        while pace.wait():
            life = next(lives)
            tally.orders += 1
            for index, event in enumerate(life):
                if index:
                    pace.wait()
                headers = [("correlationId", event.event_id.encode())]
                sender.send(encode_event(event, number), event.order_id, headers)
                tally.entered = before + sender.acknowledged
        sender.settle(ACKNOWLEDGED_S)
    finally:
        tally.entered = before + sender.acknowledged
        producer.close()
