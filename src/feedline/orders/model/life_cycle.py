"""How an order lives: which event may follow which, decided by pure functions.

Every service that reads order events decides with these, in the order in which a partition has them, and so all of
them come to the same verdict on the same event.

Whether the engine takes an amendment or a cancellation is not on that topic. So a cancellation ends nothing by itself:
the order is PENDING_CANCEL until the engine has said, and what comes after it has its place in the sequence. Whoever
sends to the engine holds that back (`must_wait`) until `answered` has made of it what the engine said.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from feedline.orders.model.events import CASH, PRICE, QUANTITY, EntrySource, EventKind, Order, OrderEvent

# Bytes of one digest. They tell apart the few events of one order, not all orders.
DIGEST_BYTES = 8


class Status(StrEnum):
    """How an order stands as far as its own events and the engine's reports say. PENDING_REPLACE, PENDING_CANCEL: its
    last event is an amendment, a cancellation, and the engine has not answered it."""

    OPEN = "OPEN"
    PENDING_REPLACE = "PENDING_REPLACE"
    PENDING_CANCEL = "PENDING_CANCEL"
    CANCELLED = "CANCELLED"
    FILLED = "FILLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"

    @property
    def is_pending(self) -> bool:
        """Whether what the order is depends on an answer of the engine."""
        return self in (Status.PENDING_REPLACE, Status.PENDING_CANCEL)

    @property
    def is_final(self) -> bool:
        """Whether no event may follow."""
        return self is not Status.OPEN and not self.is_pending


# How an order stands after an event that is not answered. A new order is not waited for: what follows refers to it.
_ASKED = {
    EventKind.NEW: Status.OPEN,
    EventKind.AMEND: Status.PENDING_REPLACE,
    EventKind.CANCEL: Status.PENDING_CANCEL,
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What the life cycle needs to know of an event. content: digest of what the event asks for, without when and how
    often it was sent; terms: of what no event of the order may change; instrument: of side and instrument, which
    an amendment may not change, empty for a cancellation."""

    order_id: str
    sequence: int
    kind: EventKind
    content: bytes
    terms: bytes
    instrument: bytes = b""


@dataclass(frozen=True, slots=True)
class OrderState:
    """An order after some of its events. sequence: of the last; contents: the digests of all, in sequence."""

    sequence: int
    status: Status
    contents: bytes
    terms: bytes
    instrument: bytes

    def content(self, sequence: int) -> bytes:
        """The digest of an event that was accepted."""
        return self.contents[(sequence - 1) * DIGEST_BYTES : sequence * DIGEST_BYTES]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The event is the order's next; state: the order after it."""

    state: OrderState


@dataclass(frozen=True, slots=True)
class Repeat:
    """The event was accepted before: drop it, nothing is wrong."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The event can never be accepted."""

    reason: str


@dataclass(frozen=True, slots=True)
class Parked:
    """Events before this one are missing: keep it until they come, for a time. missing: the next one of the order."""

    reason: str
    missing: int


Verdict = Accepted | Repeat | Refused | Parked


def apply(state: OrderState | None, event: Facts) -> Verdict:
    """The verdict on an event of an order that stands as `state` says, None when nothing is known of the order. What is
    accepted has its place in the order's life; whether it may be sent now is `must_wait`'s to say."""
    if state is None:
        return _first(event)
    if event.sequence <= state.sequence:
        return _again(state, event)
    if state.status.is_final:
        return Refused(f"the order is {state.status}: no event may follow")
    if event.kind is EventKind.NEW:
        return Refused(f"a new order begins with sequence 1, this one has stood since; {_next_is(state)}")
    if event.sequence > state.sequence + 1:
        return Parked(f"sequence {event.sequence} came before {state.sequence + 1}", state.sequence + 1)
    return _next(state, event)


def _first(event: Facts) -> Verdict:
    if event.sequence < 1:
        return Refused(f"sequence {event.sequence}: sequences begin with 1")
    if event.kind is EventKind.NEW:
        if event.sequence > 1:
            return Refused(f"a new order begins with sequence 1, not {event.sequence}")
        return Accepted(OrderState(1, _ASKED[event.kind], event.content, event.terms, event.instrument))
    if event.sequence == 1:
        return Refused(f"sequence 1 is that of the new order, not of {event.kind}")
    return Parked(f"sequence {event.sequence} of an order that is not known", 1)


def _again(state: OrderState, event: Facts) -> Verdict:
    if event.sequence < 1:
        return Refused(f"sequence {event.sequence}: sequences begin with 1")
    if event.content == state.content(event.sequence):
        return Repeat()
    return Refused(f"sequence {event.sequence} was used by another event of the order; {_next_is(state)}")


def _next(state: OrderState, event: Facts) -> Verdict:
    if event.terms != state.terms:
        return Refused("client, account and product of an order cannot change: cancel it and enter another")
    if event.kind is EventKind.AMEND and event.instrument != state.instrument:
        return Refused("side, currency and instrument of an order cannot be amended: cancel it and enter another")
    contents = state.contents + event.content
    return Accepted(replace(state, sequence=event.sequence, status=_ASKED[event.kind], contents=contents))


def _next_is(state: OrderState) -> str:
    return "no event may follow" if state.status.is_final else f"the next is {state.sequence + 1}"


def must_wait(state: OrderState | None, event: Facts) -> bool:
    """Whether an event may not be sent, nor judged, before the engine has answered the one before: after a cancellation
    that it took nothing may follow, and what follows an amendment refers to it only when it was taken."""
    return state is not None and state.status.is_pending and event.sequence > state.sequence


def answered(state: OrderState, sequence: int, *, rejected: bool) -> OrderState:
    """The order after the engine's answer to its event of that sequence: a cancellation that was taken ends it; after
    one that was rejected, as after any amendment, it is open. Final stays final, and answers to other events than the
    last change nothing."""
    if state.sequence != sequence or not state.status.is_pending:
        return state
    taken = state.status is Status.PENDING_CANCEL and not rejected
    return replace(state, status=Status.CANCELLED if taken else Status.OPEN)


def conclude(state: OrderState, status: Status) -> OrderState:
    """The order after the engine has said that it is filled, rejected, expired or cancelled; final stays final."""
    return state if state.status.is_final else replace(state, status=status)


def facts_of(event: OrderEvent) -> Facts:
    """What the life cycle needs to know of an event."""
    terms = _digest(_client_scope(event), event.account_id, event.product)
    order = event.order
    if order is None:
        content = _digest(event.kind, terms.hex())
        return Facts(event.order_id, event.sequence, event.kind, content, terms)
    instrument = _instrument(order)
    content = _digest(
        event.kind,
        terms.hex(),
        instrument.hex(),
        order.orderType,
        order.timeInForce,
        _amount(order.quantity, QUANTITY),
        _amount(order.cashAmount, CASH),
        _amount(order.limitPrice, PRICE),
    )
    return Facts(event.order_id, event.sequence, event.kind, content, terms, instrument)


def _client_scope(event: OrderEvent) -> str:
    """Over HTTP an order is its client's, who is known by key or token; in bulk the name is only said."""
    return event.client if event.source is EntrySource.HTTP else ""


def _instrument(order: Order) -> bytes:
    option = order.option
    named = () if option is None else (
        option.underlying, option.putCall, _amount(option.strike, PRICE), option.expiry.isoformat(),
    )  # fmt: skip
    return _digest(order.side, order.currency, order.symbol, order.isin or "", *named)


def _amount(value: Decimal | None, step: Decimal) -> str:
    return "" if value is None else str(value.quantize(step))


def _digest(*parts: str) -> bytes:
    # The length keeps parts apart, whatever they hold.
    text = "".join([f"{len(part)}:{part}" for part in parts])
    return hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).digest()
