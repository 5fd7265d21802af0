"""Order entry itself: an event in, and where it lies or why it was not taken out; several desks agree by the topic.

The first event of an order and sequence on a partition is the one that counts, for every reader. A desk therefore
answers only when its event has come back to it on the topic, and it knows what was before: two desks that are given two
orders under one key at the same moment both write, and one of them learns that it was second. What was second is on the
topic too and every reader drops it by the same rule.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from feedline.errors import BrokerUnavailableError, FeedlineError, RetriableError
from feedline.kafka.registry import registry_client, schema_id
from feedline.orders.entry.past import Past
from feedline.orders.entry.policy import EntryPolicy
from feedline.orders.entry.publisher import Publisher
from feedline.orders.entry.tail import Landed, Tail
from feedline.orders.model import (
    Accepted,
    Facts,
    OrderEvent,
    OrderState,
    Parked,
    Refused,
    Repeat,
    Status,
    encode_event,
    event_headers,
    facts_of,
)
from feedline.orders.model.book import UNKNOWN_OFFSET, Book, Known, Place, short_id
from feedline.orders.model.schemas import ORDER_EVENT, order_schema
from feedline.orders.topics import OrderTopics
from feedline.settings import Settings

logger = logging.getLogger(__name__)

ELSEWHERE = (
    "the order was entered in bulk, and is amended and cancelled there: send the event to the topic of bulk entry"
)
# Between looks at what the broker has said, while requests are at work, and while none is.
BUSY_S, IDLE_S = 0.003, 0.01


class OutcomeUnknownError(RetriableError):
    """The event was handed to the broker and what became of it is not known: the same request again tells."""


@dataclass(frozen=True, slots=True)
class Entered:
    """An event that counts. repeated: it was there before this request."""

    place: Place
    repeated: bool


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The order's cancellation, of that sequence, waits for the engine's answer: what follows it depends on that."""

    sequence: int


Outcome = Entered | Refused | Parked | Unanswered


class Desk:
    """Made and called on one event loop; `start` before anything else."""

    def __init__(self, settings: Settings, policy: EntryPolicy, topics: OrderTopics) -> None:
        self._kafka = settings.acting_as("order-entry").kafka
        self._registry = settings.registry
        self.policy, self._topic = policy, topics.out
        # Orders that the book does not have, or not any more, of which a key may still come.
        self._older = _Ids(2 * policy.remembered)
        self._book = Book(policy.remembered, self._older.add)
        self._publisher = Publisher(
            self._kafka,
            topics.out,
            linger_ms=policy.linger_ms,
            delivery_s=policy.delivery_s,
            max_messages=policy.max_in_flight,
        )
        self._tail = Tail(self._kafka, topics.out)
        self._past = Past(self._kafka, topics, policy.gateways)
        # Orders that are looked up, with what has landed of them meanwhile.
        self._sought: dict[str, tuple[asyncio.Task[None], list[tuple[Facts, Place]]]] = {}
        self._in_bulk = _Ids(policy.remembered)
        self._schema_id = 0
        # How far each partition has been read, and who waits for it to be read up to an offset.
        self._positions: dict[int, int] = {}
        self._waiting: dict[int, list[tuple[int, int, asyncio.Future[None]]]] = {}
        self._tickets = 0
        self._behind: dict[int, int] = {}
        self._at_work: dict[tuple[str, int], asyncio.Future[None]] = {}
        self._serving: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None
        self.is_ready = False

    async def start(self) -> None:
        """Begins to read the topic back; the desk is ready when it has. Raises what the broker and registry say."""
        client = registry_client(self._registry)
        subject = f"{self._topic}-value"
        self._schema_id = await asyncio.to_thread(schema_id, client, subject, order_schema(ORDER_EVENT))
        hours, events = self.policy.remember_hours, self.policy.remembered * 2
        self._positions, self._behind = await asyncio.to_thread(self._tail.start, hours, events)
        self._older.add(await asyncio.to_thread(self._past.short_ids))
        self._look_if_ready()
        self._serving = asyncio.ensure_future(self._serve())
        self._serving.add_done_callback(self._served)

    async def close(self) -> None:
        """Waits for what was handed to the broker."""
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.wait([self._serving])
        left = await self._publisher.close(self.policy.delivery_s)
        if left:
            logger.error("%d events ended without an acknowledgement; none of them was answered as entered", left)
        await asyncio.to_thread(self._tail.close)

    def problems(self) -> list[str]:
        """Why nothing can be entered now; nothing when it can."""
        found = []
        if self._failure is not None:
            found.append(f"order entry has failed, restart the service: {self._failure!r}")
        elif not self.is_ready:
            found.append(f"the orders of before are still read: {self.to_read:,} messages to go")
        if self._publisher.failed is not None:
            found.append(f"the Kafka client has failed, restart the service: {self._publisher.failed}")
        elif self._publisher.is_away(self.policy.away_s):
            found.append("the broker does not acknowledge")
        if self._tail.problem:
            found.append(f"the topic cannot be read: {self._tail.problem}")
        return found

    @property
    def to_read(self) -> int:
        """Messages of before the start that have not been read back."""
        return sum(max(0, end - self._positions.get(p, 0)) for p, end in self._behind.items())

    def figures(self) -> Mapping[str, float]:
        """Gauges."""
        return {
            "unacknowledged": self._publisher.in_flight,
            "remembered_orders": len(self._book),
            "ready": float(self.is_ready),
        }

    async def find(self, order_id: str) -> Known | None:
        """What is known of an order that was entered here or by another instance; looked up when it is an older one.
        Raises BrokerUnavailableError when that cannot be done now."""
        known = self._book.find(order_id)
        if known is None and self.is_ready:
            partition = self._partition(order_id)
            try:
                # What was entered a moment ago may not have come here yet.
                await self._read_up_to(partition, await self._tail.end_of(partition))
            except OutcomeUnknownError as error:
                raise BrokerUnavailableError(error.reason) from error
            if self._book.find(order_id) is None and not self.is_in_bulk(order_id):
                await self._look_up(order_id)
            known = self._book.find(order_id)
        return known

    def is_in_bulk(self, order_id: str) -> bool:
        """Whether the order is known to have been entered in bulk."""
        return hash(order_id.encode()) in self._in_bulk

    async def enter(self, event: OrderEvent, traceparent: str | None, *, contested: bool) -> Outcome:
        """Enters an event. contested: somebody else may enter the same order and sequence; not with a random id.

        Raises BrokerUnavailableError when nothing was written, OutcomeUnknownError when that is not known,
        SchemaMismatchError.
        """
        facts = facts_of(event)
        key = (facts.order_id, facts.sequence)
        while key in self._at_work:
            # The same client asks twice at once: the second learns what became of the first.
            await asyncio.wait([self._at_work[key]])
        settled = self._at_work[key] = asyncio.get_running_loop().create_future()
        try:
            return await self._enter(event, facts, traceparent, contested=contested)
        finally:
            del self._at_work[key]
            settled.set_result(None)

    async def _enter(self, event: OrderEvent, facts: Facts, traceparent: str | None, *, contested: bool) -> Outcome:
        self._require_open()
        if contested:
            known = await self._known(facts)
            if known is not None:
                return known
        value = encode_event(event, self._schema_id)
        headers = event_headers(event, facts, traceparent)
        future = self._publisher.publish(self._partition(event.order_id), event.order_id, value, headers)
        try:
            place = await future
        except FeedlineError as error:
            raise OutcomeUnknownError(f"the broker did not acknowledge the event: {error.reason}") from error
        if not contested:
            return Entered(place, repeated=False)
        await self._read_up_to(place.partition, place.offset + 1)
        return self._outcome(facts, place)

    def _outcome(self, facts: Facts, place: Place) -> Outcome:
        """What became of an event that has come back."""
        known = self._book.find(facts.order_id)
        if known is None or known.state.sequence < facts.sequence:
            # Only when between the look and the write another event made this one impossible.
            verdict = self._book.judge(facts)
            return verdict if isinstance(verdict, Refused | Parked) else Refused("another event of the order was first")
        if known.state.content(facts.sequence) == facts.content:
            first = known.places[facts.sequence - 1]
            return Entered(first, repeated=first != place)
        verdict = self._book.judge(facts)
        assert isinstance(verdict, Refused)
        return verdict

    async def _known(self, facts: Facts) -> Outcome | None:
        """The outcome without writing: the event is there already, or cannot be accepted; None when it can be."""
        verdict = self._book.judge(facts)
        if isinstance(verdict, Refused | Parked):
            # What another instance has just entered may not have come here yet.
            partition = self._partition(facts.order_id)
            await self._read_up_to(partition, await self._tail.end_of(partition))
            verdict = self._book.judge(facts)
        if isinstance(verdict, Parked) and verdict.missing == 1:
            if self.is_in_bulk(facts.order_id):
                return Refused(ELSEWHERE)
            await self._look_up(facts.order_id)
            verdict = self._book.judge(facts)
        elif isinstance(verdict, Accepted) and facts.sequence == 1 and short_id(facts.order_id) in self._older:
            await self._look_up(facts.order_id)
            verdict = self._book.judge(facts)
        if isinstance(verdict, Repeat):
            known = self._book.find(facts.order_id)
            assert known is not None
            return Entered(known.places[facts.sequence - 1], repeated=True)
        if not isinstance(verdict, Accepted):
            return verdict
        return await self._decided(facts)

    async def _decided(self, facts: Facts) -> Outcome | None:
        """None unless the event follows a cancellation that the engine has not answered or has taken, or one of an
        order that was over before, or of which nothing is kept any more."""
        known = self._book.find(facts.order_id)
        if known is None or known.state.status is not Status.PENDING_CANCEL:
            return None
        cancelled, place = known.state.sequence, known.places[-1]
        partition = self._partition(facts.order_id)
        stands = await self._past.state(facts.order_id, partition)
        if not _tells_of(stands, cancelled):
            if not await self._past.is_settled(place):
                return Unanswered(cancelled)
            # The state is written before the gateways have done with an event: the answer may have come meanwhile.
            stands = await self._past.state(facts.order_id, partition)
        if stands is None or not _tells_of(stands, cancelled):
            return Refused(
                f"the gateways have done with the order's cancellation, sequence {cancelled}, and no answer to it is "
                f"kept any more: the order is over, or that was refused; feedline orders show {facts.order_id} tells"
            )
        over = stands.status.is_final
        known = self._book.find(facts.order_id)
        if known is not None and (over or known.state.sequence == stands.sequence):
            self._book.put(facts.order_id, replace(known, state=replace(known.state, status=stands.status)))
        verdict = self._book.judge(facts)
        return verdict if isinstance(verdict, Refused | Parked) else None

    async def _look_up(self, order_id: str) -> None:
        """Takes an order into the book that is older than what was read back, when there is one."""
        sought = self._sought.get(order_id)
        if sought is None:
            landed: list[tuple[Facts, Place]] = []
            sought = self._sought[order_id] = asyncio.create_task(self._adopt(order_id, landed)), landed
        # Whoever gives up waiting does not end it for the others.
        await asyncio.shield(sought[0])

    async def _adopt(self, order_id: str, landed: list[tuple[Facts, Place]]) -> None:
        partition = self._partition(order_id)
        try:
            known = await self._past.order(order_id, partition, self._positions.get(partition, 0))
        finally:
            del self._sought[order_id]
        if known is not None and self._book.find(order_id) is None:
            self._book.put(order_id, known)
            for facts, place in landed:
                self._book.record(facts, place)

    def _require_open(self) -> None:
        if not self.is_ready or self._publisher.is_away(self.policy.away_s):
            raise BrokerUnavailableError(f"nothing was entered: {'; '.join(self.problems())}")

    def _partition(self, order_id: str) -> int:
        # librdkafka's `consistent` partitioner.
        return zlib.crc32(order_id.encode()) % len(self._behind)

    async def _read_up_to(self, partition: int, offset: int) -> None:
        if self._positions.get(partition, 0) >= offset:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tickets += 1
        heapq.heappush(self._waiting.setdefault(partition, []), (offset, self._tickets, future))
        try:
            async with asyncio.timeout(self.policy.settle_s):
                await future
        except TimeoutError:
            raise OutcomeUnknownError(
                f"the topic cannot be read back, partition {partition} stands at {self._positions.get(partition)}"
            ) from None

    async def _serve(self) -> None:
        """Sees to what the broker has said, a few hundred times a second while somebody waits for it."""
        while True:
            self._publisher.serve()
            landed = self._tail.serve()
            if landed is not None:
                self._landed(landed)
            await asyncio.sleep(BUSY_S if self._at_work or landed is not None else IDLE_S)

    def _served(self, serving: asyncio.Future[None]) -> None:
        if not serving.cancelled():
            # Not to happen: without it no request would ever be answered, so none is taken any more.
            self.is_ready, self._failure = False, serving.exception()
            logger.error("order entry has failed", exc_info=self._failure)

    def _landed(self, landed: Landed) -> None:
        for facts, place in landed.events:
            self._book.record(facts, place)
            if self._sought and facts.order_id in self._sought:
                self._sought[facts.order_id][1].append((facts, place))
        self._in_bulk.add(landed.in_bulk)
        for partition, position in landed.positions.items():
            self._positions[partition] = position
            waiting = self._waiting.get(partition)
            while waiting and waiting[0][0] <= position:
                _, _, future = heapq.heappop(waiting)
                if not future.done():
                    future.set_result(None)
        if not self.is_ready:
            self._look_if_ready()

    def _look_if_ready(self) -> None:
        self.is_ready = bool(self._behind) and self.to_read == 0


def _tells_of(stands: OrderState | None, cancelled: int) -> bool:
    """Whether an order's state says what became of its cancellation. Of an order that was over before, the gateway
    refuses it: no answer to it ever comes."""
    return stands is not None and (stands.sequence >= cancelled or stands.status.is_final)


class _Ids:
    """Hashes of at most so many ids, of which the newer half is always there."""

    def __init__(self, most: int) -> None:
        self._half = max(1, most // 2)
        self._young: set[int] = set()
        self._old: set[int] = set()

    def __contains__(self, number: int) -> bool:
        return number in self._young or number in self._old

    def add(self, numbers: Iterable[int]) -> None:
        self._young.update(numbers)
        if len(self._young) >= self._half:
            self._old, self._young = self._young, set()


def answer_of(event: OrderEvent, topic: str, entered: Entered) -> dict[str, Any]:
    """The body of the answer to an event that counts."""
    return {
        "orderId": event.order_id,
        "sequence": event.sequence,
        "eventId": event.event_id,
        "topic": topic,
        "partition": entered.place.partition,
        "offset": offset_of(entered.place),
    }


def offset_of(place: Place) -> int | None:
    """None when the event has left the topic, and only that it was there is known."""
    return None if place.offset == UNKNOWN_OFFSET else place.offset
