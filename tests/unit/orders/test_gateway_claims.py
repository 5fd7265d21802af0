"""Of a gateway's partitions nothing counts for another claim than the one it was read, sent or done under."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException
from tests.unit.consumer.scripted_client import TOPIC, Broker, Client
from tests.unit.orders.orders_made import event
from tests.unit.orders.test_answers import World
from tests.unit.orders.test_pending_events import quantity

from feedline.errors import BrokerUnavailableError
from feedline.orders.fix import ownership
from feedline.orders.fix.holding import Taken
from feedline.orders.fix.judge import judge
from feedline.orders.fix.ownership import Ownership
from feedline.orders.model import facts_of


class Member:
    """The gateway's part of the group, with a scripted client. log: what it did about partitions."""

    def __init__(self, monkeypatch, *, is_written=True, **counts):
        self.client, self.log, self.ending = Client(Broker.holding(**counts)), [], False

        def written(_seconds):
            self.log.append("waited for what was written")
            return is_written

        def read_states(_kafka, _topic, numbers):
            self.log.append("read states")
            return {number: {} for number in numbers}

        monkeypatch.setattr(ownership, "read_states", read_states)
        self.owned = Ownership(
            self.client,
            {},
            SimpleNamespace(out=TOPIC, states="states"),
            drain=lambda leaving: self.log.append(f"drained {leaving}"),
            dropped=lambda partitions: self.log.append(f"dropped {partitions}"),
            written=written,
            ending=lambda: self.ending,
        )
        self.owned.subscribe()

    def read(self):
        """As the gateway: what a call gives is begun under the claims that there are then."""
        read = []
        for message in self.client.consume(500):
            holding = self.owned.holding(message.partition())
            if holding is None:
                continue
            if message.error() is not None:
                holding.tracker.reach(message.offset())
            elif holding.tracker.begin(message.offset()):
                read.append((holding, message.offset()))
        if self.owned.failure:
            raise self.owned.failure
        return read


@pytest.fixture
def member(monkeypatch):
    return lambda **options: Member(monkeypatch, **options)


@pytest.mark.parametrize("goes", ["revoke_later", "lose"])
def test_what_a_call_read_before_a_partition_went_and_came_back_is_not_of_its_next_claim(member, goes):
    one = member(p0=5)
    one.client.assign_later(0)
    one.read()
    one.client.fetch(0)
    getattr(one.client, goes)(0, then=lambda: one.client.assign_later(0))
    assert one.read() == []
    one.owned.commit(everything=True)
    assert one.client.broker.committed == {0: 0}
    one.client.fetch(0)
    for holding, offset in one.read():
        one.owned.done(holding, offset)
    one.owned.commit()
    assert one.client.broker.committed == {0: 5}


def test_what_is_done_late_moves_no_offset_of_the_next_claim(member):
    one = member(p0=5)
    one.client.assign_later(0)
    one.read()
    one.client.fetch(0, 3)
    late = one.read()
    one.client.lose(0, then=lambda: one.client.assign_later(0))
    one.read()
    one.client.fetch(0, 2)
    begun = one.read()
    for holding, offset in late:
        one.owned.done(holding, offset)
    one.owned.commit(everything=True)
    assert one.client.broker.committed == {0: 0}
    assert [offset for _, offset in begun] == [0, 1]


def test_of_a_lost_partition_nothing_is_committed(member):
    one = member(p0=5)
    one.client.assign_later(0)
    one.read()
    one.client.fetch(0)
    for holding, offset in one.read():
        one.owned.done(holding, offset)
    one.client.lose(0)
    # The broker refuses it: the group has given the partition away. Nothing is wrong.
    one.owned.commit()
    one.read()
    one.owned.commit(everything=True)
    assert (one.client.broker.committed, list(one.owned)) == ({}, [])
    assert one.log[-1] == "dropped {0}"


def test_the_states_of_a_partition_are_read_when_all_that_was_written_of_them_is_acknowledged(member):
    one = member(p0=0)
    one.client.assign_later(0)
    one.read()
    assert one.log == ["waited for what was written", "read states"]


def test_a_partition_is_not_taken_while_what_was_written_is_not_acknowledged(member):
    one = member(p0=0, is_written=False)
    one.client.assign_later(0)
    with pytest.raises(BrokerUnavailableError):
        one.read()
    assert list(one.owned) == []


def test_a_partition_that_was_just_made_is_taken_when_the_broker_has_heard_of_it(member):
    one = member(p0=3)
    one.client.broker.unheard = 1
    one.client.assign_later(0)
    one.read()
    one.client.fetch(0)
    assert [offset for _, offset in one.read()] == [0, 1, 2]


def test_what_an_earlier_run_has_sent_stays_marked_when_its_partition_goes_before_it_is_sent_again():
    """It was read after all that was known to be sent, so its answer may have come already."""
    world = World(numbered={(3, 0): 7}, intent_end=1)
    world.flight.caught_up()
    marks = []
    for _ in range(2):
        holding = world.one
        holding.states.clear()
        made = event(1, order=quantity(1))
        [outgoing] = judge(holding, Taken(3, 0, made, facts_of(made), b"order-1", b"", []), 60, lambda _: None)
        world.flight.expect(holding, outgoing)
        marks.append(outgoing.resend)
        world.flight.drop({3})
    assert marks == [True, True]


def test_a_gateway_that_is_told_to_end_while_nobody_says_where_its_partition_begins_lets_it_be(member, monkeypatch):
    one = member(p0=5)

    def away(*_, **__):
        one.log.append("asked")
        one.ending = True
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    monkeypatch.setattr(one.client, "committed", away)
    one.client.assign_later(0)
    assert one.read() == []
    assert one.log == ["waited for what was written", "asked"]
    assert list(one.owned) == []
