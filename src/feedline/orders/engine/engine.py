"""The simulated engine: a FIX acceptor with a book on disk, which does with orders what it is told."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import quickfix as fix

from feedline.errors import ConfigurationError
from feedline.local.ports import choose_ports
from feedline.orders.engine import ledger
from feedline.orders.engine.behaviour import Answer, Behaviour
from feedline.orders.engine.book import Arrival, Book, Report, Verdict
from feedline.orders.fix.dictionary import BEGIN_STRING, fields_of, mark_resend, parse
from feedline.orders.fix.session_policy import SessionPolicy, acceptor_settings
from feedline.orders.fix.store import StoreFiles

logger = logging.getLogger(__name__)


class _Callbacks(fix.Application):  # type: ignore[misc]
    """What QuickFIX calls. It ends the process when a callback raises, so none of them may."""

    def __init__(self, received: Callable[[str], None], logged_on: Callable[[str, bool], None]) -> None:
        super().__init__()
        self._received = received
        self._logged_on = logged_on

    def onCreate(self, session: Any) -> None: ...  # noqa: N802

    def onLogon(self, session: Any) -> None:  # noqa: N802
        self._logged_on(session.getTargetCompID().getString(), True)  # noqa: FBT003

    def onLogout(self, session: Any) -> None:  # noqa: N802
        self._logged_on(session.getTargetCompID().getString(), False)  # noqa: FBT003

    def toAdmin(self, message: Any, session: Any) -> None: ...  # noqa: N802

    def fromAdmin(self, message: Any, session: Any) -> None: ...  # noqa: N802

    def toApp(self, message: Any, session: Any) -> None: ...  # noqa: N802

    def fromApp(self, message: Any, session: Any) -> None:  # noqa: N802, ARG002
        try:
            self._received(message.toString())
        except Exception:
            # A message that could not be booked must not count as received: its number is asked for again.
            logger.exception("the engine cannot book a message, and ends")
            os._exit(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatus:
    """What the engine says of itself. messages: by verdict."""

    away: bool
    sessions: tuple[str, ...]
    orders: int
    messages: dict[str, int]
    held: int
    behaviour: Behaviour


class Engine:
    """Started and stopped by `start` and `stop`; everything else may be called from any thread in between."""

    def __init__(self, policy: SessionPolicy, behaviour: Behaviour) -> None:
        self._policy = policy
        self._behaviour = behaviour
        self._book = Book.open(policy.folder)
        self._orders = ledger.Orders(self._book)
        self._counts = dict.fromkeys(Verdict, 0)
        for arrival in self._book.arrivals:
            self._counts[Verdict(arrival.verdict)] += 1
        # Booked, not answered: while answers are held, or since a process was killed in between.
        self._held = [
            one
            for one in self._book.arrivals
            if one.verdict == Verdict.BOOKED and one.cl_ord_id not in self._book.reports
        ]
        self._sessions: set[str] = set()
        self._acceptor: Any = None
        # Never taken by a callback that QuickFIX makes under its session's own lock.
        self._lock = threading.RLock()
        self._callbacks = _Callbacks(self._receive, self._logged_on)

    def start(self) -> None:
        """Listens; raises ConfigurationError when the port is in use."""
        # QuickFIX would say so in a thread of its own only.
        choose_ports({"the FIX engine": self._policy.port}, {})
        settings = acceptor_settings(self._policy)
        for target in self._policy.targets:
            StoreFiles.of(self._policy.folder, self._policy.sender, target).keep_on()
        self._acceptor = fix.ThreadedSocketAcceptor(
            self._callbacks, fix.FileStoreFactory(settings), settings, fix.FileLogFactory(settings)
        )
        self._acceptor.start()
        with self._lock:
            self._send(list(self._book.unsent.values()))
            self._answer_held()

    def stop(self) -> None:
        """Closes the sessions and the port; what is booked stays."""
        self.away()
        self._book.close()

    def away(self) -> None:
        """Nobody answers at the port, until `back`."""
        acceptor, self._acceptor = self._acceptor, None
        if acceptor is not None:
            # Without our lock: it waits for the thread that may be waiting for it.
            acceptor.stop(True)  # noqa: FBT003
            self._sessions.clear()

    def back(self) -> None:
        if self._acceptor is None:
            self.start()

    def status(self) -> EngineStatus:
        with self._lock:
            return EngineStatus(
                away=self._acceptor is None,
                sessions=tuple(sorted(self._sessions)),
                orders=len(self._orders),
                messages={verdict.value: count for verdict, count in self._counts.items()},
                held=len(self._held),
                behaviour=self._behaviour,
            )

    def behave(self, **changes: Any) -> Behaviour:
        """Changes the behaviour; raises ConfigurationError for what it cannot be."""
        with self._lock:
            try:
                self._behaviour = replace(self._behaviour, **changes)
            except TypeError as error:
                raise ConfigurationError(f"no such behaviour: {error}") from error
            self._answer_held()
            return self._behaviour

    def fill(self, order_id: str, quantity: Decimal | None) -> list[str]:
        """Fills an order, wholly without a quantity; the ids of the reports. Raises ConfigurationError."""
        with self._lock:
            order = self._orders.order(order_id)
            if order is None:
                raise ConfigurationError(f"the engine has no order {order_id}")
            message = self._book.last_arrival(order.standing)
            answers = self._answers(order, message)
            answers.fill(order.open_quantity if quantity is None else quantity)
            self._give(None, answers)
            return [one.exec_id for one in answers.reports]

    def forget(self, since: datetime) -> int:
        """Loses what was booked since then, as when it is restored from a backup; how many messages."""
        with self._lock:
            lost = self._book.forget(since)
            self._orders = ledger.Orders(self._book)
            self._held = [one for one in self._held if one.cl_ord_id in self._orders]
            return lost

    def arrivals(self, order_id: str | None = None) -> list[Arrival]:
        with self._lock:
            return [one for one in self._book.arrivals if order_id in (None, one.order_id)]

    def _logged_on(self, target: str, is_on: bool) -> None:
        (self._sessions.add if is_on else self._sessions.discard)(target)

    def _receive(self, raw: str) -> None:
        fields = fields_of(raw)
        if self._behaviour.slow_s:
            time.sleep(self._behaviour.slow_s)
        with self._lock:
            session, kind = fields["49"], fields["35"]
            if kind == "H":
                known = fields["11"] in self._orders
                order = self._orders.by_cl_ord_id(fields["11"]) if known else None
                self._transmit(ledger.status_body(fields, order), session)
            elif kind in ledger.ORDER_MESSAGES:
                self._take(fields, session)

    def _take(self, fields: dict[str, str], session: str) -> None:
        verdict = self._orders.verdict(fields)
        arrival = ledger.arrival_of(fields, session, verdict)
        self._counts[verdict] += 1
        if verdict is not Verdict.BOOKED:
            self._book.add(arrival, [])
            if verdict is Verdict.COPY:
                self._orders.move(arrival)
                for report in self._book.reports.get(arrival.cl_ord_id, ()):
                    self._transmit(report.body, session, again=True)
            else:
                self._transmit(ledger.refusal(arrival), session)
            return
        order = self._orders.take(arrival)
        behaviour = self._behaviour
        if behaviour.answer is Answer.HOLD:
            self._held.append(arrival)
            self._book.add(arrival, [])
            return
        answers = self._answers(order, arrival)
        answers.answer(self._next_answer())
        self._book.add(arrival, answers.reports)
        if behaviour.drop_after:
            self._behaviour = replace(self._behaviour, drop_after=behaviour.drop_after - 1)
            if self._behaviour.drop_after == 0:
                fix.Session.lookupSession(self._session_id(session)).disconnect()
        self._orders.put(answers.order)
        self._send(answers.reports)

    def _answer_held(self) -> None:
        if self._behaviour.answer is Answer.HOLD:
            return
        held, self._held = self._held, []
        for arrival in held:
            answers = self._answers(self._orders.by_cl_ord_id(arrival.cl_ord_id), arrival)
            answers.answer(self._next_answer())
            self._give(None, answers)

    def _next_answer(self) -> Answer:
        left = self._behaviour.reject_next
        if not left:
            return self._behaviour.answer
        self._behaviour = replace(self._behaviour, reject_next=left - 1)
        return Answer.REJECT

    def _answers(self, order: ledger.EngineOrder, message: Arrival) -> ledger.Answers:
        given = len(self._book.reports.get(message.cl_ord_id, ()))
        return ledger.Answers(order, message, self._book.epoch, given)

    def _give(self, arrival: Arrival | None, answers: ledger.Answers) -> None:
        self._book.add(arrival, answers.reports)
        self._orders.put(answers.order)
        self._send(answers.reports)

    def _send(self, reports: list[Report]) -> None:
        self._book.sent([one for one in reports if self._transmit(one.body, one.session)])

    def _transmit(self, body: str, session: str, *, again: bool = False) -> bool:
        """Whether the session has it in its store; it has none while the engine is away."""
        message = parse(body, self._policy.sender, session)
        if again:
            mark_resend(message)
        try:
            return bool(fix.Session.sendToTarget(message, self._session_id(session)))
        except fix.SessionNotFound:
            return False

    def _session_id(self, target: str) -> Any:
        return fix.SessionID(BEGIN_STRING, self._policy.sender, target)
