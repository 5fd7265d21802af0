"""Producing to one topic what must not be lost unnoticed: handed over one by one, and waited for together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from feedline.errors import BrokerUnavailableError
from feedline.kafka.delivery_report import failure_of
from feedline.kafka.errors import translate

WAIT_S = 0.1


class AcknowledgedSender:
    """Of one thread. where: more for its errors to name, beside the topic. acknowledged: messages of which a broker
    has said, with all in-sync replicas, where they lie."""

    def __init__(self, producer: Producer, topic: str, **where: Any) -> None:
        self._producer, self._topic = producer, topic
        self._where = {"topic": topic, **where}
        self._failures: list[KafkaError] = []
        self._open = 0
        self.acknowledged = 0

    def send(
        self,
        value: bytes | None,
        key: str | bytes | None = None,
        headers: Sequence[tuple[str, str | bytes | None]] = (),
    ) -> None:
        """Hands a message over, and waits for room when there is none. Raises what `translate` makes of a refusal."""
        while True:
            try:
                self._producer.produce(self._topic, value, key, headers=list(headers), on_delivery=self._reported)
            except BufferError:
                self._producer.poll(WAIT_S)
            except KafkaException as error:
                raise translate(error, **self._where) from error
            else:
                break
        self._open += 1
        self._producer.poll(0)

    def settle(self, within_s: float | None = None) -> None:
        """Returns when everything handed over is acknowledged. within_s: None waits for as long as the client tries.

        Raises the first failure since the last call, as `translate` makes it, and BrokerUnavailableError when
        acknowledgements are due after `within_s`; whether the broker has those messages is not known then.
        """
        deadline = None if within_s is None else time.monotonic() + within_s
        while self._open and (deadline is None or time.monotonic() < deadline):
            # Ends by itself: after the delivery timeout a report says that it failed.
            self._producer.poll(WAIT_S)
        failures, self._failures = self._failures, []
        if failures:
            raise translate(failures[0], **self._where)
        if self._open:
            raise BrokerUnavailableError(
                f"{self._open} messages were not acknowledged within {within_s:g} s", **self._where
            )

    def close(self) -> None:
        """Closes the producer."""
        self._producer.close()

    def _reported(self, error: KafkaError | None, message: Message) -> None:
        self._open -= 1
        failure = failure_of(error, message)
        if failure is None:
            self.acknowledged += 1
        else:
            self._failures.append(failure)
