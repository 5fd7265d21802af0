"""After a reset of the session the engine is asked how open orders stand; what it does not say is told."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.unit.orders.orders_made import event

from feedline.consumer.tracker import OffsetTracker
from feedline.orders.fix.holding import Holding
from feedline.orders.fix.intent import Intent
from feedline.orders.fix.messages import terms_of
from feedline.orders.fix.missed import Missed, Question, questions_of
from feedline.orders.fix.states import Held
from feedline.orders.model import Accepted, EventKind, apply, facts_of


def held(sequence: int, rejected: tuple[int, ...] = ()) -> Held:
    """An order after so many events, which lie at offsets 10, 20, 30; all but the last are answered."""
    found: Held | None = None
    for number in range(1, sequence + 1):
        one = event(number, EventKind.NEW if number == 1 else EventKind.AMEND)
        verdict = apply(None if found is None else found.state, facts_of(one))
        assert isinstance(verdict, Accepted)
        found = (found or Held(verdict.state, terms_of(one))).after(verdict.state, 10 * number)
        if number < sequence:
            found = found.answered(number, rejected=number in rejected, asked=terms_of(one))
    assert found is not None
    return found


def question(order: Held, unanswered: int | None = None) -> Question | None:
    holding = Holding(0, OffsetTracker(0), Intent(), Intent(), {"order-1": order}, 0)
    found = list(questions_of(holding, {"order-1": unanswered} if unanswered else {}))
    return found[0] if found else None


@pytest.mark.parametrize(
    ("order", "unanswered", "name", "places"),
    [
        (held(1), None, "order-1-1", {1: 10}),
        (held(2), None, "order-1-2", {2: 20}),
        (held(3), 3, "order-1-2", {2: 20}),
        # The engine has the order by the event before those that it rejected: its reports come under either.
        (held(4, rejected=(2, 3)), 4, "order-1-3", {1: 10, 2: 20, 3: 30}),
    ],
)
def test_an_order_is_asked_for_by_its_last_answered_event(order, unanswered, name, places):
    asked = question(order, unanswered)
    assert asked is not None
    assert asked.name == name
    assert {number: asked.held.offset_of(number) for number in asked.reported} == places


def test_an_order_of_which_nothing_was_answered_is_not_asked_for():
    assert question(held(1), unanswered=1) is None


def test_the_places_of_events_are_kept_with_the_state():
    order = held(3, rejected=(2,))
    assert Held.decode(order.encode()) == order


class Session:
    def __init__(self, within_s=60.0):
        self.said, self.counts = [], Counter()
        self.missed = Missed({}, "orders.out", None, send=self.send, within_s=within_s, counts=self.counts)

    def send(self, body, *, marked):
        self.said.append(dict(part.split("=", 1) for part in body.split("\x01") if part))

    def ask(self):
        self.missed.add(filter(None, [question(held(1))]))
        self.missed.go_on()
        return self.said[-1]


@pytest.mark.parametrize(
    ("answer", "again"),
    [({"39": "0", "14": "0"}, False), ({"39": "1", "14": "5"}, True), ({"39": "4", "14": "0"}, True)],
)
def test_reports_are_asked_for_when_the_engine_has_done_more_than_acknowledge(answer, again):
    session = Session()
    asked = session.ask()
    assert (asked["35"], asked["11"], asked["55"]) == ("H", "order-1-1", "AAPL")
    session.missed.told({"790": "somebody's", **answer})
    assert session.missed.is_open
    session.missed.told({"790": asked["790"], **answer})
    assert session.missed.is_open == again


def test_an_engine_that_does_not_say_is_told_and_holds_nothing_up(caplog):
    session = Session(within_s=-1.0)
    session.ask()
    session.missed.go_on()
    assert not session.missed.is_open
    assert session.counts["unanswered_questions"] == 1
    assert "order-1-1" in caplog.text
