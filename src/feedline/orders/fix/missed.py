"""Reports that were lost with a session's numbers are asked for again, order by order.

When a session begins anew with number 1, what the other side had numbered and not delivered cannot be asked for by
number any more. So the engine is asked how each open order stands (Order Status Request). Where it has filled or ended
an order, the order's last answered event is sent again, marked PossResend, and the engine gives its reports again;
those that we have are known by their ExecIDs.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import uuid4

from feedline.consumer.spans import read_spans
from feedline.errors import CorruptBatchError, OffsetsExpiredError
from feedline.orders.fix.holding import Holding, Taken
from feedline.orders.fix.judge import EventReader
from feedline.orders.fix.messages import cl_ord_id, message_of, terms_of
from feedline.orders.fix.raw import SOH
from feedline.orders.fix.states import Held
from feedline.orders.topics import MISSED_GROUP

logger = logging.getLogger(__name__)

# So many questions are unanswered at once, so many events are read and sent again a turn.
AHEAD, A_TURN = 200, 20
READ_WITHIN_S = 10.0
# Account, symbol and side, as the dictionary wants them in a question.
_ASKED = ("1", "55", "54")
_UNKNOWN_ORDER = "5"
# What to do about an event that cannot be sent again.
_IN_VAIN = (
    "the engine cannot be asked for its reports again; `feedline orders reconcile` with the engine's book tells which "
    "of them are missing"
)
# OrdStatus of an order of which nothing but its acknowledgement was reported: new, replaced, pending.
_UNTOUCHED = frozenset({"0", "5", "6", "A", "E"})


@dataclass(frozen=True, slots=True)
class Question:
    """How an open order stands. last: the sequence of its last answered event; held: the order as we have it."""

    order_id: str
    last: int
    partition: int
    held: Held

    @property
    def name(self) -> str:
        return cl_ord_id(self.order_id, self.last)

    @property
    def reported(self) -> range:
        """The sequences of the events under whose ClOrdIDs reports may have been lost: from that by which the engine
        has the order to the last that is answered."""
        return range(max(1, self.held.standing_before(self.last + 1)), self.last + 1)

    def body(self, request: str) -> str:
        fields = dict(part.split("=", 1) for part in self.held.terms.split(SOH) if part)
        asked = "".join(f"{tag}={fields[tag]}{SOH}" for tag in _ASKED if tag in fields)
        return f"35=H{SOH}11={self.name}{SOH}790={request}{SOH}{asked}"


def questions_of(holding: Holding, unanswered: Mapping[str, int]) -> Iterator[Question]:
    """Of each open order of the partition that has an answer. unanswered: by order its first event that has none."""
    for order_id, held in holding.states.items():
        last = unanswered.get(order_id, held.state.sequence + 1) - 1
        if last and not held.state.status.is_final:
            yield Question(order_id, last, holding.partition, held)


class Missed:
    """The questions of one gateway; of its thread only.

    send: gives the session a message, marked PossResend when told so; within_s: how long an answer is waited for;
    counts: the gateway's own.
    """

    def __init__(
        self,
        kafka: Mapping[str, Any],
        topic: str,
        reader: EventReader,
        *,
        send: Callable[..., None],
        within_s: float,
        counts: Counter[str],
    ) -> None:
        self._kafka, self._topic, self._reader = kafka, topic, reader
        self._send, self._within_s, self._counts = send, within_s, counts
        self._to_ask: deque[Question] = deque()
        self._asked: dict[str, Question] = {}
        self._to_send: deque[Question] = deque()
        self._heard_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether something is still to be asked or sent again: before anything newer is."""
        return bool(self._to_ask or self._asked or self._to_send)

    def add(self, questions: Iterable[Question]) -> None:
        before = len(self._to_ask)
        self._to_ask += questions
        if len(self._to_ask) > before:
            logger.warning("the engine is asked how %d open orders stand", len(self._to_ask) - before)

    def begin_anew(self) -> None:
        """The session was reset once more: what was asked is not answered."""
        self._to_ask.clear()
        self._asked.clear()
        self._to_send.clear()

    def hold(self) -> None:
        """The session is off: nobody is waited for."""
        self._heard_at = time.monotonic()

    def go_on(self) -> None:
        """Asks and sends again what it can now; gives up what is not answered in time, and says so.

        Raises BrokerUnavailableError when an event cannot be read.
        """
        now = time.monotonic()
        if not self._asked:
            self._heard_at = now
        while self._to_ask and len(self._asked) < AHEAD:
            question, request = self._to_ask.popleft(), uuid4().hex
            self._asked[request] = question
            self._send(question.body(request), marked=False)
            self._counts["asked"] += 1
        if self._asked and now - self._heard_at > self._within_s:
            names = [one.name for one in self._asked.values()]
            logger.error("the engine does not say how %d orders stand, as %s", len(names), ", ".join(names[:3]))
            self._counts["unanswered_questions"] += len(names)
            self._asked.clear()
        for _ in range(min(A_TURN, len(self._to_send))):
            self._send_again(self._to_send[0])
            self._to_send.popleft()

    def told(self, fields: Mapping[str, str]) -> None:
        """An answer of the engine's to an Order Status Request."""
        question = self._asked.pop(fields.get("790", ""), None)
        if question is None:
            return
        self._heard_at = time.monotonic()
        if fields.get("103") == _UNKNOWN_ORDER:
            logger.error(
                "the engine does not know %s: `feedline orders recover` sends again what it lost", question.name
            )
            self._counts["unknown_to_the_engine"] += 1
        elif Decimal(fields.get("14") or 0) or fields.get("39") not in _UNTOUCHED:
            self._to_send.append(question)

    def _send_again(self, question: Question) -> None:
        for sequence in question.reported:
            try:
                taken = self._read(question, sequence)
            except (OffsetsExpiredError, CorruptBatchError) as gone:
                logger.error("%s", gone)  # noqa: TRY400 - what happened is all in the sentence
                self._counts["unanswered_questions"] += 1
                continue
            event, held = taken.event, question.held
            terms = held.terms if event.order is None else terms_of(event)
            standing = held.standing_before(sequence)
            self._send(message_of(event, terms, standing, taken.partition, taken.offset), marked=True)
            self._counts["asked_again"] += 1

    def _read(self, question: Question, sequence: int) -> Taken:
        """The order's event of that sequence, as it lies on the topic. Raises OffsetsExpiredError when it does not,
        CorruptBatchError when another message lies there, BrokerUnavailableError."""
        name, partition = cl_ord_id(question.order_id, sequence), question.partition
        offset = question.held.offset_of(sequence)
        where = {"topic": self._topic, "partition": partition, "offset": offset}
        if offset is None:
            raise OffsetsExpiredError(f"where {name} lay is not known any more: {_IN_VAIN}", **where)
        span = {partition: (offset, offset + 1)}
        found = read_spans(self._kafka, self._topic, span, group=MISSED_GROUP, timeout_s=READ_WITHIN_S)
        try:
            taken = next(map(self._reader.read, found), None)
        except (OffsetsExpiredError, CorruptBatchError) as gone:
            raise type(gone)(f"{name} is not on the topic any more: {_IN_VAIN}", **where) from gone
        finally:
            found.close()
        if taken is None or (taken.event.order_id, taken.event.sequence) != (question.order_id, sequence):
            raise CorruptBatchError(f"{name} is not on the topic any more: {_IN_VAIN}", **where)
        return taken
