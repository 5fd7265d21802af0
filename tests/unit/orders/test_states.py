"""Of the states of an order on the topic the one counts that is furthest in its life, whoever wrote it last."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.orders.orders_made import event

from feedline.orders.fix.messages import terms_of
from feedline.orders.fix.states import Held, further
from feedline.orders.model import Accepted, EventKind, Status, apply, conclude, facts_of


def states() -> list[Held]:
    """An order as it is written in its life: acknowledged, amended, its cancellation rejected, filled."""
    written: list[Held] = []
    for number, kind in enumerate((EventKind.NEW, EventKind.AMEND, EventKind.CANCEL), 1):
        one = event(number, kind)
        verdict = apply(written[-1].state if written else None, facts_of(one))
        assert isinstance(verdict, Accepted)
        asked = terms_of(one) if one.order is not None else written[-1].terms
        pending = (written[-1] if written else Held(verdict.state, asked)).after(verdict.state, number)
        written.append(pending.answered(number, rejected=kind is EventKind.CANCEL, asked=asked))
    return [*written, replace(written[-1], state=conclude(written[-1].state, Status.FILLED))]


def test_what_is_written_in_turn_counts_as_it_is_written():
    known = None
    for held in states():
        known = further(known, held.encode())
        assert known == held


@pytest.mark.parametrize(("newer", "late"), [(newer, late) for newer in range(1, 4) for late in range(newer)])
def test_what_is_written_late_takes_nothing_back(newer, late):
    written = states()
    assert further(written[newer], written[late].encode()) is written[newer]


def test_the_same_state_again_may_say_more_of_itself():
    first = states()[0]
    again = replace(first, offsets=(7,))
    assert further(first, again.encode()) == again


def test_a_message_without_a_state_forgets_the_order():
    assert further(states()[-1], None) is None
