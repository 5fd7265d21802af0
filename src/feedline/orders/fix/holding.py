"""What a gateway holds of one partition: how far it is, how its orders stand, and what waits for an earlier event."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from feedline.consumer.tracker import OffsetTracker
from feedline.orders.fix.intent import Intent
from feedline.orders.fix.messages import cl_ord_id
from feedline.orders.fix.states import Held
from feedline.orders.model import Facts, OrderEvent, Status

# Final orders kept in memory and on the topic of states, a partition; a later event of an older one is unknown.
FINAL_KEPT = 50_000


@dataclass(frozen=True, slots=True)
class Taken:
    """An event read from the topic: where it lay and the message as it was, for the topic of errors."""

    partition: int
    offset: int
    event: OrderEvent
    facts: Facts
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]


@dataclass(slots=True)
class Outgoing:
    """An event that is to be sent, or was: until its answer is durable. held: its order after it; asked: the terms that
    the order has when the engine takes it; message: of the body, until it is sent; number: its MsgSeqNum, 0 before;
    resend: whether it may have been sent before."""

    taken: Taken
    held: Held
    asked: str
    body: str
    message: Any
    resend: bool = False
    number: int = 0
    answered: bool = False

    @property
    def place(self) -> tuple[int, int]:
        return self.taken.partition, self.taken.offset

    @property
    def name(self) -> str:
        """Its ClOrdID."""
        return cl_ord_id(self.taken.event.order_id, self.taken.event.sequence)


@dataclass(slots=True)
class Parked:
    """An event that came before an earlier one. until: the moment (monotonic) at which it is given up."""

    taken: Taken
    reason: str
    until: float


@dataclass(slots=True)
class Holding:
    """One partition. committed, intent: as the group has them; inherited: what an earlier owner was about to send;
    parked: events that miss an earlier one; waiting: events of orders that wait for an answer of the engine, as they
    came; ahead: of orders with events that are not answered, the state after the last that is; ended: how orders have
    ended that cannot be taken for it yet; looked_at: whether it is known that no report of its orders was lost, or they
    are asked for."""

    partition: int
    tracker: OffsetTracker
    inherited: Intent
    intent: Intent
    states: dict[str, Held]
    committed: int
    looked_at: bool = False
    parked: dict[str, list[Parked]] = field(default_factory=dict)
    waiting: dict[str, list[Taken]] = field(default_factory=dict)
    ahead: dict[str, Held] = field(default_factory=dict)
    ended: dict[str, Status] = field(default_factory=dict)
    final: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        for order_id, held in self.states.items():
            if held.state.status.is_final:
                self.final[order_id] = None

    def may_lack_reports(self, session: str, store: str) -> bool:
        """Whether reports of its orders may have been lost with the numbers of that session: its last intent is of a
        store before this one."""
        return self.intent.session == session and self.intent.store != store

    def keep(self, order_id: str, held: Held) -> list[str]:
        """Keeps an order's state; the orders that are forgotten for it, final long ago."""
        self.states[order_id] = held
        if not held.state.status.is_final:
            return []
        self.final[order_id] = None
        self.final.move_to_end(order_id)
        gone = []
        while len(self.final) > FINAL_KEPT:
            oldest, _ = self.final.popitem(last=False)
            del self.states[oldest]
            gone.append(oldest)
        return gone

    def park(self, taken: Taken, reason: str, for_s: float) -> None:
        waiting = self.parked.setdefault(taken.event.order_id, [])
        waiting.append(Parked(taken, reason, time.monotonic() + for_s))
        waiting.sort(key=lambda one: one.taken.event.sequence)

    def wait(self, taken: Taken) -> None:
        """Holds an event back until the engine has answered the one before, and with it what is parked behind it: its
        time does not run meanwhile."""
        waiting = self.waiting.setdefault(taken.event.order_id, [])
        waiting += [taken, *(one.taken for one in self.parked.pop(taken.event.order_id, ()))]

    def next_parked(self, order_id: str, sequence: int) -> Taken | None:
        """Takes out the parked event that has become the order's next, or has been overtaken."""
        waiting = self.parked.get(order_id)
        if not waiting or waiting[0].taken.event.sequence > sequence:
            return None
        found = waiting.pop(0).taken
        if not waiting:
            del self.parked[order_id]
        return found

    def overdue(self, now: float) -> list[Parked]:
        """Takes out the parked events whose time is over."""
        late: list[Parked] = []
        for order_id in list(self.parked):
            waiting = self.parked[order_id]
            late += [one for one in waiting if one.until <= now]
            left = [one for one in waiting if one.until > now]
            if left:
                self.parked[order_id] = left
            else:
                del self.parked[order_id]
        return late

    @property
    def parked_count(self) -> int:
        return sum(map(len, self.parked.values()))

    @property
    def waiting_count(self) -> int:
        return sum(map(len, self.waiting.values()))
