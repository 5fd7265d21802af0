"""After a reset of the session the engine is asked how open orders stand; what it does not say is told."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.unit.orders.orders_made import event

from feedline.orders.fix.messages import terms_of
from feedline.orders.fix.missed import Missed, Question
from feedline.orders.fix.states import Held
from feedline.orders.model import Accepted, EventKind, apply, facts_of


def held(sequence: int) -> Held:
    """An order after so many events, which lie at offsets 10, 20, 30."""
    state = None
    for number in range(1, sequence + 1):
        verdict = apply(state, facts_of(event(number, EventKind.NEW if number == 1 else EventKind.AMEND)))
        assert isinstance(verdict, Accepted)
        state = verdict.state
    assert state is not None
    return Held(state, terms_of(event()), 10 * sequence, 10 * (sequence - 1) if sequence > 1 else -1)


@pytest.mark.parametrize(
    ("latest", "unanswered", "name", "offset"),
    [(2, None, "order-1-2", 20), (3, 3, "order-1-2", 20), (3, 2, "order-1-1", 10)],
)
def test_an_order_is_asked_for_by_its_last_answered_event(latest, unanswered, name, offset):
    question = Question.of("order-1", held(latest), 0, unanswered=held(unanswered) if unanswered else None)
    assert question is not None
    assert (question.name, question.offset) == (name, offset)


def test_an_order_of_which_nothing_was_answered_is_not_asked_for():
    assert Question.of("order-1", held(2), 0, unanswered=held(1)) is None


class Session:
    def __init__(self, within_s=60.0):
        self.said, self.counts = [], Counter()
        self.missed = Missed({}, "orders.out", None, send=self.send, within_s=within_s, counts=self.counts)

    def send(self, body, *, marked):
        self.said.append(dict(part.split("=", 1) for part in body.split("\x01") if part))

    def ask(self):
        self.missed.add([Question.of("order-1", held(1), 0, unanswered=None)])
        self.missed.go_on()
        return self.said[-1]


@pytest.mark.parametrize(
    ("answer", "again"),
    [({"39": "0", "14": "0"}, False), ({"39": "1", "14": "5"}, True), ({"39": "4", "14": "0"}, True)],
)
def test_reports_are_asked_for_when_the_engine_has_done_more_than_acknowledge(answer, again):
    session = Session()
    question = session.ask()
    assert (question["35"], question["11"], question["55"]) == ("H", "order-1-1", "AAPL")
    session.missed.answered({"790": "somebody's", **answer})
    assert session.missed.is_open
    session.missed.answered({"790": question["790"], **answer})
    assert session.missed.is_open == again


def test_an_engine_that_does_not_say_is_told_and_holds_nothing_up(caplog):
    session = Session(within_s=-1.0)
    session.ask()
    session.missed.go_on()
    assert not session.missed.is_open
    assert session.counts["unanswered_questions"] == 1
    assert "order-1-1" in caplog.text
