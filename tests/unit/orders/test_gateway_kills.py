"""A gateway killed anywhere, again and again: each event is sent in sequence and booked once, and everything settles.

The gateway's own parts run here on stand-ins for broker, session and engine that keep what the real ones keep over a
kill, and lose what those lose. Kills of the real thing are in tests/integration/orders/test_gateway.py.
"""

from __future__ import annotations

import random
from queue import Queue

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.orders.gateway_parts import PARTITION, Parts
from tests.unit.orders.orders_made import event
from tests.unit.orders.test_pending_events import quantity

from feedline.consumer.tracker import OffsetTracker
from feedline.orders.fix.connection import Received, first_to_ask
from feedline.orders.fix.dictionary import fields_of
from feedline.orders.fix.holding import Holding
from feedline.orders.fix.intent import Intent
from feedline.orders.model import EventKind

NEW, AMEND, CANCEL = EventKind.NEW, EventKind.AMEND, EventKind.CANCEL


class Engine:
    """Books each message once, in its order's sequence, answers it, and fills what is open when it is told to."""

    def __init__(self, chance):
        self.chance = chance
        # over: orders that a cancellation ended, or a fill; filled: those of the latter.
        self.booked, self.standing, self.over, self.filled = {}, {}, set(), set()
        self.reports, self.numbered = {}, []

    def receive(self, fields):
        name, marked = fields["11"], "Y" in (fields.get("43"), fields.get("97"))
        order_id, _, sequence = name.rpartition("-")
        if name in self.reports:
            assert marked, f"{name} came again without a mark"
            for report in self.reports[name]:
                self.say(report)
            return
        assert order_id not in self.over - self.filled, f"{name} after a cancellation that was taken"
        assert int(sequence) == self.booked.get(order_id, 0) + 1, f"{name} out of sequence"
        if fields["35"] != "D":
            assert fields["41"] == self.standing[order_id], f"{name} names {fields['41']}"
        self.booked[order_id] = int(sequence)
        self.standing.setdefault(order_id, name)
        self.reports[name] = []
        self.answer(order_id, name, fields)

    def answer(self, order_id, name, fields):
        if fields["35"] != "D" and (order_id in self.filled or self.chance.random() < 0.4):
            status = "2" if order_id in self.filled else "0"
            self.give(name, {"35": "9", "39": status, "41": fields["41"], "434": "1", "102": "2"})
            return
        exec_type = {"D": "0", "G": "5", "F": "4"}[fields["35"]]
        if fields["35"] == "F":
            self.over.add(order_id)
        self.standing[order_id] = name
        body = {"35": "8", "17": f"{name}/1", "150": exec_type, "39": "4" if exec_type == "4" else "0"}
        self.give(name, {**body, "14": "0", "151": "0", "6": "0"})

    def fill(self):
        still_open = sorted(self.standing.keys() - self.over)
        if still_open:
            order_id = self.chance.choice(still_open)
            name = self.standing[order_id]
            number = len(self.reports[name])
            body = {"35": "8", "17": f"{name}/fill-{number}", "150": "F", "39": "1", "32": "1", "31": "1"}
            if self.chance.random() < 0.3:
                self.over.add(order_id)
                self.filled.add(order_id)
                body["39"] = "2"
            self.give(name, {**body, "14": str(number), "151": "9", "6": "1"})

    def give(self, name, fields):
        report = {**fields, "11": name, "37": name, "52": "20261120-14:05:00"}
        self.reports[name].append(report)
        self.say(report)

    def say(self, report):
        self.numbered.append({**report, "34": str(len(self.numbered) + 1)})


class Kept:
    """What outlives a gateway."""

    def __init__(self, events, chance):
        self.events, self.engine = events, Engine(chance)
        self.states, self.committed, self.metadata = {}, 0, Intent()
        self.store, self.number, self.durable = {}, 0, 1
        self.refused, self.published = set(), set()


class Gateway(Parts):
    """One life of it. Its broker acknowledges in order, when it is told to; what it sends arrives. What it receives
    waits until it is taken."""

    def __init__(self, kept, session, store):
        self.kept, self.waiting, self.has = kept, [], True
        self.expected, self.reports = kept.durable, Queue()
        super().__init__(self.as_it_was_left(), session, store)

    def as_it_was_left(self):
        """The partition as whoever takes it finds it."""
        kept = self.kept
        return Holding(
            PARTITION, OffsetTracker(kept.committed), kept.metadata, kept.metadata, dict(kept.states), kept.committed
        )

    def lose_and_take(self):
        """The partition goes without a word. It comes back when all that was written is acknowledged."""
        self.has = False
        self.flight.drop({PARTITION})
        while self.waiting:
            self.acknowledge()
        self.one, self.has = self.as_it_was_left(), True

    # Session

    def numbered(self):
        return dict(self.kept.store.get(self.store_now, {}))

    def send(self, message):
        fields = fields_of(message.toString())
        self.kept.number += 1
        place = (int(fields["9701"]), int(fields["9702"]))
        self.kept.store.setdefault(self.store_now, {})[place] = self.kept.number
        self.kept.engine.receive(fields)
        return self.kept.number

    # Group

    @property
    def is_catching_up(self):
        return self.has and super().is_catching_up

    def intend(self, spans, session, store):
        [(_, end)] = spans.values()
        self.one.intent = self.one.intent.extended(end, session, store)
        self.commit()
        return True

    def commit(self):
        self.kept.committed, self.kept.metadata = self.one.tracker.next_offset, self.one.intent

    def done(self, holding, offset):
        if holding is self.one:
            holding.tracker.complete(offset)

    # Broker

    def report(self, report, _value, _trace, then):
        self.waiting.append((lambda: self.kept.published.add(report.exec_id), then))

    def state(self, _partition, order_id, held, then=None):
        self.waiting.append((lambda: self.kept.states.update({order_id: held}), then))

    def turn_away(self, holding, refuse):
        name = refuse.taken.event.order_id, refuse.taken.event.sequence
        self.waiting.append((lambda: self.kept.refused.add(name), lambda: self.done(holding, refuse.taken.offset)))

    # Turns

    def read(self):
        offset = self.one.tracker.position
        if offset < len(self.kept.events):
            self.take(self.kept.events[offset])

    def receive(self):
        """In a thread of its own, at any time."""
        if self.expected <= len(self.kept.engine.numbered):
            self.reports.put(Received(self.kept.engine.numbered[self.expected - 1], self.store_now))
            self.expected += 1

    def hear(self):
        if not self.reports.empty():
            self.answers.take(self.reports.get())

    def acknowledge(self):
        if self.waiting:
            write, then = self.waiting.pop(0)
            write()
            if then:
                then()

    def turn(self, chance):
        steps = [self.read, self.receive, self.hear, self.acknowledge, self.flight.send, self.commit]
        chance.choice([*steps, self.kept.engine.fill])()
        self.answers.release_early()
        expected = self.expected
        for _ in range(chance.randint(0, 2)):
            self.receive()
        self.kept.durable = first_to_ask(self.store_now, expected, self.reports, self.answers.first_pending)

    def end(self, chance):
        """As it is told to: it sends nothing more and takes the answers that come in time."""
        self.flight.leave(None)
        for _ in range(chance.randint(0, 40)):
            chance.choice([self.receive, self.hear, self.acknowledge, self.kept.engine.fill])()
            self.answers.release_early()
        while self.waiting:
            self.acknowledge()
        self.commit()

    def die(self, chance):
        # Of what the broker was given some is written, in order, and nobody hears of it.
        for write, _ in self.waiting[: chance.randint(0, len(self.waiting))]:
            write()

    def settle(self):
        for _ in range(20 * len(self.kept.events) + 400):
            if self.expected > len(self.kept.engine.numbered) and self.reports.empty():
                self.flight.ask_again(0)
            for step in (
                self.read, self.flight.send, self.receive, self.hear, self.acknowledge, self.answers.release_early,
            ):  # fmt: skip
                step()
        self.commit()


def lives(chance):
    """The events of some orders, each order's in sequence, some a second time."""
    made = []
    for order in range(chance.randint(1, 4)):
        kinds = [NEW, *(chance.choice([AMEND, CANCEL]) for _ in range(chance.randint(0, 4)))]
        made.append([
            event(n, kind, order_id=f"o{order}", order=None if kind is CANCEL else quantity(n))
            for n, kind in enumerate(kinds, 1)
        ])  # fmt: skip
    mixed = []
    while any(made):
        of_one = chance.choice([one for one in made if one])
        mixed.append(of_one.pop(0))
        if chance.random() < 0.1:
            mixed.append(mixed[-1])
    return mixed


@given(st.integers(0, 2**32), st.booleans())
def test_a_gateway_killed_anywhere_sends_each_event_once_in_sequence_and_settles_all(seed, same_store):
    chance = random.Random(seed)
    kept = Kept(lives(chance), chance)
    for life in range(chance.randint(1, 5)):
        store = "store" if same_store else f"store-{life}"
        gateway = Gateway(kept, "GATEWAY-1" if same_store else f"GATEWAY-{life}", store)
        for _ in range(chance.randint(0, 40)):
            gateway.turn(chance)
        if chance.random() < 0.5:
            gateway.end(chance)
        gateway.die(chance)
        if not same_store:
            # The next one has a session of its own: what this one was not told is told only when it is asked for.
            kept.durable = len(kept.engine.numbered) + 1
    last = Gateway(kept, "GATEWAY-1", "store" if same_store else "last")
    last.settle()
    all_is_well(last)
    if same_store:
        all_is_reported(kept)


@given(st.integers(0, 2**32))
def test_a_gateway_that_loses_its_partition_and_gets_it_back_sends_nothing_twice_unmarked_and_settles_all(seed):
    chance = random.Random(seed)
    kept = Kept(lives(chance), chance)
    gateway = Gateway(kept, "GATEWAY-1", "store")
    for life in range(chance.randint(1, 3)):
        if life:
            gateway.die(chance)
            gateway = Gateway(kept, "GATEWAY-1", "store")
        for _ in range(chance.randint(0, 4)):
            for _ in range(chance.randint(0, 30)):
                gateway.turn(chance)
            gateway.lose_and_take()
    gateway.settle()
    all_is_well(gateway)
    all_is_reported(kept)


def all_is_well(last):
    """Every event is committed, and booked or refused, once."""
    kept = last.kept
    assert kept.committed == len(kept.events)
    assert last.answers.first_pending is None
    assert last.one.waiting_count == 0
    booked = {(order, n) for order, sequence in kept.engine.booked.items() for n in range(1, sequence + 1)}
    wanted = {(one.order_id, one.sequence) for one in kept.events}
    assert booked | kept.refused == wanted
    assert not booked & kept.refused
    assert {order for order, _ in kept.refused} <= kept.engine.over


def all_is_reported(kept):
    """What the engine has said once is on the topic of executions, also what answers nothing and is not asked for by
    what is unanswered: a fill."""
    said = {one.get("17", f"{one['11']}/cancel-rejected") for one in kept.engine.numbered}
    assert said == kept.published
