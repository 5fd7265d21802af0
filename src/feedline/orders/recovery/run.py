"""Sending again what the engine does not have, over a FIX session of its own.

Whether the engine has an event is asked of the engine (Order Status Request), not looked up in books of ours: it is the
engine that has lost something. So a second run sends nothing that the first one brought, nor what live flow has.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import partial
from queue import Empty
from typing import Any
from uuid import uuid4

from feedline.errors import RetriableError, SchemaMismatchError
from feedline.orders.fix import reports
from feedline.orders.fix.connection import Connection
from feedline.orders.fix.dictionary import fields_of, mark_resend, parse
from feedline.orders.fix.messages import message_of, terms_of
from feedline.orders.fix.outbox import Outbox
from feedline.orders.fix.raw import CANCEL_REJECT, SOH, raw_of
from feedline.orders.model import EventKind
from feedline.orders.recovery.reported import Reported, Stands, reported_since
from feedline.orders.recovery.window import Sent, Window, sent_in
from feedline.orders.topics import GATEWAY_GROUP, OrderTopics
from feedline.settings import Settings

logger = logging.getLogger(__name__)

LOGON_S = 20.0
# So many questions or orders are unanswered at once.
AHEAD = 200
ASKED = ("55", "54", "1")
_UNKNOWN_ORDER = "5"


class Outcome(StrEnum):
    """What became of an event of the window."""

    KNOWN = "the engine has it"
    NOT_DUE = "not sent yet, and left to the gateways"
    WOULD_SEND = "would be sent again"
    TAKEN = "sent again and answered"
    REFUSED = "refused by the engine"
    UNANSWERED = "sent again, not answered in time"
    WOULD_ASK = "its reports would be asked for again"
    REPORTED = "its reports were asked for again"
    NOT_GIVEN = "its reports were asked for again, and the engine gives none"


NOT_DONE = frozenset({Outcome.REFUSED, Outcome.UNANSWERED, Outcome.NOT_GIVEN})


@dataclass(frozen=True, slots=True)
class Recovered:
    """One event and what became of it; text: the engine's words; is_open: whether its order goes on at the engine, as
    that said last."""

    sent: Sent
    outcome: Outcome
    text: str = ""
    is_open: bool = False


@dataclass(slots=True)
class _Answers:
    """What the engine says, by ClOrdID; of what was sent its words. duplicates: of what was sent, what it says it has
    already; stands: by order, how it says that it stands;
    reported: what its reports tell."""

    unknown: set[str] = field(default_factory=set)
    known: set[str] = field(default_factory=set)
    taken: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    duplicates: set[str] = field(default_factory=set)
    stands: dict[str, Stands] = field(default_factory=dict)
    reported: dict[str, Reported] = field(default_factory=dict)


def recover(
    settings: Settings,
    topics: OrderTopics,
    window: Window,
    connection: Connection,
    *,
    dry_run: bool,
    answer_s: float = 60.0,
    stay_s: float = 0.0,
    lost_reports: bool = False,
    gateways: str = GATEWAY_GROUP,
) -> list[Recovered]:
    """What became of every event of the window, each order's in sequence. answer_s: how long any answer is waited for;
    stay_s: how long the reports of the window's orders are taken afterwards, until all are over: what the engine says
    of an order that this session brought back comes to this session. lost_reports: of an order whose first event is in
    the window, and of which the engine tells more than was published, the reports are asked for again; not of one with
    an event that waits for its answer. gateways: their consumer group; what none of them has sent yet is left to them.

    Disturbs no live flow: it has a FIX session of its own, joins no group and commits nothing. Reports that come go to
    the topic of executions. Raises RetriableError when the engine does not answer.
    """
    held = partial(parse, sender=connection.name, target=connection.target)
    events = sent_in(settings, topics, window, held, gateways)
    if not events:
        return []
    acting = settings.acting_as("recovery")
    outbox = Outbox(acting.kafka, acting.registry, topics)
    connection.start()
    try:
        _await_logon(connection)
        run = _Run(connection, outbox, held, answer_s)
        missing = run.ask([one for one in events if one.is_sent])
        if not dry_run:
            run.send([one for one in events if one.name in missing])
        if lost_reports:
            published = partial(reported_since, settings, topics, window.start)
            run.ask_for_reports(events, published, window.start, dry_run=dry_run)
        if not dry_run:
            run.stay({one.taken.event.order_id for one in events}, stay_s)
        run.take_what_waits()
        done = [run.outcome(one, dry_run=dry_run) for one in events]
        if not outbox.flush(answer_s):
            raise RetriableError("the broker has not acknowledged every execution report: run it again")
        if outbox.failure is not None:
            raise outbox.failure
        connection.durable(None)
        return done
    finally:
        connection.stop()


def _await_logon(connection: Connection) -> None:
    deadline = time.monotonic() + LOGON_S
    while not connection.logged_on:
        if time.monotonic() > deadline:
            said = f": {connection.said}" if connection.said else ""
            raise RetriableError(
                f"the engine does not let {connection.name} log on{said}; look that it is there, and that no other "
                "recovery runs"
            )
        time.sleep(0.05)


@dataclass(frozen=True, slots=True)
class _Asked:
    """An event that was sent; before, after: sequence and terms under which the engine has the order when it rejects
    it, and when it takes it."""

    one: Sent
    before: tuple[int, str]
    after: tuple[int, str]


class _Run:
    def __init__(self, connection: Connection, outbox: Outbox, held: Callable[[str], Any], answer_s: float) -> None:
        self._connection, self._outbox, self._parse, self._answer_s = connection, outbox, held, answer_s
        self._answers = _Answers()
        # This run's questions: answers to an earlier one's may still come, and say how it was then.
        self._asked: dict[str, str] = {}
        self._sent: dict[str, EventKind] = {}
        # What this run has sent marked: the engine may still tell of what an earlier one sent.
        self._marked: set[str] = set()
        # ClOrdIDs of what this run has sent, by its number: a message that the engine rejects is named by that.
        self._numbers: dict[int, str] = {}
        # Orders whose reports are asked for again, or would be.
        self._short: set[str] = set()
        # Orders that were entered in the window: all reports of theirs are looked at.
        self._whole: set[str] = set()

    def ask(self, events: Sequence[Sent]) -> set[str]:
        """The ClOrdIDs that the engine does not have. Raises RetriableError when it does not answer."""
        told = self._answers

        def question(one: Sent) -> None:
            fields = fields_of(one.body)
            asked = "".join(f"{tag}={fields[tag]}{SOH}" for tag in ASKED if tag in fields)
            request = uuid4().hex
            self._asked[request] = one.name
            self._give(one.name, self._parse(f"35=H{SOH}11={one.name}{SOH}790={request}{SOH}{asked}"))

        if not self._in_turn(
            events, question, lambda one: any(one.name in said for said in (told.known, told.unknown, told.refused))
        ):
            raise RetriableError(f"the engine did not answer a question within {self._answer_s:g} s: try again")
        return told.unknown

    def send(self, events: Sequence[Sent]) -> None:
        """Sends them marked, and waits for the answers: an order's next when the one before is answered, since what it
        refers to follows from that. What the engine rejected then it may take now, or the other way round."""
        left: dict[str, deque[Sent]] = {}
        for one in events:
            left.setdefault(one.taken.event.order_id, deque()).append(one)
        waiting: dict[str, _Asked] = {}
        deadline = time.monotonic() + self._answer_s
        while left and time.monotonic() < deadline:
            for order_id in [order_id for order_id in left if order_id not in waiting][: AHEAD - len(waiting)]:
                waiting[order_id] = self._send(left[order_id][0], None)
            self._take()
            for order_id, asked in list(waiting.items()):
                name = asked.one.name
                if not self._is_answered(name):
                    continue
                deadline = time.monotonic() + self._answer_s
                left[order_id].popleft()
                if left[order_id]:
                    taken = name not in self._answers.refused
                    waiting[order_id] = self._send(left[order_id][0], asked.after if taken else asked.before)
                else:
                    del left[order_id], waiting[order_id]

    def _send(self, one: Sent, stands: tuple[int, str] | None) -> _Asked:
        """stands: under which sequence and with which terms the engine has the order, as this run knows; else as it
        was when the event was sent first."""
        event = one.taken.event
        standing, terms = stands or (one.standing, one.terms)
        asked = terms_of(event) if event.order is not None else terms
        self._sent[one.name] = event.kind
        self._send_marked(one.name, message_of(event, asked, standing, one.taken.partition, one.taken.offset))
        return _Asked(one, (standing, terms), (event.sequence, asked))

    def _is_answered(self, name: str) -> bool:
        told = self._answers
        return name in told.taken or name in told.refused or name in told.duplicates

    def _send_marked(self, name: str, body: str) -> None:
        self._marked.add(name)
        message = self._parse(body)
        mark_resend(message)
        self._give(name, message)

    def _give(self, name: str, message: Any) -> None:
        self._numbers[self._connection.send(message)] = name

    def ask_for_reports(
        self,
        events: Sequence[Sent],
        published: Callable[[set[str]], dict[str, Reported]],
        since: datetime,
        *,
        dry_run: bool,
    ) -> None:
        """Sends once more, marked, what the engine has of orders of which it tells more than was published from `since`
        on: it gives their reports again."""
        told = self._answers
        begun = [one for one in events if one.taken.event.sequence == 1]
        self._whole = {one.taken.event.order_id for one in begun if one.entered_ms >= since.timestamp() * 1000}
        known = {one.taken.event.order_id for one in begun}
        waiting = {one.taken.event.order_id for one in events if not one.is_answered}
        for order_id, reported in published((known - waiting) & told.stands.keys()).items():
            told.reported.setdefault(order_id, Reported()).add(reported)
            if not self._is_reported(order_id):
                self._short.add(order_id)
        if dry_run:
            return

        of_short = [one for one in events if one.taken.event.order_id in self._short and one.name in told.known]
        self._in_turn(
            of_short,
            lambda one: self._send_marked(one.name, one.body),
            lambda one: (
                one.name in told.duplicates or one.name in told.refused or self._is_reported(one.taken.event.order_id)
            ),
        )

    def _is_reported(self, order_id: str) -> bool:
        told = self._answers
        return told.reported[order_id].covers(told.stands[order_id], from_start=order_id in self._whole)

    def stay(self, orders: set[str], for_s: float) -> None:
        """Takes what the engine reports, until these orders are over or so long."""
        deadline = time.monotonic() + for_s
        while time.monotonic() < deadline and any(map(self._is_open, orders)):
            self._take()

    def take_what_waits(self) -> None:
        """What the engine has said by now."""
        while not self._connection.reports.empty():
            self._take()

    def _is_open(self, order_id: str) -> bool:
        told = (self._answers.stands.get(order_id), self._answers.reported.get(order_id))
        return not any(one is not None and one.is_over for one in told)

    def outcome(self, one: Sent, *, dry_run: bool) -> Recovered:
        told = self._answers
        order_id = one.taken.event.order_id
        is_open = self._is_open(order_id)
        if not one.is_sent:
            return Recovered(one, Outcome.NOT_DUE)
        if one.name in told.refused:
            return Recovered(one, Outcome.REFUSED, told.refused[one.name])
        if one.name not in told.unknown:
            return Recovered(one, self._known_outcome(one, dry_run=dry_run), is_open=is_open)
        if dry_run:
            return Recovered(one, Outcome.WOULD_SEND)
        if one.name in told.taken:
            return Recovered(one, Outcome.TAKEN, told.taken[one.name], is_open)
        return Recovered(one, Outcome.UNANSWERED)

    def _known_outcome(self, one: Sent, *, dry_run: bool) -> Outcome:
        order_id = one.taken.event.order_id
        if order_id not in self._short:
            return Outcome.KNOWN
        if dry_run:
            return Outcome.WOULD_ASK
        if self._is_reported(order_id):
            return Outcome.REPORTED
        return Outcome.NOT_GIVEN if one.name in self._answers.duplicates else Outcome.UNANSWERED

    def _in_turn(self, events: Sequence[Sent], do: Callable[[Sent], None], answered: Callable[[Sent], bool]) -> bool:
        """Does it for each, so many ahead of the answers; whether all were answered in time."""
        waiting: list[Sent] = []
        deadline = time.monotonic() + self._answer_s
        for one in [*events, None]:
            if one is not None:
                do(one)
                waiting.append(one)
            while waiting and (one is None or len(waiting) >= AHEAD):
                self._take()
                left = [other for other in waiting if not answered(other)]
                if len(left) < len(waiting):
                    deadline = time.monotonic() + self._answer_s
                waiting = left
                if time.monotonic() > deadline:
                    return False
        return True

    def _take(self) -> None:
        self._outbox.serve()
        try:
            fields = self._connection.reports.get(timeout=0.05)
        except Empty:
            return
        name, told = fields.get("11", ""), self._answers
        if reports.is_status(fields):
            if self._asked.pop(fields.get("790", ""), None) is None:
                return
            is_known = fields.get("103") != _UNKNOWN_ORDER
            (told.known if is_known else told.unknown).add(name)
            if is_known:
                stands = told.stands.setdefault(name.rpartition("-")[0], Stands())
                stands.take(reports.filled_in(fields), is_over=reports.is_over(fields.get("39", "")))
            return
        if fields["35"] in (reports.BUSINESS_REJECT, reports.SESSION_REJECT):
            self._rejected(fields)
            return
        if reports.is_duplicate(fields):
            # No word on the order, and no report of it. What an earlier run had sent says nothing of now.
            if name in self._marked:
                told.duplicates.add(name)
                told.unknown.discard(name)
            return
        rejected = fields["35"] == CANCEL_REJECT
        kind = self._sent.get(name)
        try:
            report = reports.report_of(fields, self._connection.name)
            value = self._outbox.encode(report)
        except SchemaMismatchError as problem:
            # As a gateway has it: kept as it came, and an answer all the same.
            logger.error("a report of %s cannot be read: %s", name, problem)  # noqa: TRY400 - all is in the sentence
            order_id = name.rpartition("-")[0]
            of_order = told.reported.setdefault(order_id, Reported())
            if not rejected:
                filled, last = reports.filled_in(fields), reports.last_filled_in(fields)
                of_order.take_unreadable(filled, last, is_over=reports.final_in(fields) is not None)
            self._note(name, fields, is_answer=kind is not None)
            self._outbox.refuse_report(order_id, raw_of(fields), str(problem), lambda: None)
            return
        told.reported.setdefault(report.order_id, Reported()).take(report)
        self._note(name, fields, is_answer=kind is not None and reports.answers(report, kind))
        if not (rejected and fields.get("102") == "1"):
            # That it does not know the order is no report of it: the event is not booked.
            self._outbox.report(report, value, None, lambda: None)

    def _rejected(self, fields: Mapping[str, str]) -> None:
        """A message of ours that the engine takes for none, a question too: nothing more is to be had of its event."""
        number = fields.get("45", "")
        name = self._numbers.get(int(number)) if number.isdecimal() else None
        said = f"the engine rejects the message {number}: {fields.get('58') or 'without a reason'}"
        if name is None:
            logger.warning("%s; it is none of this run's", said)
            return
        logger.error("%s; it was of %s", said, name)
        self._answers.refused.setdefault(name, said)

    def _note(self, name: str, fields: Mapping[str, str], *, is_answer: bool) -> None:
        if is_answer:
            refused = fields["35"] == CANCEL_REJECT or fields.get("150") == "8"
            (self._answers.refused if refused else self._answers.taken).setdefault(name, fields.get("58", ""))
