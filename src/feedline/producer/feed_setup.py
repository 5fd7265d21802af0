"""What the first record of a feed needs from outside: its schema's id from the registry, its topic's partitions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from confluent_kafka.schema_registry import SchemaRegistryClient

from feedline.catalog import Feed
from feedline.kafka.registry import registry_client
from feedline.kafka.schema_fallback import TOPIC, TOPIC_CLIENTS
from feedline.producer.options import ProducerSettings
from feedline.producer.row_encoder import RowEncoder, row_encoder
from feedline.producer.topic_lookup import look_up_partitions

# How long the first record of a topic waits for a broker before it is accepted without one; and a later one.
CONNECT_SECONDS = 3.0
RECONNECT_SECONDS = 1.0
# Partitions may be added to a topic while a producer lives.
LOOK_AGAIN_SECONDS = 300.0
LOOK_AGAIN_UNKNOWN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Partitions:
    """How many, None while no broker has answered; when it was asked, and when to ask again."""

    count: int | None
    asked_at: float
    ask_at: float


class FeedSetup:
    """Encoders and partition counts, asked for once; any thread may call any method."""

    def __init__(self, settings: ProducerSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._registry: SchemaRegistryClient | None = None
        self._encoders: dict[str, RowEncoder] = {}
        self._partitions: dict[str, _Partitions] = {}

    def encoder(self, feed: Feed) -> RowEncoder:
        """The feed's encoder; asks the broker and the registry when it is the first time, or time to look again.

        Raises AuthenticationError, ConfigurationError (no such topic, no such schema), RegistryUnavailableError.
        """
        found = self._encoders.get(feed.name)
        if found is not None and self._clock() < self._partitions[feed.topic.name].ask_at:
            return found
        with self._lock:
            self._look_up(feed.topic.name)
            found = self._encoders.get(feed.name)
            if found is None:
                register = self._settings.options.register_schemas
                found = self._encoders[feed.name] = row_encoder(feed, self._client(), register=register)
        return found

    def made(self, feed: Feed) -> RowEncoder:
        """The encoder that a record of this feed was encoded with; asks nobody."""
        return self._encoders[feed.name]

    def look_again(self, topic: str) -> None:
        """The next record asks the broker, unless that was tried a moment ago."""
        known = self._partitions.get(topic)
        if known is not None:
            ask_at = min(known.ask_at, known.asked_at + LOOK_AGAIN_UNKNOWN_SECONDS)
            self._partitions[topic] = replace(known, ask_at=ask_at)

    def partitions(self, topic: str) -> int | None:
        """The topic's partitions; None as long as no broker has told them."""
        known = self._partitions.get(topic)
        return None if known is None else known.count

    def registry(self) -> SchemaRegistryClient | None:
        """The schema registry's client; None when none is configured."""
        with self._lock:
            return self._client()

    def _client(self) -> SchemaRegistryClient | None:
        if self._registry is None and self._settings.options.registry is not None:
            settings = self._settings.options.registry
            if TOPIC in settings:
                settings = {TOPIC_CLIENTS: self._settings.client, **settings}
            self._registry = registry_client(settings)
        return self._registry

    def _look_up(self, topic: str) -> None:
        known = self._partitions.get(topic)
        if known is not None and self._clock() < known.ask_at:
            return
        patience = CONNECT_SECONDS if known is None else RECONNECT_SECONDS
        count = look_up_partitions(self._settings.client, topic, patience)
        seconds = LOOK_AGAIN_UNKNOWN_SECONDS if count is None else LOOK_AGAIN_SECONDS
        if count is None and known is not None:
            count = known.count
        now = self._clock()
        self._partitions[topic] = _Partitions(count, now, now + seconds)
