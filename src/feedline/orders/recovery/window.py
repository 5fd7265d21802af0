"""Which events of the topic the engine may have lost in a span of time, as the gateways would have sent them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from feedline.consumer.group_offsets import committed_offsets
from feedline.errors import ConfigurationError, SchemaMismatchError
from feedline.kafka.admin import admin_client, offsets_at, partition_count, watermarks
from feedline.orders.fix.holding import Taken
from feedline.orders.fix.intent import Intent
from feedline.orders.fix.messages import cl_ord_id, message_of, terms_of
from feedline.orders.fix.states import Held, read_states
from feedline.orders.recovery.found_events import FoundEvents
from feedline.orders.recovery.reported import CLOCKS, answered_since
from feedline.orders.topics import OrderTopics
from feedline.settings import Settings

REQUEST_S = 10.0
# How far before the window's start events are looked for that were answered in it, step by step; then all there are.
_BEFORE = (timedelta(hours=1), timedelta(hours=6), timedelta(days=1), timedelta(days=4))


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """start, end: with a zone. Of the events that were entered before `end`, None for now, those that were entered or
    answered from `start` on, or have no answer; order_id: of one order only."""

    start: datetime
    end: datetime | None = None
    order_id: str | None = None

    def __post_init__(self) -> None:
        for moment in (self.start, self.end):
            if moment is not None and moment.tzinfo is None:
                raise ConfigurationError(f"{moment.isoformat()} has no time zone: add one, as in 14:05:00-05:00")
        if self.end is not None and self.end <= self.start:
            raise ConfigurationError("the end of the window is not after its start")


@dataclass(frozen=True, slots=True)
class Sent:
    """An event that a gateway has sent, or will. entered_ms: when it was entered; standing, terms: under which sequence
    and with which terms the engine had the order then; body: its FIX message as it was; is_answered: whether the
    gateways have the engine's answer to it; is_sent: whether one may have sent it. What none has sent, one will,
    unmarked."""

    taken: Taken
    entered_ms: int
    name: str
    standing: int
    terms: str
    body: str
    is_answered: bool
    is_sent: bool = True


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the gateways are on a partition: below `done` nothing is left to do, from `intended` on nothing has been
    sent."""

    done: int = 0
    intended: int = 0

    def perhaps_sent(self, offset: int, sequence: int, held: Held | None) -> bool:
        """Of an event that lies there. held: its order as far as the engine has answered. What comes behind an
        amendment or a cancellation that has no answer is held back below the intent too."""
        answered = 0 if held is None else held.state.sequence - held.state.status.is_pending
        return offset < self.done or (offset < self.intended and sequence <= max(answered, 1) + 1)


def sent_in(
    settings: Settings, topics: OrderTopics, window: Window, parse: Callable[[str], Any], gateways: str
) -> list[Sent]:
    """The events of the window, each order's in sequence, without repeats and without what was refused. gateways: their
    consumer group.

    Joins no group and commits nothing. Raises BrokerUnavailableError, RegistryUnavailableError, and ConfigurationError
    also when the group has committed nothing.
    """
    acting = settings.acting_as("recovery")
    # Before anything else: what is sent while we look is not taken for lost.
    progress = progress_of(acting.kafka, topics.out, gateways)
    answered = {one for one in answered_since(settings, topics, window.start) if window.order_id in (None, one[0])}
    taken = _entered(settings, topics, window, progress, answered)
    states = read_states(acting.kafka, topics.states, sorted({one.partition for one, _ in taken.values()}))
    held_by_order = {order_id: held for of_one in states.values() for order_id, held in of_one.items()}
    terms = {order_id: held.terms for order_id, held in held_by_order.items()}
    found = []
    for (order_id, sequence), (one, entered) in sorted(taken.items()):
        held = held_by_order.get(order_id)
        rejected = held.rejected if held else ()
        if one.event.order is None and order_id not in terms:
            # A cancellation of an order that no gateway has sent anything of.
            continue
        asked = terms_of(one.event) if one.event.order is not None else terms[order_id]
        standing = max((before for before in range(1, sequence) if before not in rejected), default=0)
        body = message_of(one.event, asked, standing, one.partition, one.offset)
        try:
            parse(body)
        except SchemaMismatchError:
            continue
        is_answered = held is not None and held.state.sequence >= sequence and not held.state.status.is_pending
        early = entered < window.start.timestamp() * 1000
        if early and is_answered and (order_id, sequence) not in answered:
            continue
        is_sent = is_answered or progress[one.partition].perhaps_sent(one.offset, sequence, held)
        name = cl_ord_id(order_id, sequence)
        found.append(Sent(one, entered, name, standing, terms.get(order_id, asked), body, is_answered, is_sent))
        if sequence not in rejected:
            terms[order_id] = asked
    return found


def progress_of(kafka: Mapping[str, Any], topic: str, gateways: str) -> dict[int, Progress]:
    """By partition, as the gateways' group has it. Raises BrokerUnavailableError; ConfigurationError when it has
    nothing, as one that no gateway was ever in."""
    asked = range(partition_count(admin_client(kafka), topic))
    committed = committed_offsets(kafka, gateways, topic, asked, timeout_s=REQUEST_S)
    if all(place.offset < 0 for place in committed):
        raise ConfigurationError(
            f"no gateway of the group {gateways} has sent anything of {topic}: give the gateways' group with --group"
        )
    return {place.partition: Progress(max(place.offset, 0), Intent.of(place.metadata).end) for place in committed}


def _entered(
    settings: Settings,
    topics: OrderTopics,
    window: Window,
    progress: Mapping[int, Progress],
    answered: Collection[tuple[str, int]],
) -> dict[tuple[str, int], tuple[Taken, int]]:
    """By order and sequence the events from the window's start on, or from the first that may not be answered, and when
    each was entered; and as far back as they can be found, those that were answered since."""
    kafka, topic = settings.acting_as("recovery").kafka, topics.out
    found = FoundEvents(settings, topics, window.end)
    marks = watermarks(kafka, topic, progress)
    ends = {partition: high for partition, (_, high) in marks.items()}
    if window.end is not None:
        # By clocks that differ something may lie behind what was entered later.
        ends = offsets_at(kafka, topic, window.end + CLOCKS)
    starts = offsets_at(kafka, topic, window.start)
    starts = {number: max(marks[number][0], min(start, progress[number].done)) for number, start in starts.items()}
    found.read(starts, ends, None if window.order_id is None else {window.order_id.encode()})
    for reach in (*_BEFORE, None):
        orders = found.orders_missing(answered)
        if not orders:
            break
        earlier = {number: low for number, (low, _) in marks.items()}
        if reach is not None:
            since = offsets_at(kafka, topic, window.start - reach)
            earlier = {number: max(low, min(since[number], starts[number])) for number, low in earlier.items()}
        found.read(earlier, starts, orders)
        starts = earlier
    return found.events
