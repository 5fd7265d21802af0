"""What is on its way to the engine: to be sent, in order; sent and not answered; and under which number.

How an offset and a FIX sequence number come to move together is told in
docs/decisions/0018-offset-and-fix-number-move-together.md.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any

from feedline.orders.fix.connection import Connection
from feedline.orders.fix.dictionary import mark_resend
from feedline.orders.fix.holding import Holding, Outgoing
from feedline.orders.fix.ownership import Ownership

logger = logging.getLogger(__name__)


class Flight:
    """Of the gateway's thread only. parse: makes a message of a body."""

    def __init__(
        self,
        connection: Connection,
        owned: Ownership,
        parse: Callable[[str], Any],
        max_in_flight: int,
        counts: Counter[str],
    ) -> None:
        self._connection, self._owned, self._parse = connection, owned, parse
        self._max_in_flight, self._counts = max_in_flight, counts
        self._ready: deque[Outgoing] = deque()
        # Sent, by ClOrdID and by number.
        self._in_flight: dict[str, Outgoing] = {}
        self._numbers: dict[int, str] = {}
        # Not to be sent any more, of partitions that are about to go.
        self._left: list[Outgoing] = []
        # Of each order, how many of its events are not answered, sent or not.
        self._unanswered: Counter[str] = Counter()
        # Events that have a number in the store of an earlier run, until they are read again.
        self._numbered: dict[tuple[int, int], int] = {}
        # Whether those are all; of a long store the oldest are not known.
        self._is_known_whole = True
        # Events that this run has sent, or an earlier one may have, and that are not settled. Of a partition that goes
        # and comes back the group's intent does not tell them from what was never sent: it is this gateway's own.
        self._perhaps_sent: set[tuple[int, int]] = set()
        # Those that were read again and wait for the engine's word, by ClOrdID, with the time since when.
        self._awaited: dict[str, float] = {}
        # Whether what the engine says of them still comes: until all is read again that may have been sent.
        self._said_again = True
        # Which store that is.
        self.store = ""
        # Something is to be known first.
        self.is_held = False

    def open(self) -> None:
        """Connects."""
        # What has a number is known before the first message can get another one.
        self._numbered = self._connection.store.numbered()
        self._is_known_whole = not self._connection.store.is_longer()
        self._connection.start()
        self.store = self._connection.store_now

    @property
    def ready(self) -> int:
        return len(self._ready)

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def may_send(self) -> bool:
        """Whether the session is on, and it is known whose numbers it has."""
        return self._connection.logged_on and self._connection.store_now == self.store

    @property
    def can_send(self) -> bool:
        """Whether there is something to send and nothing in the way of it."""
        return bool(self._ready) and self.may_send and not self.is_held and len(self._in_flight) < self._max_in_flight

    def find(self, name: str) -> Outgoing | None:
        """What was sent under that ClOrdID and is not settled."""
        return self._in_flight.get(name)

    def name_of(self, number: int) -> str | None:
        return self._numbers.get(number)

    def is_outstanding(self, order_id: str) -> bool:
        """Whether an event of the order is not answered, or not even sent."""
        return self._unanswered[order_id] > 0

    def first_unanswered(self) -> dict[str, int]:
        """By order the sequence of its first event that is not answered, of orders that have one."""
        first: dict[str, int] = {}
        for one in (*self._in_flight.values(), *self._ready):
            event = one.taken.event
            if not one.answered:
                first[event.order_id] = min(event.sequence, first.get(event.order_id, event.sequence))
        return first

    def expect(self, holding: Holding, outgoing: Outgoing) -> None:
        """To be sent; or sent by an earlier run of this gateway, whose session delivers it, and to be answered. When it
        is read so late, or a second time, that its answer may have come already, it is sent again, marked, and answered
        again."""
        self._unanswered[outgoing.taken.event.order_id] += 1
        inherited, session = holding.inherited, self._connection.name
        number = self._numbered.pop(outgoing.place, 0)
        is_sent = bool(number) and inherited.is_of(session, self.store)
        if is_sent and self._said_again:
            outgoing.number = number
            self._wait_for(outgoing)
            self._awaited[outgoing.name] = time.monotonic()
            self._counts["numbered_before"] += 1
            return
        before = is_sent or outgoing.place in self._perhaps_sent
        outgoing.resend = before or inherited.perhaps_sent(
            outgoing.taken.offset, session, self.store, is_known_whole=self._is_known_whole
        )
        if outgoing.resend:
            self._perhaps_sent.add(outgoing.place)
        self._ready.append(outgoing)

    def caught_up(self) -> None:
        """All is read again that may have been sent before this start."""
        self._said_again = False

    def ask_again(self, within_s: float) -> None:
        """Sends again, marked, what an earlier run has sent and the engine has said nothing of for so long while the
        session was on. Its answer may have become durable while the partition was nobody's: then it is not said again
        by itself, and the event would wait for good."""
        now = time.monotonic()
        if not self.may_send:
            self._awaited = dict.fromkeys(self._awaited, now)
            return
        for name in [name for name, since in self._awaited.items() if now - since >= within_s]:
            self._counts["asked_again_late"] += 1
            logger.warning("the engine has not answered %s, which an earlier run has sent: it is sent again", name)
            self.send_again(self._in_flight[name])

    def send(self) -> None:
        """Sends what is ready and may be, after the group knows that it is about to be."""
        if not self.can_send:
            return
        room = self._max_in_flight - len(self._in_flight)
        batch = [self._ready[index] for index in range(min(room, len(self._ready)))]
        spans: dict[int, tuple[int, int]] = {}
        for outgoing in batch:
            partition, offset = outgoing.place
            first, end = spans.get(partition, (offset, 0))
            spans[partition] = min(first, offset), max(end, offset + 1)
        if not self._owned.intend(spans, self._connection.name, self.store):
            return
        for outgoing in batch:
            if not self.may_send:
                return
            self._ready.popleft()
            self._send(outgoing)

    def _send(self, outgoing: Outgoing) -> None:
        message = outgoing.message if outgoing.message is not None else self._parse(outgoing.body)
        if outgoing.resend:
            mark_resend(message)
            self._counts["resent"] += 1
        outgoing.message = None
        outgoing.number = self._connection.send(message)
        self._counts["sent"] += 1
        self._wait_for(outgoing)

    def _wait_for(self, outgoing: Outgoing) -> None:
        self._in_flight[outgoing.name] = outgoing
        self._numbers[outgoing.number] = outgoing.name
        self._perhaps_sent.add(outgoing.place)

    def begin_anew(self) -> bool:
        """Whether the session's numbers were reset and its store emptied. Then what is not answered is sent again,
        marked, before anything newer."""
        store = self._connection.store_now
        if store == self.store:
            return False
        self.store = store
        self._numbered.clear()
        self._is_known_whole = True
        self._numbers.clear()
        unanswered = [one for one in self._in_flight.values() if not one.answered]
        logger.warning("the FIX session begins with number 1: %d events are sent again", len(unanswered))
        self._counts["resets"] += 1
        for outgoing in reversed(unanswered):
            self._take_back(outgoing)
            self._ready.appendleft(outgoing)
        return True

    def send_again(self, outgoing: Outgoing) -> None:
        """Once more, marked."""
        self._take_back(outgoing)
        self._ready.append(outgoing)

    def _take_back(self, outgoing: Outgoing) -> None:
        self._in_flight.pop(outgoing.name, None)
        self._awaited.pop(outgoing.name, None)
        self._numbers.pop(outgoing.number, None)
        outgoing.resend, outgoing.number = True, 0

    def answered(self, outgoing: Outgoing) -> None:
        """It has its answer, which is not settled yet: it counts as in flight until `forget`."""
        outgoing.answered = True
        self._awaited.pop(outgoing.name, None)
        self._less(outgoing)

    def forget(self, outgoing: Outgoing) -> None:
        """It is done with."""
        self._perhaps_sent.discard(outgoing.place)
        self._land(outgoing)

    def _land(self, outgoing: Outgoing) -> None:
        if self._in_flight.pop(outgoing.name, None) is not None and not outgoing.answered:
            self._less(outgoing)
        self._awaited.pop(outgoing.name, None)
        self._numbers.pop(outgoing.number, None)

    def leave(self, partitions: set[int] | None) -> None:
        """Nothing more of these partitions is sent, of any for None. What is left counts as outstanding until its
        partition has gone: a state that is written meanwhile must not say of it that it was answered."""
        going, staying = _parted(self._ready, partitions)
        self._left += going
        self._ready = deque(staying)

    def drop(self, partitions: set[int]) -> None:
        """Those partitions are somebody else's: nothing of them is sent or waited for any more."""
        self.leave(partitions)
        gone, self._left = _parted(self._left, partitions)
        for outgoing in gone:
            self._less(outgoing)
        for outgoing in _parted(self._in_flight.values(), partitions)[0]:
            self._land(outgoing)

    def waits_for(self, partitions: set[int] | None) -> bool:
        """Whether something sent of these partitions, of any for None, is not settled."""
        return any(partitions is None or one.place[0] in partitions for one in self._in_flight.values())

    def _less(self, outgoing: Outgoing) -> None:
        order_id = outgoing.taken.event.order_id
        self._unanswered[order_id] -= 1
        if self._unanswered[order_id] <= 0:
            del self._unanswered[order_id]


def _parted(some: Iterable[Outgoing], partitions: set[int] | None) -> tuple[list[Outgoing], list[Outgoing]]:
    """Those of these partitions, of any for None, and the others."""
    inside: list[Outgoing] = []
    outside: list[Outgoing] = []
    for one in some:
        (inside if partitions is None or one.place[0] in partitions else outside).append(one)
    return inside, outside
