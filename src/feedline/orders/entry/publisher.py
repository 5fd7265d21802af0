"""Messages to the broker from an event loop: each answered when all in-sync replicas have it.

librdkafka joins what comes within `linger.ms` to one request. Acknowledgements are fetched by the loop itself, many at
once: a thread that waits for each would wake for each, and take the interpreter from the loop to say so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from feedline.batch.headers import KafkaHeaders
from feedline.errors import BrokerUnavailableError
from feedline.kafka.config import producer_config
from feedline.kafka.delivery_report import failure_of
from feedline.kafka.errors import translate
from feedline.orders.model.book import Place

PROBE_S = 1.0


class Publisher:
    """A durable producer whose acknowledgements resolve futures of the loop that made it. Call from that loop, `serve`
    every few milliseconds while something is in flight.

    delivery_s: after so long without an acknowledgement a message is given up, and whether the broker has it is not
    known. failed: a fatal error of the client, after which nothing more can be published.
    """

    def __init__(
        self, kafka: Mapping[str, Any], topic: str, *, linger_ms: float, delivery_s: float, max_messages: int
    ) -> None:
        self._topic = topic
        self._loop = asyncio.get_running_loop()
        self.failed: KafkaError | None = None
        self._done: list[tuple[asyncio.Future[Place], KafkaError | None, int, int]] = []
        # Since when an acknowledgement is waited for and none has come; None when none is due.
        self._waiting_since: float | None = None
        self._no_broker, self._probe_at = False, 0.0
        self._probing: asyncio.Future[None] | None = None
        self.in_flight = 0
        settings = producer_config(kafka) | {
            "linger.ms": linger_ms,
            "delivery.timeout.ms": int(delivery_s * 1000),
            "queue.buffering.max.messages": max_messages,
            "error_cb": self._client_error,
        }
        self._producer = Producer(settings)

    def is_away(self, away_s: float) -> bool:
        """Whether no broker can be reached, or acknowledgements have been due for so long and none came."""
        since = self._waiting_since
        return self._no_broker or (since is not None and time.monotonic() - since > away_s)

    def publish(self, partition: int, key: str, value: bytes, headers: KafkaHeaders) -> asyncio.Future[Place]:
        """Hands a message over; its future has the place, or the error after which the broker may or may not have it.

        Raises BrokerUnavailableError when nothing was handed over: too much waits already, or the client has failed.
        """
        if self.failed is not None:
            raise BrokerUnavailableError(f"the Kafka client has failed ({self.failed}): restart the service")
        future: asyncio.Future[Place] = self._loop.create_future()
        try:
            self._producer.produce(
                self._topic,
                value,
                key,
                partition,
                headers=list(headers),
                on_delivery=partial(self._acknowledged, future),
            )
        except BufferError:
            raise BrokerUnavailableError("too many events wait for the broker: come again") from None
        self.in_flight += 1
        if self._waiting_since is None:
            self._waiting_since = time.monotonic()
        return future

    def serve(self) -> None:
        """Resolves the futures of what was acknowledged or given up since the last call; never waits."""
        self._producer.poll(0)
        self._hand_over()
        if self._no_broker and self._probing is None and time.monotonic() >= self._probe_at:
            self._probing = asyncio.ensure_future(asyncio.to_thread(self._probe))
            self._probing.add_done_callback(self._probed)

    async def close(self, timeout_s: float) -> int:
        """Waits for the acknowledgements that are due; how many did not come."""
        left = await asyncio.to_thread(self._producer.flush, timeout_s)
        self._hand_over()
        if self._probing is not None:
            await asyncio.wait([self._probing])
        return int(left)

    def _acknowledged(self, future: asyncio.Future[Place], error: KafkaError | None, message: Any) -> None:
        # Within poll, or within flush of another thread than the loop's.
        self._done.append((future, failure_of(error, message), message.partition(), message.offset()))

    def _probe(self) -> None:
        """Whether the broker is there again: nothing that is entered finds out, since nothing is."""
        try:
            self._producer.list_topics(self._topic, PROBE_S)
        except KafkaException:
            self._probe_at = time.monotonic() + PROBE_S
        else:
            self._no_broker = False

    def _probed(self, _probe: asyncio.Future[None]) -> None:
        self._probing = None

    def _hand_over(self) -> None:
        if not self._done:
            return
        done, self._done = self._done, []
        self.in_flight -= len(done)
        self._waiting_since = time.monotonic() if self.in_flight else None
        for future, error, partition, offset in done:
            if future.cancelled():
                continue
            if error is None:
                future.set_result(Place(partition, offset))
            else:
                future.set_exception(translate(error))

    def _client_error(self, error: KafkaError) -> None:
        if error.fatal():
            self.failed = error
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._no_broker, self._probe_at = True, time.monotonic() + PROBE_S
