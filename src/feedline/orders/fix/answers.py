"""What the engine says: its reports made durable, and what follows from them for orders and events.

An answer takes its steps one after the other: the report is on `orders.executions`, the order's state on
`orders.states`, then the event is done and the engine's message need not be asked for again.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from feedline.errors import SchemaMismatchError
from feedline.orders.fix import reports
from feedline.orders.fix.connection import Received
from feedline.orders.fix.flight import Flight
from feedline.orders.fix.holding import Holding, Outgoing
from feedline.orders.fix.judge import Refuse
from feedline.orders.fix.outbox import Outbox
from feedline.orders.fix.ownership import Ownership
from feedline.orders.fix.raw import CANCEL_REJECT, raw_of
from feedline.orders.fix.states import Held
from feedline.orders.model import EventKind, ExecType, ExecutionReport, Status, conclude

logger = logging.getLogger(__name__)

# A number of the engine's, under the numbers of one store.
Number = tuple[str, int]
# The last reports by ExecID: what the engine sends again is known by it.
REPORTS_KNOWN = 200_000


@dataclass(frozen=True, slots=True)
class _Word:
    """What the engine has said of an event. decides: whether it is the answer to it, by kind of the event; rejected: it
    is not to be; final: how its order ends."""

    decides: Callable[[EventKind], bool]
    rejected: bool = False
    final: Status | None = None


@dataclass(slots=True)
class _Known:
    """A report that was taken. content: hash of what a copy of it says, too."""

    content: int
    is_durable: bool = False


def _content(report: ExecutionReport) -> int:
    # What the load of executions compares as well: it refuses, aloud, another report under the same ExecID.
    one = report
    return hash((one.order_id, one.exec_type, one.sequence, one.last_qty, one.last_px, one.cum_qty))


class Answers:
    """Of the gateway's thread only. refuse: gives an event to the topic of errors, and what follows when it is there;
    released: is told of an order whose events need not wait for an answer any more; told: gets the answers to questions
    how orders stand."""

    def __init__(
        self,
        session: str,
        flight: Flight,
        owned: Ownership,
        outbox: Outbox,
        counts: Counter[str],
        *,
        refuse: Callable[[Holding, Refuse, Callable[[], None]], None],
        released: Callable[[Holding, str], None],
        told: Callable[[Mapping[str, str]], None],
    ) -> None:
        self._session, self._flight, self._owned, self._outbox, self._counts = session, flight, owned, outbox, counts
        self._refuse, self._released, self._told = refuse, released, told
        # Reports not durable yet, by the engine's numbers, and the last ones by ExecID.
        self._pending: dict[Number, None] = {}
        self._known: OrderedDict[str, _Known] = OrderedDict()
        # After a start, what is said of events that are not read again yet, by ClOrdID.
        self._early: dict[str, list[tuple[_Word, Number | None]]] = {}

    @property
    def first_pending(self) -> int | None:
        """The first number of the engine's whose message is not durable with us; None when all are."""
        return next((number for _, number in self._pending), None)

    def begin_anew(self) -> None:
        """The engine's numbers were reset: nothing can be asked for by those from before."""
        self._pending.clear()

    def expected(self, outgoing: Outgoing) -> None:
        """An event was read that has a number already: the engine may have answered it before."""
        for word, number in self._early.pop(outgoing.name, ()):
            self._said(outgoing.name, word, number)

    def release_early(self) -> None:
        """Once all is read again that may have been sent, what is left over was said of events that are done, and the
        orders that have ended meanwhile may be taken for it."""
        if self._owned.is_catching_up:
            return
        self._flight.caught_up()
        early, self._early = self._early, {}
        for name, words in early.items():
            for word, number in words:
                self._said(name, word, number)
        for holding in self._owned:
            for order_id in list(holding.ended):
                self._end(holding, order_id)

    def take(self, fields: Received) -> None:
        """A message of the engine."""
        number = fields.store, int(fields["34"])
        if fields["35"] in (reports.BUSINESS_REJECT, reports.SESSION_REJECT):
            self._rejected(fields)
            return
        if reports.is_status(fields):
            self._told(fields)
            return
        if reports.is_duplicate(fields):
            self._duplicate(fields)
            return
        try:
            report = reports.report_of(fields, self._session)
            value = self._outbox.encode(report)
        except SchemaMismatchError as problem:
            self._unreadable(fields, number, problem)
            return
        rejected = report.exec_type is ExecType.CANCEL_REJECTED
        word = _Word(lambda kind: reports.answers(report, kind), rejected, reports.final_in(fields))
        known, content = self._known.get(report.exec_id), _content(report)
        if known is not None and known.content == content:
            self._counts["reports_again"] += 1
            if known.is_durable:
                self._said(report.cl_ord_id, word, None)
            return
        if known is not None:
            # Engines owe an ExecID to be the only one of its day, and no longer.
            self._counts["exec_ids_reused"] += 1
            logger.error("the engine uses ExecID %s for another report, of %s", report.exec_id, report.cl_ord_id)
        taken = self._known[report.exec_id] = _Known(content)
        self._known.move_to_end(report.exec_id)
        if len(self._known) > REPORTS_KNOWN:
            self._known.popitem(last=False)
        self._await(number)
        outgoing = self._flight.find(report.cl_ord_id)
        trace = None if outgoing is None else dict(outgoing.taken.headers).get("traceparent")

        def durable() -> None:
            taken.is_durable = True
            self._counts["reports"] += 1
            self._said(report.cl_ord_id, word, number)

        self._outbox.report(report, value, trace, durable)

    def _await(self, number: Number) -> None:
        """A message is not durable yet: it is to be asked for after a kill, if its number is of the session's store."""
        if number[0] == self._flight.store:
            self._pending[number] = None

    def _unreadable(self, fields: Mapping[str, str], number: Number, problem: SchemaMismatchError) -> None:
        """A report that cannot be one of ours is kept as it came; it answers its event all the same, and ends the order
        where its OrdStatus says so. Of a cancellation it is taken to say that the order is over, unless it is a
        rejection: then nothing is sent that must not be."""
        name = fields.get("11", "")
        logger.error("a report of %s cannot be read: %s", name, problem)
        self._counts["reports_refused"] += 1
        self._await(number)
        word = _Word(lambda _: True, fields["35"] == CANCEL_REJECT, reports.final_in(fields))
        raw, order_id = raw_of(fields), name.rpartition("-")[0]
        self._outbox.refuse_report(order_id, raw, str(problem), lambda: self._said(name, word, number))

    def _said(self, name: str, word: _Word, number: Number | None) -> None:
        """A report is durable; number: that of its message, when it is to be noted that it is."""
        outgoing = self._flight.find(name)
        order_id = name.rpartition("-")[0]
        holding = None if outgoing is None else self._owned.holding(outgoing.place[0])
        if (outgoing is None or word.final is not None) and self._owned.is_catching_up:
            # Its number stays pending: until the event is settled, and the end of its order counts, the engine has to
            # say it again after a kill.
            self._early.setdefault(name, []).append((word, number))
            number = None
            if outgoing is None:
                return
        settles = outgoing is not None and not outgoing.answered and word.decides(outgoing.taken.event.kind)
        if outgoing is None or holding is None or not settles:
            self._conclude(order_id, word.final)
            self._pending.pop(number, None)  # type: ignore[arg-type]
            return
        self._settle(holding, outgoing, rejected=word.rejected, final=word.final, number=number)

    def _settle(
        self,
        holding: Holding,
        outgoing: Outgoing,
        *,
        rejected: bool,
        final: Status | None,
        number: Number | None = None,
    ) -> None:
        """The engine's answer to an event is durable: the order's state, then all the rest of it."""
        order_id = outgoing.taken.event.order_id
        self._flight.answered(outgoing)
        held = self._decide(holding, outgoing, rejected=rejected, final=final)

        def settled() -> None:
            self._flight.forget(outgoing)
            self._owned.done(holding, outgoing.taken.offset)
            self._pending.pop(number, None)  # type: ignore[arg-type]

        self._outbox.state(holding.partition, order_id, held, settled)
        self._released(holding, order_id)

    def _decide(self, holding: Holding, outgoing: Outgoing, *, rejected: bool, final: Status | None) -> Held:
        """The order after the engine's answer to an event; the state to be written for that event."""
        event = outgoing.taken.event
        latest = holding.states.get(event.order_id, outgoing.held)
        latest = latest.answered(event.sequence, rejected=rejected, asked=outgoing.asked)
        if final is not None:
            holding.ended[event.order_id] = final
        if self._may_end(holding, event.order_id):
            latest = replace(latest, state=conclude(latest.state, holding.ended.pop(event.order_id)))
        self._keep(holding, event.order_id, latest)
        held = latest if latest.state.sequence == event.sequence else outgoing.held
        # An earlier event of a partition that came back may be answered after a later one: the state stays ahead.
        ahead = holding.ahead.pop(event.order_id, held)
        if ahead.state.sequence > held.state.sequence:
            held = latest if latest.state.sequence == ahead.state.sequence else ahead
        if self._flight.is_outstanding(event.order_id):
            holding.ahead[event.order_id] = held
        return held

    def _conclude(self, order_id: str, final: Status | None) -> None:
        """A later report of an order says that it is over."""
        if final is None:
            return
        for holding in self._owned:
            held = holding.states.get(order_id)
            if held is not None and not held.state.status.is_final:
                holding.ended[order_id] = final
                self._end(holding, order_id)

    def _may_end(self, holding: Holding, order_id: str) -> bool:
        """Whether an order that has ended may be taken for it: no event of it waits for its own answer, which brings
        the end with it, nor may turn up that was sent. A state must not say of such an event that it was answered, or
        must not be sent. And no report of it may be lost: what has ended is not asked for, after a kill either."""
        if order_id not in holding.ended or self._flight.is_outstanding(order_id) or self._owned.is_catching_up:
            return False
        asking = self._flight.is_held or not holding.looked_at
        if asking and holding.may_lack_reports(self._session, self._flight.store):
            return False
        return all(one.offset >= holding.inherited.end for one in holding.waiting.get(order_id, ()))

    def _end(self, holding: Holding, order_id: str) -> None:
        if not self._may_end(holding, order_id):
            return
        held, final = holding.states.get(order_id), holding.ended.pop(order_id)
        if held is None or held.state.status.is_final:
            return
        over = replace(held, state=conclude(held.state, final))
        self._keep(holding, order_id, over)
        self._outbox.state(holding.partition, order_id, over)
        self._released(holding, order_id)

    def _keep(self, holding: Holding, order_id: str, held: Held) -> None:
        for gone in holding.keep(order_id, held):
            self._outbox.state(holding.partition, gone, None)

    def _rejected(self, fields: Received) -> None:
        """The engine refuses the message itself: the event goes to the topic of errors, and its order on with what it
        had; one that was never taken is over."""
        named = self._flight.name_of(int(fields.get("45") or 0)) if fields.store == self._flight.store else None
        name = named or fields.get("379", "")
        outgoing = self._flight.find(name)
        if outgoing is None or outgoing.answered:
            logger.warning("the engine rejects a message that no event waits for: %s", fields.get("58"))
            return
        holding = self._owned.holding(outgoing.place[0])
        reason = f"the engine rejects the message: {fields.get('58') or fields.get('373') or fields.get('380')}"
        if holding is None:
            self._flight.forget(outgoing)
            return

        def refused() -> None:
            # A state without the reason would have the event dropped as a repeat after a kill.
            if self._flight.find(name) is not outgoing or outgoing.answered:
                return
            event = outgoing.taken.event
            final = Status.REJECTED if event.kind is EventKind.NEW else None
            self._settle(holding, outgoing, rejected=True, final=final)

        self._refuse(holding, Refuse(outgoing.taken, "FixRejected", reason), refused)

    def _duplicate(self, fields: Mapping[str, str]) -> None:
        """The engine has it, but this copy was not marked: asked again, marked, it gives its reports again."""
        name = fields.get("11", "")
        outgoing = self._flight.find(name)
        self._counts["duplicates"] += 1
        logger.warning("the engine has %s already", name)
        if outgoing is not None and not outgoing.answered and not outgoing.resend:
            self._flight.send_again(outgoing)
