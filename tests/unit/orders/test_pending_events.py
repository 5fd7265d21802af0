"""While an amendment or a cancellation waits for the engine's answer, what comes behind it waits too; afterwards it
goes on with what the order then is. Held to every order of events and answers, against a book of what stands."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.orders.orders_made import EQUITY, event

from feedline.consumer.tracker import OffsetTracker
from feedline.orders.fix.dictionary import fields_of, parse
from feedline.orders.fix.holding import Holding, Outgoing, Taken
from feedline.orders.fix.intent import Intent
from feedline.orders.fix.judge import Drop, Refuse, judge, judge_waiting
from feedline.orders.fix.reports import answers, final_of
from feedline.orders.fix.states import Held
from feedline.orders.model import EventKind, ExecType, ExecutionReport, OrdStatus, Status, conclude, facts_of

NEW, AMEND, CANCEL = EventKind.NEW, EventKind.AMEND, EventKind.CANCEL


def checked(body):
    return parse(body, "GATEWAY-1", "ENGINE")


def quantity(sequence):
    return msgspec.structs.replace(EQUITY, quantity=Decimal(100 + sequence))


class World:
    """One order: what is sent of it, and an engine that knows what stands."""

    def __init__(self):
        self.holding = Holding(3, OffsetTracker(0), Intent(), Intent(), {}, 0)
        self.unanswered: list[Outgoing] = []
        self.sent: list[int] = []
        self.refused: list[int] = []
        self.dropped = 0
        self.offset = 0
        # What the engine has: under which sequence, and with which quantity.
        self.standing, self.has, self.over = 0, "", False

    def arrive(self, sequence, kind):
        one = event(sequence, kind, order=None if kind is CANCEL else quantity(sequence))
        taken = Taken(3, self.offset, one, facts_of(one), b"order-1", b"", [])
        self.offset += 1
        self._do(judge(self.holding, taken, 60, checked))

    def _do(self, decisions):
        for one in decisions:
            if isinstance(one, Outgoing):
                self._send(one)
            elif isinstance(one, Refuse):
                self.refused.append(one.taken.event.sequence)
            else:
                assert isinstance(one, Drop)
                self.dropped += 1

    def _send(self, outgoing):
        kinds = [one.taken.event.kind for one in self.unanswered]
        assert set(kinds) <= {NEW}, "sent although an amendment or cancellation is not answered"
        assert not self.over, "sent after the end"
        fields = fields_of(outgoing.body)
        sequence = outgoing.taken.event.sequence
        assert fields["11"] == f"order-1-{sequence}"
        if sequence > 1:
            assert fields["41"] == f"order-1-{self.standing}"
        if outgoing.taken.event.kind is CANCEL:
            assert fields["38"] == self.has, "a cancellation names what stands"
        if sequence == 1:
            self.standing, self.has = 1, fields["38"]
        self.sent.append(sequence)
        self.unanswered.append(outgoing)

    def answer(self, *, rejected, final=None):
        """The engine answers its oldest message; `final`: the order is over besides."""
        if not self.unanswered:
            return
        one = self.unanswered.pop(0)
        taken = one.taken.event
        if taken.kind is not NEW and not rejected:
            self.standing, self.has = taken.sequence, fields_of(one.body)["38"]
        self.over = self.over or final is not None or (taken.kind is CANCEL and not rejected)
        held = self.holding.states["order-1"].answered(taken.sequence, rejected=rejected, asked=one.asked)
        if final is not None:
            held = replace(held, state=conclude(held.state, final))
        assert Held.decode(held.encode()) == held
        self.holding.keep("order-1", held)
        self._do(judge_waiting(self.holding, "order-1", 60, checked))


EVENTS = st.tuples(st.integers(1, 6), st.sampled_from([NEW, AMEND, AMEND, CANCEL]))
ANSWERS = st.sampled_from(["taken", "rejected", "taken", "rejected", "filled"])


@given(st.lists(st.one_of(EVENTS, ANSWERS), max_size=40))
def test_whatever_comes_and_is_answered_nothing_is_sent_that_must_not_be(happening):
    world = World()
    for one in happening:
        if isinstance(one, tuple):
            world.arrive(*one)
        else:
            world.answer(rejected=one == "rejected", final=Status.FILLED if one == "filled" else None)
    for _ in range(10):
        world.answer(rejected=True)
    assert world.sent == sorted(set(world.sent)) == list(range(1, len(world.sent) + 1))
    # Every event has an end, or misses an earlier one.
    left = world.holding.parked_count
    assert len(world.sent) + len(world.refused) + world.dropped + left == world.offset
    assert world.holding.waiting_count == 0
    assert all(
        parked.taken.event.sequence > len(world.sent) + 1 for some in world.holding.parked.values() for parked in some
    )


def test_a_rejected_cancellation_leaves_the_order_to_go_on():
    world = World()
    for sequence, kind in ((1, NEW), (2, CANCEL), (3, AMEND), (4, CANCEL)):
        world.arrive(sequence, kind)
    world.answer(rejected=False)
    assert (world.sent, world.holding.waiting_count) == ([1, 2], 2)
    world.answer(rejected=True)
    assert (world.sent, world.holding.waiting_count) == ([1, 2, 3], 1)
    world.answer(rejected=False)
    world.answer(rejected=False)
    assert (world.sent, world.refused, world.over) == ([1, 2, 3, 4], [], True)


def test_what_waits_for_a_cancellation_that_is_taken_is_refused_with_the_reason():
    world = World()
    for sequence, kind in ((1, NEW), (2, CANCEL), (3, AMEND)):
        world.arrive(sequence, kind)
    world.answer(rejected=False)
    world.answer(rejected=False)
    assert (world.sent, world.refused) == ([1, 2], [3])


def test_an_event_behind_one_that_waits_does_not_run_out_of_time():
    world = World()
    for sequence, kind in ((1, NEW), (3, AMEND), (4, AMEND), (2, AMEND)):
        world.arrive(sequence, kind)
    assert (world.holding.parked_count, world.holding.waiting_count) == (0, 2)
    for _ in range(3):
        world.answer(rejected=False)
    assert world.sent == [1, 2, 3, 4]


def report(exec_type, status):
    zero = Decimal(0)
    return ExecutionReport(
        exec_id="e", order_id="o", cl_ord_id="o-2", sequence=2, exec_type=exec_type, ord_status=status, last_qty=None,
        last_px=None, cum_qty=zero, leaves_qty=zero, avg_px=zero, text=None,
        transact_time=datetime(2026, 11, 20, tzinfo=UTC), fix_session="s", fix_seq_num=1, poss_dup=False,
    )  # fmt: skip


def test_only_a_decision_answers_a_cancellation_or_an_amendment():
    deciding = Counter()
    for kind in (NEW, AMEND, CANCEL):
        for exec_type, status in (
            (ExecType.PENDING_CANCEL, OrdStatus.PENDING_CANCEL),
            (ExecType.PENDING_REPLACE, OrdStatus.PENDING_REPLACE),
            (ExecType.TRADE, OrdStatus.PARTIALLY_FILLED),
            (ExecType.TRADE, OrdStatus.FILLED),
            (ExecType.CANCELED, OrdStatus.CANCELED),
            (ExecType.CANCEL_REJECTED, OrdStatus.FILLED),
        ):
            if answers(report(exec_type, status), kind):
                deciding[kind] += 1
    assert deciding == {NEW: 4, AMEND: 4, CANCEL: 3}
    assert final_of(report(ExecType.CANCEL_REJECTED, OrdStatus.FILLED)) is None
