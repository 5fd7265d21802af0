"""Whatever comes in whatever order, an order's accepted events are 1, 2, 3, ... and nothing follows a final one."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.orders.orders_made import EQUITY, event

from feedline.orders.model import (
    Accepted,
    EntrySource,
    EventKind,
    Parked,
    Refused,
    Repeat,
    Side,
    Status,
    answered,
    apply,
    conclude,
    facts_of,
    must_wait,
)

NEW, AMEND, CANCEL = EventKind.NEW, EventKind.AMEND, EventKind.CANCEL


def quantity(amount):
    return msgspec.structs.replace(EQUITY, quantity=Decimal(amount))


def after(*events):
    state = None
    for one in events:
        verdict = apply(state, facts_of(one))
        assert isinstance(verdict, Accepted), verdict
        state = verdict.state
    return state


@given(
    st.lists(
        st.tuples(st.integers(-1, 6), st.sampled_from(EventKind), st.sampled_from(["100", "200"])),
        max_size=40,
    )
)
def test_what_is_accepted_is_one_life_without_gap_repeat_or_after_life(arriving):
    state, accepted = None, []
    for sequence, kind, amount in arriving:
        one = event(sequence, kind, order=None if kind is CANCEL else quantity(amount))
        verdict = apply(state, facts_of(one))
        if isinstance(verdict, Accepted):
            state = verdict.state
            accepted.append(one)
        elif isinstance(verdict, Repeat):
            assert facts_of(one) == facts_of(accepted[sequence - 1])
        elif isinstance(verdict, Parked):
            assert verdict.missing == len(accepted) + 1 < sequence
    assert [one.sequence for one in accepted] == list(range(1, len(accepted) + 1))
    kinds = [one.kind for one in accepted]
    assert kinds[:1] in ([], [NEW])
    assert NEW not in kinds[1:]


# What the engine may say of the order, and of its last event.
SAID = st.sampled_from(["taken", "rejected", *(one for one in Status if one.is_final)])


@given(st.lists(st.one_of(st.sampled_from([AMEND, CANCEL]), SAID), max_size=30))
def test_a_cancellation_ends_an_order_when_the_engine_takes_it_and_a_rejected_one_changes_nothing(happening):
    state, before = after(event()), Status.OPEN
    for one in happening:
        last = state
        if isinstance(one, EventKind):
            verdict = apply(state, facts_of(event(state.sequence + 1, one)))
            assert isinstance(verdict, Refused if last.status.is_final else Accepted)
            state = verdict.state if isinstance(verdict, Accepted) else state
            assert must_wait(state, facts_of(event(state.sequence + 1, AMEND))) == (not state.status.is_final)
            assert not must_wait(state, facts_of(event(state.sequence, AMEND)))
        elif isinstance(one, Status):
            state = conclude(state, one)
            assert state.status is (last.status if last.status.is_final else one)
        else:
            state = answered(state, state.sequence, rejected=one == "rejected")
            ends = last.status is Status.PENDING_CANCEL and one == "taken"
            assert state.status is (
                Status.CANCELLED if ends else Status.OPEN if last.status.is_pending else last.status
            )
        assert state.contents[: len(last.contents)] == last.contents
        assert not (before.is_final and state.status is not before)
        before = state.status


def test_an_answer_to_an_earlier_event_decides_nothing():
    state = after(event(), event(2, CANCEL))
    assert answered(state, 1, rejected=True) == state
    assert answered(state, 3, rejected=False) == state


@given(st.integers(1, 6), st.data())
def test_repeats_change_nothing_however_often_and_late_they_come(amendments, data):
    life = [event(), *(event(n + 2, AMEND, order=quantity(100 + n)) for n in range(amendments))]
    state = after(*life)
    for again in data.draw(st.lists(st.sampled_from(life), min_size=1)):
        assert apply(state, facts_of(again)) == Repeat()


def test_another_event_under_a_used_sequence_is_refused_also_one_long_past():
    state = after(event(), event(2, AMEND, order=quantity(200)), event(3, AMEND, order=quantity(300)))
    verdict = apply(state, facts_of(event(2, AMEND, order=quantity(250))))
    assert isinstance(verdict, Refused)
    assert "used by another" in verdict.reason


def test_when_and_under_which_key_an_event_was_sent_does_not_make_it_another():
    state = after(event())
    later = event(transact_time=event().transact_time.replace(year=2027), event_id="x", idempotency_key="k")
    assert apply(state, facts_of(later)) == Repeat()


def test_an_amount_written_with_fewer_zeros_is_the_same_amount():
    assert facts_of(event(order=quantity("100"))) == facts_of(event(order=quantity("100.0000")))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"account_id": "ACC0000002"}, "account"),
        ({"order": msgspec.structs.replace(EQUITY, side=Side.SELL)}, "side"),
        ({"order": msgspec.structs.replace(EQUITY, symbol="MSFT")}, "instrument"),
        ({"order": msgspec.structs.replace(EQUITY, currency="EUR")}, "currency"),
    ],
)
def test_what_an_amendment_may_not_change(change, said):
    verdict = apply(after(event()), facts_of(event(2, AMEND, **change)))
    assert isinstance(verdict, Refused)
    assert said in verdict.reason


def test_an_unknown_order_and_a_gap_wait_for_what_is_missing():
    assert apply(None, facts_of(event(2, CANCEL))) == Parked("sequence 2 of an order that is not known", 1)
    assert apply(after(event()), facts_of(event(4, AMEND))) == Parked("sequence 4 came before 2", 2)


@pytest.mark.parametrize("status", [Status.FILLED, Status.REJECTED, Status.EXPIRED, Status.CANCELLED])
def test_nothing_follows_what_the_engine_has_concluded(status):
    state = conclude(after(event()), status)
    for one in (event(2, AMEND), event(2, CANCEL), event(7, AMEND)):
        assert isinstance(apply(state, facts_of(one)), Refused)
    assert conclude(state, Status.OPEN) == state
    assert answered(state, 1, rejected=False) == state


def test_over_http_an_order_is_its_clients_alone():
    mine = event(source=EntrySource.HTTP, client="key:a")
    theirs = replace(event(2, CANCEL, source=EntrySource.HTTP), client="key:b")
    assert isinstance(apply(after(mine), facts_of(theirs)), Refused)
