"""An order that ends just after a reset of the session is asked for all the same: a fill before may be lost."""

from __future__ import annotations

from dataclasses import replace
from queue import Queue

import pytest
from tests.unit.orders.gateway_parts import PARTITION
from tests.unit.orders.test_answers import NEW, SAID, World

from feedline.consumer.tracker import OffsetTracker
from feedline.orders.fix.connection import Received
from feedline.orders.fix.gateway import Gateway
from feedline.orders.fix.holding import Holding
from feedline.orders.fix.intent import Intent
from feedline.orders.fix.missed import Missed
from feedline.orders.model import Status

FILLED = {**SAID, "34": "2", "17": "fill-2", "150": "F", "39": "2", "32": "60", "31": "1", "14": "100"}


class Turns(World):
    """The gateway's own turns, on the parts of `World`. states: what was written; again: the orders whose events were
    sent again."""

    name, failure = "GATEWAY-1", None

    def __init__(self):
        self.has, self.waiting, self.states, self.again = True, Queue(), [], []
        super().__init__()
        self.gateway = gateway = object.__new__(Gateway)
        gateway._connection = gateway._owned = gateway._outbox = self
        gateway._flight, gateway._answers, gateway._parse = self.flight, self.answers, self.flight._parse
        gateway._missed = missed = Missed({}, "out", None, send=gateway._say, within_s=60, counts=self.counts)
        missed._send_again = lambda question: self.again.append(question.name)
        self.answers._told = missed.told
        # Parts call both the queue of a connection and the list of what was published so.
        self.published, self.reports = self.reports, self.waiting

    def report(self, report, _value, _trace, then):
        self.published.append(report.exec_id)
        then()

    def state(self, _partition, _order_id, held, then=None):
        self.states.append(held.state.status)
        super().state(_partition, _order_id, held, then)

    @property
    def is_catching_up(self):
        return not self.has or super().is_catching_up

    def serve(self, _timeout_s=0.0):
        pass

    def durable(self, _pending):
        pass

    def turn(self):
        self.gateway._pump()
        self.gateway._ask_what_was_missed()

    def hear(self, fields, store=None):
        self.waiting.put(Received(fields, store or self.store_now))

    @property
    def asked(self):
        return [one["790"] for one in self.sent if one["35"] == "H"]


@pytest.fixture
def turns():
    """With an order that is open and answered, of which the engine has given a fill a number and not delivered it."""
    made = Turns()
    made.read(1, NEW)
    made.hear(SAID)
    made.one.intent = replace(made.one.intent, end=1)
    made.turn()
    assert (made.states, made.asked) == ([Status.OPEN], [])
    return made


def test_an_order_that_ends_before_its_partition_is_there_is_asked_for(turns):
    turns.has, turns.store_now = False, "another"
    turns.turn()
    turns.hear(FILLED)
    turns.turn()
    old = Intent(1, "GATEWAY-1", "store", 0)
    turns.one, turns.has = Holding(PARTITION, OffsetTracker(1), old, old, turns.one.states, 1), True
    turns.turn()
    assert len(turns.asked) == 1


def test_an_order_that_ends_in_the_turn_that_sees_the_reset_is_asked_for(turns):
    """As the first that is said in the new store, or while partitions go, when nothing is asked."""
    turns.store_now = "another"
    turns.hear(FILLED)
    turns.gateway._pump()
    turns.gateway._pump()
    turns.turn()
    assert (turns.published, len(turns.asked)) == (["e", "fill-2"], 1)


def test_that_an_order_has_ended_is_written_when_its_reports_are_asked_for_again(turns):
    """Killed before, the gateway would not ask again for an order that is over."""
    turns.store_now = "another"
    turns.hear(FILLED)
    for _ in range(3):
        turns.turn()
    assert (turns.states, turns.again) == ([Status.OPEN], [])
    turns.hear({**SAID, "34": "3", "17": "0", "150": "I", "39": "2", "14": "100", "790": turns.asked[0]})
    for _ in range(2):
        turns.turn()
    assert (turns.states, turns.again) == ([Status.OPEN, Status.FILLED], ["order-1-1"])


def test_an_order_that_ends_is_over_at_once_when_nothing_was_reset(turns):
    turns.hear(FILLED)
    turns.turn()
    assert (turns.states, turns.asked) == ([Status.OPEN, Status.FILLED], [])
