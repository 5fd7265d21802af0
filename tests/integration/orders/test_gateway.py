"""The gateway on a real broker with a real FIX session: everything in sequence, once, and back as reports."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest

from feedline.orders.engine.book import Verdict
from feedline.orders.fix.dictionary import fields_of
from feedline.orders.model import EventKind, ExecType
from order_flow.fix_client import FixClient, new_order
from order_flow.flow import Flow, event, lives
from order_flow.gateway_process import Step

NEW, AMEND, CANCEL = EventKind.NEW, EventKind.AMEND, EventKind.CANCEL


@pytest.fixture
def running(the_flow):
    # Orders stay open: what is filled takes no further event.
    the_flow.start_engine("--answer", "partial")
    return the_flow


def test_all_products_and_events_arrive_in_sequence_and_are_reported(running: Flow):
    running.start_gateway()
    running.produce(lives(60))
    assert running.await_settled().clean, str(running.check())
    arrivals = running.book()
    assert {one.fields["167"] for one in arrivals} == {"CS", "OPT", "MF"}
    assert {one.msg_type for one in arrivals} == {"D", "G", "F"}
    assert not any(one.poss_dup or one.poss_resend for one in arrivals)
    option = next(one.fields for one in arrivals if one.fields["167"] == "OPT" and one.msg_type == "D")
    assert (option["461"], option["541"], option["202"], option["311"]) == ("OCXXXX", "20270115", "200", "AAPL")
    fund = next(one.fields for one in arrivals if one.fields["167"] == "MF" and one.msg_type == "D")
    assert fund["152"] == "2500"
    assert "38" not in fund
    filled = next(one for one in running.reports() if one.exec_type is ExecType.TRADE)
    assert filled.last_qty <= filled.cum_qty
    assert filled.last_qty > Decimal(0)
    assert running.end("GATEWAY-1") == 0


def test_gaps_wait_repeats_are_dropped_and_what_does_not_fit_is_refused(running: Flow):
    running.start_gateway("GATEWAY-1", "--park", "3")
    good = [event("o1", 1, NEW), event("o1", 2, AMEND), event("o1", 3, AMEND)]
    running.control("/behaviour", {"answer": "ack"})
    running.produce([good[0], good[2], good[1], good[0]], expected=False)
    running.expected = [("o1", 1), ("o1", 2), ("o1", 3)]
    running.produce([event("lost", 2, AMEND)], expected=False)
    running.produce(
        [replace(good[1], account_id="ACC9"), event("o1", 4, CANCEL), event("o1", 5, AMEND)], expected=False
    )
    running.expected.append(("o1", 4))
    running.produce([event("o2", 1, NEW)])
    assert running.await_settled().clean, str(running.check())
    running.wait_for(lambda: len(running.refused()) == 3, "three are refused")
    reasons = Counter(headers["errorCode"].decode() for headers in running.refused())
    assert reasons == {"OrderRefused": 2, "OrderParked": 1}
    assert all(headers["originalTopic"] == running.topics.out.encode() for headers in running.refused())
    running.wait_for(lambda: running.metrics().get("repeats_total") == 1, "the repeat is counted")


@pytest.mark.parametrize("killed", [False, pytest.param(True, marks=pytest.mark.long)])
def test_what_comes_behind_a_cancellation_waits_for_the_engine_s_answer(running: Flow, killed: bool):
    running.control("/behaviour", {"answer": "ack"})
    running.start_gateway()
    running.produce([event("on", 1, NEW), event("over", 1, NEW)])
    assert running.await_settled().clean, str(running.check())
    running.control("/behaviour", {"answer": "hold"})
    running.produce([event("on", 2, CANCEL), event("on", 3, AMEND), event("on", 4, CANCEL)])
    running.wait_for(lambda: running.metrics().get("waiting") == 2, "two events wait")
    if killed:
        running.kill("GATEWAY-1")
        running.again("GATEWAY-1")
        running.wait_for(lambda: running.metrics().get("waiting") == 2, "they wait again")
    running.control("/behaviour", {"answer": "ack", "reject_next": 1})
    assert running.await_settled().clean, str(running.check())
    named = {one.cl_ord_id: one.orig_cl_ord_id for one in running.book() if one.verdict == Verdict.BOOKED}
    assert named == {"on-1": None, "over-1": None, "on-2": "on-1", "on-3": "on-1", "on-4": "on-3"}
    running.produce([event("over", 2, CANCEL)])
    running.produce([event("over", 3, AMEND), event("on", 5, AMEND)], expected=False)
    assert running.await_settled().clean, str(running.check())
    running.wait_for(lambda: len(running.refused()) == 2, "what follows a taken cancellation is refused")
    assert {one["reason"] for one in running.refused()} == {b"the order is CANCELLED: no event may follow"}
    running.wait_for(lambda: running.metrics().get("in_flight") == 0, "nothing is under way")
    assert not any(one.verdict == Verdict.UNMARKED_COPY for one in running.book())


def test_a_report_that_cannot_be_ours_is_kept_as_it_came(running: Flow):
    running.control("/behaviour", {"answer": "hold"})
    with FixClient(running.ports["fix"]) as somebody:
        somebody.logon()
        somebody.send("D", new_order("theirs"))
        somebody.settle()
    running.start_gateway("GATEWAY-1", "--reset-session")
    running.wait_for(lambda: running.metrics().get("session_up") == 1, "the session is on")
    running.control("/behaviour", {"answer": "ack"})
    running.wait_for(running.refused, "it is on the topic of errors")
    [told] = running.read(running.topics.error, 1)
    headers = dict(told.headers())
    assert (headers["errorCode"], headers["contentType"]) == (b"ReportRefused", b"application/fix")
    assert b"'theirs' is none of ours" in headers["reason"]
    assert fields_of(told.value().decode())["11"] == "theirs"
    running.produce([event("o1", 1, NEW)])
    running.wait_for(lambda: [one.cl_ord_id for one in running.reports()] == ["o1-1"], "it goes on with ours")


def test_nothing_is_lost_while_the_engine_is_away_and_little_is_read(running: Flow):
    running.start_gateway("GATEWAY-1", "--max-in-flight", "50")
    running.produce(lives(20))
    running.await_settled()
    running.control("/away", {})
    running.wait_for(lambda: running.metrics().get("session_up") == 0, "the session is off")
    running.produce(lives(300, seed=2))
    running.wait_for(lambda: running.metrics().get("paused") == 1, "nothing is read")
    assert running.metrics()["ready"] <= 550
    running.control("/back", {})
    assert running.await_settled().clean, str(running.check())


@pytest.mark.parametrize(
    "step",
    [Step.SENT, *(pytest.param(one, marks=pytest.mark.long) for one in Step if one not in (Step.SENT, Step.ASKED))],
)
def test_a_gateway_that_is_killed_goes_on_exactly_where_it_was(running: Flow, step: Step):
    running.start_gateway(die_at=step, die_after=20 if step is not Step.INTENDED else 2)
    running.produce(lives(40))
    if step is Step.INTENDED:
        running.wait_for(lambda: len(running.book()) > 10, "a part is booked")
        running.produce(lives(10, seed=2))
    running.wait_for(running.died, f"it is killed: {step}")
    running.again("GATEWAY-1")
    assert running.await_settled().clean, str(running.check())
    assert not any(one.poss_resend for one in running.book())


@pytest.mark.long
def test_another_gateway_marks_what_may_have_been_sent(running: Flow):
    running.control("/behaviour", {"answer": "hold"})
    running.start_gateway()
    running.produce(lives(40))
    running.wait_for(lambda: running.booked() == running.unheld, "what may be is booked, nothing answered")
    running.kill("GATEWAY-1")
    running.control("/behaviour", {"answer": "ack"})
    running.start_gateway("GATEWAY-2")
    assert running.await_settled().clean, str(running.check())
    copies = [one for one in running.book() if one.verdict == Verdict.COPY]
    assert {(one.order_id, one.sequence) for one in copies} == running.unheld
    assert all(one.poss_resend and one.session == "GATEWAY-2" for one in copies)


def test_two_gateways_share_the_partitions_and_each_may_come_and_go(running: Flow):
    running.start_gateway()
    running.produce(lives(40))
    running.start_gateway("GATEWAY-2")
    # The second gets its partitions some time after it has come: there must be something to send then.
    for seed in range(2, 60):
        if {one.session for one in running.book()} == {"GATEWAY-1", "GATEWAY-2"}:
            break
        running.produce(lives(20, seed=seed), pace_s=0.05)
    running.wait_for(lambda: {one.session for one in running.book()} == {"GATEWAY-1", "GATEWAY-2"}, "both send")
    assert running.end("GATEWAY-1") == 0
    running.produce(lives(40, seed=60))
    assert running.await_settled().clean, str(running.check())


def test_a_line_that_is_dropped_between_sending_and_the_answer_doubles_nothing(running: Flow):
    running.start_gateway()
    running.control("/behaviour", {"drop_after": 30})
    running.produce(lives(60))
    assert running.await_settled().clean, str(running.check())
    assert any(report.poss_dup for report in running.reports())


@pytest.mark.long
def test_a_session_that_is_reset_sends_again_what_is_unanswered_and_marks_it(running: Flow):
    running.control("/behaviour", {"answer": "hold"})
    running.start_gateway()
    running.produce(lives(30))
    running.wait_for(lambda: running.booked() == running.unheld, "what may be is booked, nothing answered")
    running.kill("GATEWAY-1")
    running.control("/behaviour", {"answer": "ack"})
    running.start_gateway("GATEWAY-1", "--reset-session")
    assert running.await_settled().clean, str(running.check())
    marked = {(one.order_id, one.sequence) for one in running.book() if one.poss_resend}
    assert marked >= running.unheld


@pytest.mark.long
@pytest.mark.parametrize("step", [None, Step.ASKED])
def test_reports_that_a_reset_of_the_session_lost_are_asked_for_again(running: Flow, step: Step | None):
    """Fills of answered orders that the engine had numbered and not delivered; killed while it asks, too."""
    running.control("/behaviour", {"answer": "ack"})
    running.start_gateway()
    running.produce(lives(30))
    running.await_settled()
    assert running.end("GATEWAY-1") == 0
    cancelled = {one.order_id for one in running.given if one.kind is CANCEL}
    resting = sorted({one.order_id for one in running.given} - cancelled)
    filled = {name for order in resting for name in running.control("/fill", {"order": order})["reports"]}
    assert len(filled) == len(resting) > 5
    if step is not None:
        running.start_gateway("GATEWAY-1", "--reset-session", die_at=step, die_after=3)
        running.wait_for(running.died, f"it is killed: {step}")
    running.start_gateway("GATEWAY-1", *([] if step else ["--reset-session"]))
    running.wait_for(lambda: filled <= {one.exec_id for one in running.reports()}, "every fill is reported")
    assert running.check().clean, str(running.check())
    assert running.end("GATEWAY-1") == 0


def test_an_engine_that_is_killed_has_booked_nothing_twice(running: Flow):
    running.start_gateway()
    running.produce(lives(30))
    running.wait_for(lambda: len(running.book()) > 10, "a part is booked")
    running.kill("engine")
    running.produce(lives(30, seed=2))
    running.again("engine")
    assert running.await_settled().clean, str(running.check())
