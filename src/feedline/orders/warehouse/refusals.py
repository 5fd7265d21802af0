"""What of the topics becomes no row, reported on `orders.ERROR`: the message as it was, with where it lay and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Message, Producer

from feedline.batch.error_record import Origin, place_id
from feedline.consumer.messages import headers_of, place_of
from feedline.kafka.acknowledged import AcknowledgedSender
from feedline.kafka.config import producer_config
from feedline.kafka.renewal import open_client
from feedline.orders.refused import refusal_headers
from feedline.orders.warehouse.judging import Verdict


class Refusals:
    """Sends to one error topic, one at a time; has no client until there is something to send."""

    def __init__(self, kafka: Mapping[str, Any], error_topic: str) -> None:
        self._kafka = kafka
        self._topic = error_topic
        self._sender: AcknowledgedSender | None = None

    def report(self, message: Message, verdict: Verdict, reason: str) -> None:
        """Returns when all in-sync replicas have it; raises BrokerUnavailableError or TerminalError when not.

        The id is made of the message's place: whoever refuses the same message, and however often, gives it the same.
        """
        if self._sender is None:
            self._sender = AcknowledgedSender(open_client(Producer, producer_config(self._kafka)), self._topic)
        origin = Origin(str(message.topic()), *place_of(message))
        kept: list[tuple[str, Any]] = list(headers_of(message) or [])
        told = [*refusal_headers(verdict.value, reason, origin), ("errorId", place_id(origin).encode())]
        self._sender.send(message.value(), message.key(), [*kept, *told])
        self._sender.settle()

    def close(self) -> None:
        if self._sender is not None:
            self._sender.close()


@contextmanager
def refusals(kafka: Mapping[str, Any], error_topic: str) -> Iterator[Refusals]:
    reporter = Refusals(kafka, error_topic)
    try:
        yield reporter
    finally:
        reporter.close()
