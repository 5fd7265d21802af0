"""Recovery brings back what the engine has lost, and nothing that it never had."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from queue import Queue

import pytest
from tests.unit.orders.orders_made import event
from tests.unit.orders.test_pending_events import checked

from feedline.orders.fix import reports
from feedline.orders.fix.dictionary import fields_of
from feedline.orders.fix.holding import Taken
from feedline.orders.fix.messages import message_of, terms_of
from feedline.orders.fix.states import Held
from feedline.orders.model import Accepted, EventKind, apply, encode_report, facts_of
from feedline.orders.recovery.reported import Reported, Stands
from feedline.orders.recovery.run import NOT_DONE, Outcome, _Run
from feedline.orders.recovery.window import Progress, Sent

NEW, AMEND, CANCEL = EventKind.NEW, EventKind.AMEND, EventKind.CANCEL
FAR = Progress(done=40, intended=60)


def held(answered: int) -> Held:
    """An order of which the engine has answered so many events."""
    stands, terms = None, terms_of(event(1, NEW))
    for sequence, kind in enumerate([NEW, *[AMEND] * (answered - 1)], start=1):
        verdict = apply(stands and stands.state, facts_of(event(sequence, kind)))
        assert isinstance(verdict, Accepted)
        stands = (stands or Held(verdict.state, terms)).after(verdict.state, sequence)
        stands = stands.answered(sequence, rejected=False, asked=terms)
    assert stands is not None
    return stands


@pytest.mark.parametrize(
    ("offset", "sequence", "answered", "may_be"),
    [
        (39, 7, 0, True),
        (59, 1, 0, True),
        (60, 1, 0, False),
        (50, 2, 0, True),
        (50, 3, 0, False),
        (50, 2, 1, True),
        (50, 4, 3, True),
        (50, 5, 3, False),
    ],
)
def test_what_no_gateway_has_sent_is_left_to_the_gateways(offset, sequence, answered, may_be):
    """Beyond what they were about to send, and behind an amendment or a cancellation that is not answered."""
    assert FAR.perhaps_sent(offset, sequence, held(answered) if answered else None) is may_be


def test_what_they_have_refused_moves_their_place_and_not_what_they_were_about_to_send():
    assert Progress(done=70, intended=60).perhaps_sent(65, 1, None)
    assert not Progress().perhaps_sent(0, 1, None)


class Engine:
    """The session and the broker too: it has nothing, or has it so, and answers what it is sent with this report, or
    rejects messages of a type."""

    name = "RECOVERY"

    def __init__(self, *, stands=None, rejects="", **report):
        self.rejects, self.sent = rejects, 0
        self.stands = stands or {"39": "8", "103": "5"}
        self.reports, self.report_of_it, self.published, self.errors = Queue(), report, [], []

    def send(self, message):
        sent = fields_of(message.toString())
        self.sent += 1
        if sent["35"] in self.rejects:
            self.reports.put({"35": "j", "34": "6", "45": str(self.sent), "380": "3", "58": "no"})
            return self.sent
        said = {"35": "8", "34": "7", "52": "20261120-14:05:00", "11": sent["11"], "17": "e", "37": "x", "14": "0"}
        if sent["35"] == "H":
            self.reports.put({**said, "150": "I", **self.stands, "790": sent["790"]})
        else:
            self.reports.put({**said, "151": "0", "6": "0", **self.report_of_it})
        return self.sent

    def serve(self):
        pass

    def encode(self, report):
        return encode_report(report, 1)

    def report(self, report, _value, _trace, _then):
        self.published.append(report.exec_id)

    def refuse_report(self, order_id, raw, _reason, _then):
        self.errors.append((order_id, fields_of(raw.decode())["31"]))


def sent_once():
    made = event(1, NEW)
    terms = terms_of(made)
    taken = Taken(3, 40, made, facts_of(made), b"", b"", [])
    return Sent(taken, 0, f"{made.order_id}-1", 0, terms, message_of(made, terms, 0, 3, 40), is_answered=True)


def test_a_report_that_cannot_be_read_is_kept_and_recovery_goes_on():
    one = sent_once()
    engine = Engine(**{"150": "F", "39": "2", "32": "3", "31": "33.33333333", "14": "3"})
    run = _Run(engine, engine, checked, 5.0)
    assert run.ask([one]) == {one.name}
    run.send([one])
    told = run.outcome(one, dry_run=False)
    assert (told.outcome, told.is_open) == (Outcome.TAKEN, False)
    assert (engine.errors, engine.published) == ([(one.taken.event.order_id, "33.33333333")], [])


DAY = datetime(2026, 11, 20, tzinfo=UTC)
DUPLICATE = {"150": "8", "39": "8", "103": "6", "58": "this ClOrdID is booked"}


def test_an_engine_that_has_an_event_already_rejects_no_order():
    """It says so of what live flow has brought meanwhile; and of what an earlier run had sent, before it is asked."""
    one = sent_once()
    engine = Engine(**DUPLICATE)
    run = _Run(engine, engine, checked, 5.0)
    engine.reports.put({"35": "8", "11": one.name, **DUPLICATE})
    assert run.ask([one]) == {one.name}
    assert (run.outcome(one, dry_run=True).outcome, run._answers.duplicates) == (Outcome.WOULD_SEND, set())
    run.send([one])
    told = run.outcome(one, dry_run=False)
    assert (told.outcome, told.is_open, engine.published) == (Outcome.KNOWN, True, [])


def test_an_engine_that_gives_no_reports_again_is_not_waited_for_and_is_told():
    one = sent_once()
    engine = Engine(stands={"39": "1", "14": "40"}, **DUPLICATE)
    run = _Run(engine, engine, checked, 600.0)
    assert run.ask([one]) == set()
    run.ask_for_reports([one], lambda orders: {order: Reported() for order in orders}, DAY, dry_run=False)
    told = run.outcome(one, dry_run=False)
    assert (told.outcome, told.is_open, engine.published) == (Outcome.NOT_GIVEN, True, [])
    assert told.outcome in NOT_DONE


@pytest.mark.parametrize("rejects", ["H", "D"])
def test_a_message_that_the_engine_rejects_is_that_event_s_refusal_and_recovery_goes_on(rejects):
    """Its question, or the event itself. A reject of what an earlier run had sent, which comes again, stops nobody."""
    one = sent_once()
    engine = Engine(rejects=rejects, **{"150": "0", "39": "0"})
    engine.reports.put({"35": "3", "34": "5", "45": "4711", "58": "an old one"})
    run = _Run(engine, engine, checked, 600.0)
    missing = run.ask([one])
    run.send([one] if missing else [])
    told = run.outcome(one, dry_run=False)
    assert (told.outcome, told.text) == (Outcome.REFUSED, f"the engine rejects the message {engine.sent}: no")


def report_of(exec_id, quantity, filled, status="1"):
    fields = {"35": "8", "34": "7", "52": "20261120-14:05:00", "11": "o-1", "17": exec_id, "150": "F", "39": status}
    fields |= {"32": quantity, "31": "1.5", "14": filled, "151": "0", "6": "1.5"}
    return reports.report_of(fields, "GATEWAY")


def reported(*of_order):
    found = Reported()
    for one in of_order:
        found.take(one)
    return found


FIRST, SECOND = report_of("first", "40", "40"), report_of("second", "60", "100", status="2")
THIRD = report_of("third", "20", "120", status="2")


@pytest.mark.parametrize(
    ("published", "filled", "whole", "if_older"),
    [
        ([FIRST, SECOND], 100, True, True),
        ([SECOND, FIRST, SECOND], 100, True, True),
        ([FIRST, SECOND], 120, False, False),
        # Its CumQty has the lost one in it. Of an order that rests since before, that one may have been published then.
        ([SECOND], 100, False, True),
        ([SECOND, SECOND], 100, False, True),
        ([FIRST, THIRD], 120, False, False),
        ([FIRST], 100, False, False),
        ([], 40, False, False),
    ],
)
def test_an_order_is_whole_only_when_every_fill_of_it_was_published(published, filled, whole, if_older):
    engine, found = Stands(Decimal(filled)), reported(*published)
    assert (found.covers(engine, from_start=True), found.covers(engine, from_start=False)) == (whole, if_older)
    missing = Reported()
    missing.add(found)
    missing.take(FIRST)
    assert missing.covers(Stands(Decimal(40)), from_start=True)
    assert not reported(FIRST).covers(Stands(Decimal(40), is_over=True), from_start=True)
