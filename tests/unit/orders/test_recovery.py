"""Recovery brings back what the engine has lost, and nothing that it never had."""

from __future__ import annotations

import pytest
from tests.unit.orders.orders_made import event

from feedline.orders.fix.messages import terms_of
from feedline.orders.fix.states import Held
from feedline.orders.model import Accepted, EventKind, apply, facts_of
from feedline.orders.recovery.window import Progress

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
