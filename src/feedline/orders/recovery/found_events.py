"""The events of `orders.out` that a recovery has read."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from feedline.consumer.spans import read_spans
from feedline.errors import CorruptBatchError
from feedline.orders.fix.holding import Taken
from feedline.orders.fix.judge import EventReader
from feedline.orders.refused import refused_places
from feedline.orders.topics import RECOVERY_GROUP, OrderTopics
from feedline.settings import Settings

READ_WITHIN_S = 60.0


class FoundEvents:
    """Those that were entered before `until`, None for now, without what was refused. events: by order and sequence,
    with when each was entered, in milliseconds; of what lies there twice the first."""

    def __init__(self, settings: Settings, topics: OrderTopics, until: datetime | None) -> None:
        acting = settings.acting_as("recovery")
        self._kafka, self._topic = acting.kafka, topics.out
        self._reader = EventReader(acting.registry, f"{topics.out}-value")
        self._refused = refused_places(acting.kafka, topics)
        self._until_ms = sys.maxsize if until is None else until.timestamp() * 1000
        self.events: dict[tuple[str, int], tuple[Taken, int]] = {}

    def read(self, starts: Mapping[int, int], ends: Mapping[int, int], orders: Collection[bytes] | None) -> None:
        """Adds what lies there, of these orders only unless None. Raises BrokerUnavailableError,
        RegistryUnavailableError."""
        spans = {partition: (start, ends[partition]) for partition, start in starts.items()}
        for message in read_spans(self._kafka, self._topic, spans, group=RECOVERY_GROUP, timeout_s=READ_WITHIN_S):
            other = orders is not None and message.key() not in orders
            entered = message.timestamp()[1]
            if other or entered >= self._until_ms or (message.partition(), message.offset()) in self._refused:
                continue
            try:
                one = self._reader.read(message)
            except CorruptBatchError:
                continue
            key = (one.event.order_id, one.event.sequence)
            if key not in self.events or one.offset < self.events[key][0].offset:
                self.events[key] = one, entered

    def orders_missing(self, names: Iterable[tuple[str, int]]) -> set[bytes]:
        """The orders of those of these events that were not found."""
        return {order_id.encode() for order_id, sequence in names if (order_id, sequence) not in self.events}
