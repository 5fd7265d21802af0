"""What a program says of a record: its feed and delivery, and so which records may share its message."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from confluent_kafka import KafkaError, Message

from feedline.batch.headers import MAX_ID
from feedline.batch.identity import Cycle, Delivery, delivery_of
from feedline.catalog import Catalog, Feed
from feedline.errors import ConfigurationError, UnknownFeedError
from feedline.producer.options import FeedOptions, parse_business_date, parse_cycle

DeliveryCallback = Callable[[KafkaError | None, Message], None]
HeaderValue = str | bytes | None
Headers = Mapping[str, HeaderValue] | list[tuple[str, HeaderValue]]

# Headers that say where a record belongs; a micro-batch carries them once for all its records.
_NAMES = frozenset({"feed", "businessDate", "cycle", "deliveryId", "sourceFile", "correlationId", "traceparent"})
# Headers of a micro-batch that a record cannot decide; a program that copies them from a consumed message may.
_COUNTED = frozenset({"batchIndex", "recordCount", "contentType"})


@dataclass(frozen=True, slots=True)
class Lane:
    """What records must agree on to travel in one message.

    partition: the caller's, or -1 for ours; extra: headers of the caller's own, which the message carries;
    correlation_id: the caller's, for a record that then travels alone.
    """

    feed: Feed
    delivery: Delivery
    source_file: str
    partition: int = -1
    extra: tuple[tuple[str, bytes | None], ...] = ()
    correlation_id: str | None = None

    def __hash__(self) -> int:
        # The feed holds its whole schema: its name is enough to tell lanes apart quickly.
        return hash((self.delivery.delivery_id, self.source_file, self.partition, self.extra, self.correlation_id))


@dataclass(frozen=True, slots=True)
class Report:
    """What one record's callback is given back beside the outcome."""

    callback: DeliveryCallback
    key: bytes | None
    value: Any
    headers: list[tuple[str, HeaderValue]] | None


def read_header_pairs(headers: Headers | None) -> list[tuple[str, bytes | None]]:
    """The headers as pairs, from each of the forms that confluent-kafka takes; raises TypeError where it does."""
    if headers is None:
        return []
    if not isinstance(headers, (dict, list)):
        raise TypeError(f"expected headers to be dict or list of (key, value) tuples, not {type(headers).__name__}")
    pairs: Iterable[Any] = headers.items() if isinstance(headers, dict) else headers
    found = []
    for pair in pairs:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError("Headers are expected to be a list of (key, value) tuples")
        name, value = pair
        if isinstance(value, str):
            value = value.encode()
        elif value is not None and not isinstance(value, bytes):
            raise TypeError(f"expected header value to be None, binary, or unicode string, not {type(value).__name__}")
        if not isinstance(name, (str, bytes)):
            raise TypeError(f"expected header name to be a string, not {type(name).__name__}")
        found.append((name.decode() if isinstance(name, bytes) else name, value))
    return found


def as_bytes(value: object, what: str) -> bytes | None:
    """A key or value as confluent-kafka takes it; raises TypeError as it does."""
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    raise TypeError(f"{what} must be str or bytes, not {type(value).__name__}")


def check_batch(messages: Any) -> None:
    """Raises for the mistakes for which confluent-kafka's `produce_batch` takes none of the messages."""
    if not isinstance(messages, list):
        raise TypeError("messages must be a list")
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            raise TypeError(f"Message at index {index} must be a dict")
        if not isinstance(message.get("value"), (bytes, str, Mapping, type(None))):
            raise TypeError(f"Message value at index {index} must be bytes or str, or a mapping")
        if not isinstance(message.get("key"), (bytes, str, type(None))):
            raise TypeError(f"Message key at index {index} must be bytes or str")
        if message.get("timestamp"):
            raise NotImplementedError("Message timestamps are not currently supported in batch mode")


def feed_of(catalog: Catalog, topic: str, name: str | None) -> Feed:
    """The feed of that name on the topic, or its only one; raises UnknownFeedError."""
    named = None if name is None else catalog.feeds.get(name)
    if named is not None and named.topic.name == topic:
        return named
    feeds = catalog.feeds_of(topic)
    if name is None and len(feeds) == 1:
        return feeds[0]
    known = ", ".join(feed.name for feed in feeds) or "none"
    if name is None:
        raise UnknownFeedError(
            f"the topic carries several feeds ({known}): name the record's with the header `feed`", topic=topic
        )
    raise UnknownFeedError(f"no feed {name!r} on this topic, which carries: {known}", topic=topic, feed=name)


class LaneReader:
    """Reads the lane of a record from its headers and the producer's options; safe for any thread."""

    def __init__(self, options: FeedOptions, session: str) -> None:
        self._options = options
        self._session = session
        self._deliveries: dict[tuple[str, date, Cycle], Delivery] = {}

    def lane(
        self, topic: str, feed_name: str | None, pairs: list[tuple[str, bytes | None]], partition: int
    ) -> tuple[Lane, str | None]:
        """The record's lane and its `traceparent`.

        Raises UnknownFeedError; ConfigurationError for a businessDate or cycle that is none, or too long an id.
        """
        said: dict[str, str] = {}
        extra = []
        for name, value in pairs:
            if name in _NAMES:
                if value is not None:
                    said[name] = value.decode()
            elif name not in _COUNTED:
                extra.append((name, value))
        feed = feed_of(self._options.catalog, topic, feed_name or said.get("feed"))
        if len(said.get("correlationId", "")) > MAX_ID:
            raise ConfigurationError(
                f"a record's correlationId has at most {MAX_ID} characters, as a UUID has", feed=feed.name, topic=topic
            )
        lane = Lane(
            feed,
            self.delivery(feed, said.get("businessDate"), said.get("cycle"), said.get("deliveryId")),
            said.get("sourceFile") or self._options.source or f"session:{self._session}",
            partition,
            tuple(extra),
            said.get("correlationId"),
        )
        return lane, said.get("traceparent")

    def delivery(
        self, feed: Feed, business_date: object = None, cycle: object = None, delivery_id: str | None = None
    ) -> Delivery:
        """The delivery that these words, and the options where they are None, name."""
        options = self._options
        day = options.today() if business_date is None else parse_business_date(business_date, "businessDate")
        turn = options.cycle if cycle is None else parse_cycle(cycle, "cycle")
        named = delivery_id or options.delivery_id
        if named is not None:
            return Delivery(feed.name, day, turn, named)
        key = (feed.name, day, turn)
        found = self._deliveries.get(key)
        if found is None:
            found = self._deliveries[key] = delivery_of(*key, (self._session,))
        return found
