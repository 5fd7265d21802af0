"""What the engine says settles its event once, in whatever order the two come, also when it cannot be read."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.unit.orders.gateway_parts import PARTITION, Parts
from tests.unit.orders.orders_made import event
from tests.unit.orders.test_pending_events import quantity

from feedline.consumer.tracker import OffsetTracker
from feedline.orders.fix.connection import Received
from feedline.orders.fix.dictionary import fields_of
from feedline.orders.fix.holding import Holding
from feedline.orders.fix.intent import Intent
from feedline.orders.model import EventKind, Status, decode_report, encode_report

NEW, AMEND, CANCEL = EventKind.NEW, EventKind.AMEND, EventKind.CANCEL
SAID = {
    "35": "8", "34": "50", "52": "20261120-14:05:00", "37": "order-1", "11": "order-1-1", "17": "e", "150": "0",
    "39": "0", "14": "0", "151": "0", "6": "0",
}  # fmt: skip


class World(Parts):
    """A session that takes whatever is sent, and a broker that acknowledges everything at once."""

    def __init__(self, numbered=(), intent_end=0, *, longer=False):
        self._numbered, self._longer, self.sent = dict(numbered), longer, []
        self.reports, self.values, self.errors, self.refused = [], [], [], []
        intent = Intent(intent_end, "GATEWAY-1", "store", 0)
        super().__init__(Holding(PARTITION, OffsetTracker(0), intent, intent, {}, 0))

    def numbered(self):
        return dict(self._numbered)

    def is_longer(self):
        return self._longer

    def send(self, message):
        self.sent.append(fields_of(message.toString()))
        return 100 + len(self.sent)

    def intend(self, *_):
        return True

    def encode(self, report):
        return encode_report(report, 1)

    def report(self, report, value, _trace, then):
        self.reports.append(report.exec_id)
        self.values.append(value)
        then()

    def refuse_report(self, order_id, raw, reason, then):
        self.errors.append((order_id, fields_of(raw.decode()), reason))
        then()

    def state(self, _partition, _order_id, _held, then=None):
        if then:
            then()

    def turn_away(self, holding, refuse, then=None):
        self.refused.append((refuse.taken.event.sequence, refuse.reason))
        if then:
            then()
        else:
            self.done(holding, refuse.taken.offset)

    def read(self, sequence, kind):
        self.take(event(sequence, kind, order=None if kind is CANCEL else quantity(sequence)))
        self._turn()

    def go_on(self, holding, order_id):
        super().go_on(holding, order_id)
        self._turn()

    def _turn(self):
        self.answers.release_early()
        self.flight.send()

    def hear(self, fields):
        self.answers.take(Received(fields, self.store_now))

    def say(self, sequence, exec_type, status, **more):
        self.hear(
            {
                "35": "8", "34": str(50 + len(self.reports)), "52": "20261120-14:05:00", "37": "order-1",
                "11": f"order-1-{sequence}", "17": f"e{sequence}{exec_type}", "150": exec_type, "39": status,
                "14": "0", "151": "0", "6": "0", **more,
            }
        )  # fmt: skip

    @property
    def settled(self):
        """The offset that may be committed, and whether all of the engine's messages are noted as durable."""
        return self.one.tracker.next_offset, self.answers.first_pending is None

    @property
    def order(self):
        return self.one.states["order-1"].state


def test_a_report_that_cannot_be_read_goes_to_the_error_topic_as_it_came_and_answers_its_event():
    world = World()
    world.read(1, NEW)
    world.say(1, "0", "0", **{"14": "no amount", "58": "odd"})
    (order_id, raw, reason) = world.errors[0]
    assert (order_id, raw["14"], raw["17"], raw["58"]) == ("order-1", "no amount", "e10", "odd")
    assert "no report of an order" in reason
    assert (world.reports, world.counts["reports_refused"], world.settled) == ([], 1, (1, True))


def test_an_average_price_with_more_decimals_than_a_price_has_is_rounded():
    world = World()
    world.read(1, NEW)
    world.say(1, "F", "2", **{"32": "3", "31": "33.333333", "14": "3", "6": "33.33333333"})
    assert (world.errors, world.order.status, world.settled) == ([], Status.FILLED, (1, True))
    assert decode_report(world.values[0]).avg_px == Decimal("33.333333")


@pytest.mark.parametrize(("exec_type", "price"), [("F", "33.33333333"), ("G", "33.33"), ("H", "33.33"), ("D", "33.33")])
def test_a_report_that_cannot_be_read_ends_its_order_where_it_says_so(exec_type, price):
    world = World()
    world.read(1, NEW)
    world.say(1, "0", "0")
    world.say(1, exec_type, "1", **{"32": "1", "31": price, "17": "part"})
    assert world.order.status is Status.OPEN
    world.say(1, exec_type, "2", **{"32": "3", "31": price})
    assert (len(world.errors), world.order.status, world.settled) == (2, Status.FILLED, (1, True))


def test_a_cancellation_whose_answer_cannot_be_read_lets_nothing_more_be_sent():
    world = World()
    for sequence, kind in ((1, NEW), (2, CANCEL), (3, AMEND)):
        world.read(sequence, kind)
    world.say(1, "0", "0")
    world.say(2, "4", "?")
    assert [one["11"] for one in world.sent] == ["order-1-1", "order-1-2"]
    assert world.refused == [(3, "the order is CANCELLED: no event may follow")]
    assert (world.order.status, world.settled) == (Status.CANCELLED, (3, True))


def test_a_cancellation_that_the_engine_only_considers_is_not_answered_yet():
    world = World()
    for sequence, kind in ((1, NEW), (2, CANCEL), (3, AMEND)):
        world.read(sequence, kind)
    world.say(1, "0", "0")
    world.say(2, "6", "6")
    assert (world.order.status, world.settled) == (Status.PENDING_CANCEL, (1, True))
    world.say(1, "F", "1", **{"32": "1", "31": "1"})
    world.hear(
        {"35": "9", "34": "60", "52": "20261120-14:05:00", "11": "order-1-2", "41": "order-1-1", "39": "1", "102": "0"}
    )
    assert world.sent[-1]["41"] == "order-1-1"
    assert [one["11"] for one in world.sent] == ["order-1-1", "order-1-2", "order-1-3"]


def test_a_message_that_the_engine_rejects_leaves_the_order_with_what_it_had():
    world = World()
    for sequence, kind in ((1, NEW), (2, AMEND), (3, CANCEL)):
        world.read(sequence, kind)
    world.say(1, "0", "0")
    world.hear({"35": "j", "34": "61", "45": "102", "379": "order-1-2", "58": "no such field"})
    assert world.refused == [(2, "the engine rejects the message: no such field")]
    last = world.sent[-1]
    assert (last["11"], last["41"], last["38"]) == ("order-1-3", "order-1-1", "101")


@pytest.mark.parametrize(("time_in_force", "sent"), [({"59": "1"}, 2), ({}, 2), ({"59": "0"}, 1)])
def test_an_order_that_is_done_for_the_day_goes_on_unless_it_was_for_the_day(time_in_force, sent):
    world = World()
    world.read(1, NEW)
    world.say(1, "0", "0")
    world.say(1, "3", "3", **time_in_force)
    world.read(2, CANCEL)
    assert (len(world.sent), len(world.refused)) == (sent, 2 - sent)
    world.say(2, "4", "4")
    assert (world.order.status.is_final, world.settled) == (True, (2, True))


def test_why_a_message_was_rejected_is_known_before_its_order_goes_on():
    """Killed between the two, the gateway that starts again would drop the event as answered."""
    world, acknowledged, told = World(), [], []
    world.answers._refuse = lambda _holding, refuse, then: (told.append(refuse.reason), acknowledged.append(then))
    world.state = lambda _partition, _order_id, held, then=None: (told.append(held.state.status), then and then())
    for sequence, kind in ((1, NEW), (2, AMEND), (3, CANCEL)):
        world.read(sequence, kind)
    world.say(1, "0", "0")
    world.hear({"35": "j", "34": "61", "45": "102", "379": "order-1-2", "58": "no such field"})
    assert told == [Status.OPEN, "the engine rejects the message: no such field"]
    assert (len(world.sent), world.one.tracker.next_offset) == (2, 1)
    acknowledged.pop()()
    assert told[2:] == [Status.OPEN]
    assert (len(world.sent), world.one.tracker.next_offset) == (3, 2)


@pytest.mark.parametrize(("longer", "marks"), [(False, [None, None]), (True, ["Y", None])])
def test_what_may_have_a_number_further_back_in_the_store_than_is_looked_at_is_marked(longer, marks):
    world = World(intent_end=1, longer=longer)
    world.read(1, NEW)
    world.read(2, AMEND)
    assert [one.get("97") for one in world.sent] == marks


@pytest.mark.parametrize("early", [True, False])
def test_after_a_start_an_answer_may_come_before_its_event_is_read_again(early):
    world = World(numbered={(3, 0): 1, (3, 1): 2}, intent_end=2)
    if early:
        world.say(1, "0", "0")
        world.say(2, "5", "0")
        assert not world.settled[1], "a kill now must have them said again"
    world.read(1, NEW)
    world.read(2, AMEND)
    if not early:
        world.say(1, "0", "0")
        world.say(2, "5", "0")
    assert (world.sent, world.settled) == ([], (2, True))
    assert world.order.status is Status.OPEN


def test_what_is_said_of_events_long_done_is_noted_once_all_is_read_again():
    world = World(intent_end=1)
    world.say(7, "F", "2", **{"32": "1", "31": "1"})
    assert not world.settled[1]
    world.read(1, NEW)
    assert world.settled[1]


def test_an_event_read_too_late_to_know_whether_it_was_answered_is_sent_again_marked():
    world = World(numbered={(3, 1): 2}, intent_end=1)
    world.read(1, NEW)
    world.one.inherited = Intent(2, "GATEWAY-1", "store", 0)
    world.read(2, AMEND)
    assert [(one["11"], one.get("97")) for one in world.sent][-1] == ("order-1-2", "Y")


def told_states(world):
    """Sequence and status of each state that is written."""
    told = []
    world.state = lambda _partition, _order_id, held, then=None: (
        told.append((held.state.sequence, held.state.status)),
        then and then(),
    )
    return told


@pytest.mark.parametrize("kind", [AMEND, CANCEL])
def test_an_event_left_unsent_is_not_taken_for_answered_when_its_order_ends_meanwhile(kind):
    """The next owner would drop it as a repeat: never sent, never refused."""
    world = World()
    states = told_states(world)
    world.read(1, NEW)
    world.say(1, "0", "0")
    world.take(event(2, kind, order=None if kind is CANCEL else quantity(2)))
    world.flight.leave({PARTITION})
    world.say(1, "F", "2", **{"32": "100", "31": "1", "14": "100"})
    world._turn()
    assert ([one["11"] for one in world.sent], states, world.settled) == (["order-1-1"], [(1, Status.OPEN)], (1, True))
    world.flight.drop({PARTITION})
    assert not world.flight.is_outstanding("order-1")


def test_what_waits_is_refused_for_an_end_only_when_a_state_says_so():
    """Refused before, it would be sent after a kill."""
    world = World()
    states = told_states(world)
    for sequence, kind in ((1, NEW), (2, AMEND), (3, AMEND)):
        world.read(sequence, kind)
    world.say(1, "0", "0")
    world.say(1, "F", "2", **{"32": "100", "31": "1", "14": "100"})
    assert (world.refused, states) == ([], [(1, Status.OPEN)])
    world.hear(
        {"35": "9", "34": "60", "52": "20261120-14:05:00", "11": "order-1-2", "41": "order-1-1", "39": "2", "102": "0"}
    )
    assert states == [(1, Status.OPEN), (2, Status.FILLED)]
    assert world.refused == [(3, "the order is FILLED: no event may follow")]


def test_an_event_that_an_earlier_run_may_have_sent_is_not_refused_for_an_end_that_came_later():
    world = World(intent_end=2)
    states = told_states(world)
    world.one.inherited = Intent(2, "GATEWAY-2", "store", 0)
    world.read(1, NEW)
    world.say(1, "F", "2", **{"32": "100", "31": "1", "14": "100"})
    world.read(2, AMEND)
    assert ([(one["11"], one["97"]) for one in world.sent], world.refused) == (
        [("order-1-1", "Y"), ("order-1-2", "Y")],
        [],
    )
    assert states == [(1, Status.OPEN)]
    world.say(2, "8", "2")
    assert states == [(1, Status.OPEN), (2, Status.FILLED)]


def test_a_number_of_an_older_store_is_neither_awaited_nor_taken_for_one_of_the_new():
    world, acknowledged = World(), []
    world.report = lambda report, _value, _trace, then: acknowledged.append(then)
    world.read(1, NEW)
    world.say(1, "0", "0", **{"34": "50"})
    world.store_now = "another"
    assert world.flight.begin_anew()
    world.answers.begin_anew()
    world.say(1, "0", "0", **{"34": "50", "17": "of the new store"})
    assert world.answers.first_pending == 50
    world.answers.take(Received({**SAID, "17": "late", "34": "7"}, "store"))
    acknowledged.pop(0)()
    assert world.answers.first_pending == 50
    while acknowledged:
        acknowledged.pop(0)()
    assert world.answers.first_pending is None


def test_a_rejection_that_comes_late_is_not_that_of_the_message_that_has_its_number_after_a_reset():
    world = World()
    world.read(1, NEW)
    world.store_now = "another"
    world.flight.begin_anew()
    world.flight.send()
    world.answers.take(Received({"35": "3", "34": "9", "45": "102"}, "store"))
    assert world.refused == []
    world.hear({"35": "3", "34": "2", "45": "102"})
    assert [sequence for sequence, _ in world.refused] == [1]


def test_a_report_under_an_exec_id_that_another_has_had_is_published_and_a_copy_is_not():
    world = World()
    world.read(1, NEW)
    world.say(1, "0", "0")
    fill = {"32": "10", "31": "1", "14": "10", "17": "42"}
    for said in (fill, fill, {**fill, "32": "30", "14": "40"}, {**fill, "32": "30", "14": "40"}):
        world.say(1, "F", "1", **said)
    assert [decode_report(value).cum_qty for value in world.values] == [0, 10, 40]
    assert (world.counts["reports_again"], world.counts["exec_ids_reused"], world.settled) == (2, 1, (1, True))
    world.say(1, "F", "1", **fill, **{"34": "99", "43": "Y", "60": "20261121-09:00:00"})
    assert world.settled == (1, True)
