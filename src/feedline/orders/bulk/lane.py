"""One partition of `orders.bulk`: what becomes of each event, and when.

Nothing of Kafka in here: events and the time go in, what is due comes out.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from feedline.errors import ConfigurationError
from feedline.orders.bulk.delays import Delay, read_delay
from feedline.orders.bulk.progress import MAX_SPAN, Progress
from feedline.orders.model import Accepted, Facts, OrderEvent, Parked, Refused, Repeat
from feedline.orders.model.book import Book, Place

# The codes in an error's headers.
REFUSED, UNREADABLE, INVALID, STILL_MISSING, TOO_MANY_PARKED = (
    "Refused", "Unreadable", "Invalid", "StillMissing", "TooManyParked",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LanePolicy:
    """delay: of each event. park_s: how long an event waits for those before it; max_parked: how many of a partition
    may. remembered: orders of a partition whose state is known."""

    delay: Delay
    park_s: float = 30.0
    max_parked: int = 2_000
    remembered: int = 100_000

    def __post_init__(self) -> None:
        if self.park_s <= 0 or self.max_parked < 1 or self.remembered < 2:
            raise ConfigurationError("park_s, max_parked and remembered must be positive, remembered 2 at least")


class Fate(Enum):
    """What is done with an event in the end."""

    PUBLISH = "publish"
    REFUSE = "refuse"
    DROP = "drop"


class Taken(NamedTuple):
    """An event, or a message that is none. value, headers: of its message; event: None when it is none."""

    offset: int
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    event: OrderEvent | None
    facts: Facts | None


class Due(NamedTuple):
    """What is to be done with an event now. code, reason: of a refusal."""

    taken: Taken
    fate: Fate
    code: str = ""
    reason: str = ""


def default_policy(delay: str = "100") -> LanePolicy:
    """The policy with a delay as `read_delay` reads it."""
    return LanePolicy(read_delay(delay))


class Lane:
    """progress, book: as they were when the partition came here; the book must know what was published of it."""

    def __init__(self, partition: int, policy: LanePolicy, progress: Progress, book: Book) -> None:
        self.partition, self._policy, self.progress, self._book = partition, policy, progress, book
        # By when it is due, and then as it came.
        self._schedule: list[tuple[float, int, Due]] = []
        self._number = 0
        # Of orders of which an event is still to be published: when the last one is due.
        self._last_due: dict[str, float] = {}
        # Parked events by order and sequence, with the time at which they are given up.
        self._parked: dict[str, dict[int, tuple[Taken, float]]] = {}
        self._parking: list[tuple[float, str, int]] = []
        self.parked = 0

    @property
    def is_full(self) -> bool:
        """Whether no more may be taken before something is done."""
        return self.progress.span >= MAX_SPAN

    def refuse(self, taken: Taken, code: str, reason: str, now: float) -> None:
        """A message that can be no event of an order, whatever comes."""
        if self.progress.take(taken.offset):
            self._add(now, Due(taken, Fate.REFUSE, code, reason))

    def take(self, taken: Taken, now: float) -> None:
        """The partition's next event; now: in seconds, of a clock that only goes on."""
        assert taken.facts is not None
        if not self.progress.take(taken.offset):
            return
        facts = taken.facts
        verdict = self._book.record(facts, Place(self.partition, taken.offset))
        if isinstance(verdict, Accepted):
            self._accept(taken, facts, now)
        elif isinstance(verdict, Repeat):
            self._add(now, Due(taken, Fate.DROP))
        elif isinstance(verdict, Refused):
            self._add(now, Due(taken, Fate.REFUSE, REFUSED, verdict.reason))
        else:
            self._park(taken, facts, verdict, now)

    def due(self, now: float, most: int) -> list[Due]:
        """What is to be done now, each order's in sequence; the caller finishes it with `progress.finish`."""
        self._give_up(now)
        found: list[Due] = []
        while self._schedule and self._schedule[0][0] <= now and len(found) < most:
            due = heapq.heappop(self._schedule)[2]
            order_id = due.taken.facts.order_id if due.taken.facts else ""
            # What comes of the order from now on is due no sooner by itself.
            if self._last_due.get(order_id, now + 1) <= now:
                del self._last_due[order_id]
            found.append(due)
        return found

    def _accept(self, taken: Taken, facts: Facts, now: float) -> None:
        """Schedules the event, and those that waited for it behind it."""
        waiting = self._parked.get(facts.order_id)
        while True:
            assert taken.event is not None
            due = max(now + self._policy.delay.of(taken.event.event_id), self._last_due.get(facts.order_id, 0.0))
            self._last_due[facts.order_id] = due
            self._add(due, Due(taken, Fate.PUBLISH))
            following = waiting.pop(facts.sequence + 1, None) if waiting else None
            if following is None:
                break
            taken, self.parked = following[0], self.parked - 1
            assert taken.facts is not None
            facts = taken.facts
            verdict = self._book.record(facts, Place(self.partition, taken.offset))
            if not isinstance(verdict, Accepted):
                reason = verdict.reason if isinstance(verdict, Refused | Parked) else "repeated"
                self._add(now, Due(taken, Fate.REFUSE, REFUSED, reason))
                break
        if waiting is not None and not waiting:
            del self._parked[facts.order_id]

    def _park(self, taken: Taken, facts: Facts, verdict: Parked, now: float) -> None:
        waiting = self._parked.setdefault(facts.order_id, {})
        there = waiting.get(facts.sequence)
        if there is not None:
            same = there[0].facts is not None and there[0].facts.content == facts.content
            reason = f"sequence {facts.sequence} was used by another event that waits"
            self._add(now, Due(taken, Fate.DROP) if same else Due(taken, Fate.REFUSE, REFUSED, reason))
            return
        if self.parked >= self._policy.max_parked:
            if not waiting:
                del self._parked[facts.order_id]
            reason = f"{verdict.reason}; {self.parked} events wait already"
            self._add(now, Due(taken, Fate.REFUSE, TOO_MANY_PARKED, reason))
            return
        until = now + self._policy.park_s
        waiting[facts.sequence] = (taken, until)
        heapq.heappush(self._parking, (until, facts.order_id, facts.sequence))
        self.parked += 1

    def _give_up(self, now: float) -> None:
        while self._parking and self._parking[0][0] <= now:
            until, order_id, sequence = heapq.heappop(self._parking)
            waiting = self._parked.get(order_id, {})
            # It may have gone on, and another event may be parked in its place.
            if sequence not in waiting or waiting[sequence][1] != until:
                continue
            taken, _ = waiting.pop(sequence)
            self.parked -= 1
            if not waiting:
                del self._parked[order_id]
            known = self._book.find(order_id)
            expected = known.state.sequence + 1 if known else 1
            reason = f"sequence {expected} has not come within {self._policy.park_s:g} s of sequence {sequence}"
            if known is None:
                reason += "; an order that was entered over HTTP is amended and cancelled over HTTP"
            self._add(now, Due(taken, Fate.REFUSE, STILL_MISSING, reason))

    def _add(self, when: float, due: Due) -> None:
        self._number += 1
        heapq.heappush(self._schedule, (when, self._number, due))
