"""Reporting a micro-batch that cannot be loaded: durably on the error topic before its offset is passed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from confluent_kafka import Message, Producer

from feedline.batch.consumed import ConsumedBatch
from feedline.batch.error_record import ErrorRecord, Origin, refused_batch, refused_message
from feedline.batch.headers import header, read_headers
from feedline.catalog import Feed
from feedline.consumer.messages import headers_of, place_of
from feedline.errors import CorruptBatchError, RecordTooLargeError, TerminalError, UnknownFeedError
from feedline.kafka.acknowledged import AcknowledgedSender
from feedline.kafka.config import producer_config
from feedline.kafka.renewal import open_client

logger = logging.getLogger(__name__)

# A value and its headers.
_Sent = tuple[bytes, list[tuple[str, Any]]]


@dataclass(frozen=True, slots=True)
class _Refused:
    """A message that is refused as it lies on its topic; error_id: its place's without one."""

    message: Message
    error: TerminalError
    error_id: str | None

    def to_send(self) -> _Sent:
        return self.message.value() or b"", self._headers(self.error)

    def without_value(self) -> _Sent:
        size = len(self.message.value() or b"")
        told = f"{self.error.reason}. Its {size} bytes are too large for the error topic: they lie where it came from"
        return b"", self._headers(type(self.error)(told, **asdict(self.error.where)))

    def _headers(self, error: TerminalError) -> list[tuple[str, Any]]:
        origin = Origin(str(self.message.topic()), *place_of(self.message))
        return [*(headers_of(self.message) or ()), *refused_message(origin, error, self.error_id)]


class ErrorReporter:
    """Sends to a feed's error topic, one call at a time; any thread may. Has no client until there is a need."""

    def __init__(self, kafka: Mapping[str, Any], feed: Feed) -> None:
        self._kafka = kafka
        self._feed = feed
        self._sender: AcknowledgedSender | None = None
        self._turn = threading.Lock()

    def report(self, record: ErrorRecord) -> None:
        """Returns when the record is acknowledged; raises BrokerUnavailableError or TerminalError when it is not."""
        self._send([(record.value, record.to_kafka())])

    def refuse(self, batch: ConsumedBatch, error: TerminalError) -> None:
        """`report` of a micro-batch that cannot be loaded, with where it lies."""
        origin = Origin(batch.topic, batch.partition, batch.offset)
        self.report(refused_batch(batch.headers, batch.value, error, origin))

    def forward(self, message: Message, error: CorruptBatchError) -> None:
        """Sends a message whose headers cannot be read, as it is, with the reason beside its own headers."""
        self._pass_on([_Refused(message, error, header(headers_of(message), "correlationId"))])

    def forward_strays(self, messages: Iterable[Message]) -> None:
        """Sends messages that no feed of the topic takes as they are, with that reason beside their own headers.

        One that is a micro-batch by its headers keeps its correlation id: should a feed of that name be added and load
        it, its error is redriven. Any other is known by its place.
        """
        strays = [_Refused(message, _no_feed(message), _batch_id(message)) for message in messages]
        if strays:
            self._pass_on(strays)
            logger.warning(
                "%d messages went to %s, as no feed's: %s", len(strays), self._feed.topic.error_topic, strays[0].error
            )

    def close(self) -> None:
        if self._sender is not None:
            self._sender.close()

    def _pass_on(self, refused: Sequence[_Refused]) -> None:
        try:
            self._send([one.to_send() for one in refused])
        except RecordTooLargeError:
            # With the reason beside it, one of them outgrows what its own topic has taken.
            for one in refused:
                self._pass_on_alone(one)

    def _pass_on_alone(self, refused: _Refused) -> None:
        try:
            self._send([refused.to_send()])
        except RecordTooLargeError:
            # What lies there holds up nobody's load, and is told all the same.
            self._send([refused.without_value()])

    def _send(self, messages: Iterable[_Sent]) -> None:
        with self._turn:
            if self._sender is None:
                producer = open_client(Producer, producer_config(self._kafka))
                self._sender = AcknowledgedSender(producer, self._feed.topic.error_topic, feed=self._feed.name)
            for value, headers in messages:
                self._sender.send(value, headers=headers)
            self._sender.settle()


@contextmanager
def error_reporter(kafka: Mapping[str, Any], feed: Feed) -> Iterator[ErrorReporter]:
    reporter = ErrorReporter(kafka, feed)
    try:
        yield reporter
    finally:
        reporter.close()


def _no_feed(message: Message) -> UnknownFeedError:
    partition, offset = place_of(message)
    name = header(headers_of(message), "feed")
    told = "names no feed" if name is None else f"names {name!r}, and the catalogue has no such feed on this topic"
    return UnknownFeedError(
        f"the message {told}: no table gets its records. Have them sent again under the right name, or add the feed",
        topic=message.topic(),
        partition=partition,
        offset=offset,
    )


def _batch_id(message: Message) -> str | None:
    try:
        return read_headers(headers_of(message)).correlation_id
    except CorruptBatchError:
        return None
