"""Reporting a micro-batch that cannot be loaded: durably on the error topic before its offset is passed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Message, Producer

from feedline.batch.consumed import ConsumedBatch
from feedline.batch.error_record import ErrorRecord, Origin, refused_batch, unreadable_message
from feedline.catalog import Feed
from feedline.consumer.messages import headers_of, place_of
from feedline.errors import CorruptBatchError, TerminalError
from feedline.kafka.acknowledged import AcknowledgedSender
from feedline.kafka.config import producer_config
from feedline.kafka.renewal import open_client


class ErrorReporter:
    """Sends to a feed's error topic, one at a time; any thread may. Has no client until there is something to send."""

    def __init__(self, kafka: Mapping[str, Any], feed: Feed) -> None:
        self._kafka = kafka
        self._feed = feed
        self._sender: AcknowledgedSender | None = None
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
        if self._sender is not None:
            self._sender.close()

    def _send(self, value: bytes, headers: list[tuple[str, Any]]) -> None:
        with self._turn:
            if self._sender is None:
                producer = open_client(Producer, producer_config(self._kafka))
                self._sender = AcknowledgedSender(producer, self._feed.topic.error_topic, feed=self._feed.name)
            self._sender.send(value, headers=headers)
            self._sender.settle()


@contextmanager
def error_reporter(kafka: Mapping[str, Any], feed: Feed) -> Iterator[ErrorReporter]:
    reporter = ErrorReporter(kafka, feed)
    try:
        yield reporter
    finally:
        reporter.close()
