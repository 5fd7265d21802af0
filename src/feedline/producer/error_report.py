"""Reporting a micro-batch that cannot be loaded: durably on the error topic before its offset is passed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from feedline.batch.consumed import ConsumedBatch
from feedline.batch.error_record import ErrorRecord, Origin, refused_batch, unreadable_message
from feedline.catalog import Feed
from feedline.consumer.messages import headers_of, place_of
from feedline.errors import CorruptBatchError, TerminalError
from feedline.kafka.config import producer_config
from feedline.kafka.delivery_report import failure_of
from feedline.kafka.errors import translate
from feedline.kafka.renewal import open_client


class ErrorReporter:
    """Sends to a feed's error topic, one at a time; any thread may. Has no client until there is something to send."""

    def __init__(self, kafka: Mapping[str, Any], feed: Feed) -> None:
        self._kafka = kafka
        self._feed = feed
        self._producer: Producer | None = None
        self._turn = threading.Lock()

    def report(self, record: ErrorRecord) -> None:
        """Returns when the record is acknowledged; raises BrokerUnavailableError or TerminalError when it is not."""
        self._send(record.value, record.to_kafka())

    def refuse(self, batch: ConsumedBatch, error: TerminalError) -> None:
        """`report` of a micro-batch that cannot be loaded, with where it lies."""
        origin = Origin(batch.topic, batch.partition, batch.offset)
        self.report(refused_batch(batch.headers, batch.value, error, origin))

    def forward(self, message: Message, error: CorruptBatchError) -> None:
        """Sends a message whose headers cannot be read, as it is, with the reason beside its own headers."""
        kept: list[tuple[str, Any]] = list(headers_of(message) or [])
        origin = Origin(str(message.topic()), *place_of(message))
        self._send(message.value() or b"", [*kept, *unreadable_message(origin, error)])

    def close(self) -> None:
        if self._producer is not None:
            self._producer.close()

    def _send(self, value: bytes, headers: list[tuple[str, Any]]) -> None:
        with self._turn:
            self._send_in_turn(value, headers)

    def _send_in_turn(self, value: bytes, headers: list[tuple[str, Any]]) -> None:
        if self._producer is None:
            self._producer = open_client(Producer, producer_config(self._kafka))
        where = {"feed": self._feed.name, "topic": self._feed.topic.error_topic}
        reports: list[KafkaError | None] = []
        try:
            self._producer.produce(
                self._feed.topic.error_topic,
                value,
                headers=headers,
                on_delivery=lambda error, sent: reports.append(failure_of(error, sent)),
            )
        except KafkaException as error:
            raise translate(error.args[0], **where) from error
        while not reports:
            # Ends by itself: after the delivery timeout the report says that it failed.
            self._producer.poll(0.1)
        if reports[0] is not None:
            raise translate(reports[0], **where)


@contextmanager
def error_reporter(kafka: Mapping[str, Any], feed: Feed) -> Iterator[ErrorReporter]:
    reporter = ErrorReporter(kafka, feed)
    try:
        yield reporter
    finally:
        reporter.close()
