"""Orders that an entry does not know from what it has read: looked up where their events lie, and how they stand where
the gateways keep it.

A look-up reads a partition of each topic, so it is made for what is asked for rarely: an order older than an entry's
memory, and one whose cancellation waits for an answer of the engine.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from feedline.consumer.group_offsets import committed_offsets
from feedline.consumer.messages import place_of
from feedline.consumer.spans import read_spans
from feedline.errors import AuthenticationError, BrokerUnavailableError, CorruptBatchError
from feedline.kafka.admin import admin_client, partition_count, watermarks
from feedline.orders.fix.states import Held, further
from feedline.orders.model import Accepted, EntrySource, Facts, OrderState, apply, facts_from_headers
from feedline.orders.model.book import UNKNOWN_OFFSET, Known, Place, short_id
from feedline.orders.topics import ENTRY_GROUP, OrderTopics

logger = logging.getLogger(__name__)

# Look-ups at once, and those that wait for their turn: then callers are turned away.
AT_ONCE, WAITING = 2, 16
REQUEST_S = 5.0

Found = TypeVar("Found")


class Past:
    """Of one event loop. gateways: their consumer group."""

    def __init__(self, kafka: Mapping[str, Any], topics: OrderTopics, gateways: str) -> None:
        self._kafka, self._topics, self._gateways = kafka, topics, gateways
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def order(self, order_id: str, partition: int, until: int) -> Known | None:
        """The order by its events of HTTP entry below that offset and by its state; None when neither is there.

        Raises BrokerUnavailableError when too many ask, or the broker does not answer.
        """
        return await self._in_turn(self._order, order_id, partition, until)

    async def state(self, order_id: str, partition: int) -> OrderState | None:
        """How the order stands as far as the engine has answered; None when it has not. Raises as `order`."""
        return await self._in_turn(self._state, order_id, partition)

    async def is_settled(self, place: Place) -> bool:
        """Whether the gateways have done with the event there, whatever came of it: what the engine has answered is in
        the order's state by then. False also when that cannot be seen. Raises as `order`."""
        return place.offset == UNKNOWN_OFFSET or place.offset < await self._in_turn(self._done_below, place.partition)

    def short_ids(self) -> set[int]:
        """Of every order of which the gateways keep a state; blocks. Raises BrokerUnavailableError,
        ConfigurationError."""
        topic = self._topics.states
        spans = watermarks(self._kafka, topic, range(partition_count(admin_client(self._kafka), topic)))
        found = read_spans(self._kafka, topic, spans, group=ENTRY_GROUP)
        return {short_id(key.decode(errors="replace")) for one in found if isinstance(key := one.key(), bytes)}

    async def _in_turn(self, read: Callable[..., Found], *arguments: Any) -> Found:
        if self._waiting >= WAITING:
            raise BrokerUnavailableError(f"{WAITING} older orders are being looked up: come again")
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(read, *arguments)
        finally:
            self._waiting -= 1

    def _done_below(self, partition: int) -> int:
        kafka, group, topic = self._kafka, self._gateways, self._topics.out
        try:
            [found] = committed_offsets(kafka, group, topic, [partition], timeout_s=REQUEST_S, partition=partition)
        except AuthenticationError as failure:
            logger.warning("order entry may not see the offsets of %s: %s", group, failure)
            return 0
        return int(found.offset)

    def _order(self, order_id: str, partition: int, until: int) -> Known | None:
        state = self._state(order_id, partition)
        # Where the events lay of which only the state is left.
        places = [Place(partition, UNKNOWN_OFFSET)] * (state.sequence if state else 0)
        for facts, place in self._events(order_id, partition, until):
            known = state is not None and facts.sequence <= state.sequence
            if known and places[facts.sequence - 1].offset == UNKNOWN_OFFSET:
                places[facts.sequence - 1] = place
                continue
            verdict = apply(state, facts)
            if isinstance(verdict, Accepted):
                state = verdict.state
                places.append(place)
        return None if state is None else Known(state, tuple(places))

    def _events(self, order_id: str, partition: int, until: int) -> list[tuple[Facts, Place]]:
        topic, key = self._topics.out, order_id.encode()
        low, _ = watermarks(self._kafka, topic, [partition])[partition]
        found = []
        # As the entry reads: its events are in no transaction, and must not be missed behind an open one of bulk entry,
        # where the topic ends for readers of what is committed.
        span = {partition: (low, until)}
        for message in read_spans(self._kafka, topic, span, group=ENTRY_GROUP, uncommitted=True):
            if message.key() != key:
                continue
            try:
                facts = facts_from_headers(key, message.headers(), EntrySource.HTTP)
            except CorruptBatchError:
                continue
            if facts is not None:
                found.append((facts, Place(*place_of(message))))
        return found

    def _state(self, order_id: str, partition: int) -> OrderState | None:
        topic, key = self._topics.states, order_id.encode()
        span = watermarks(self._kafka, topic, [partition])[partition]
        held: Held | None = None
        for message in read_spans(self._kafka, topic, {partition: span}, group=ENTRY_GROUP):
            if message.key() == key:
                held = further(held, message.value())
        return None if held is None else held.state
