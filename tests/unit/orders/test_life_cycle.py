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
    apply,
    conclude,
    facts_of,
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
    assert CANCEL not in kinds[:-1]


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


def test_over_http_an_order_is_its_clients_alone():
    mine = event(source=EntrySource.HTTP, client="key:a")
    theirs = replace(event(2, CANCEL, source=EntrySource.HTTP), client="key:b")
    assert isinstance(apply(after(mine), facts_of(theirs)), Refused)
