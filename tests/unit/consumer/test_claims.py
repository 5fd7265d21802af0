"""What was read of a partition counts for the claim it was read under, in whatever order things come."""

from __future__ import annotations

import pytest
from tests.unit.consumer.driven import Driven
from tests.unit.consumer.scripted_client import Broker, Client

from feedline.consumer import ownership


@pytest.fixture
def world(monkeypatch):
    def make(positions=None, policy=None, **counts):
        client = Client(Broker.holding(**counts))
        return client, Driven(client, monkeypatch, positions=positions, **policy or {})

    return make


def comes_back(client):
    """Partition 0 is taken away and given back, in whichever call comes to it."""
    client.revoke_later(0, then=lambda: client.assign_later(0))


def test_an_end_that_was_polled_before_a_partition_changed_hands_is_not_that_of_its_next_claim(world):
    client, driven = world(p0=5)
    client.assign_later(0)
    driven.turn()
    client.fetch(0, 5)
    assert len(client.queue) == 6
    end = client.queue.pop()
    driven.turn()
    held = driven.begin()
    # Polled by itself; then the partition goes and comes back, with nothing done of it.
    client.queue.append(end)
    comes_back(client)
    driven.turn()
    driven.finish(held)
    driven.turn()
    assert client.broker.committed.get(0, 0) == 0
    driven.settle()
    assert sorted(set(driven.handled[0])) == [0, 1, 2, 3, 4]
    assert client.broker.committed == {0: 5}


def test_a_message_that_was_polled_before_a_partition_changed_hands_is_not_of_its_next_claim(world):
    client, driven = world(p0=5)
    client.assign_later(0)
    driven.turn()
    client.fetch(0, 4)
    driven.turn()
    held = [driven.begin() for _ in range(4)]
    client.fetch(0)
    comes_back(client)
    driven.turn()
    for hold in held:
        driven.finish(hold)
    driven.work()
    driven.turn()
    assert client.broker.committed.get(0, 0) == 0
    driven.settle()
    assert sorted(set(driven.handled[0])) == [0, 1, 2, 3, 4]
    assert client.broker.committed == {0: 5}


@pytest.mark.parametrize("most", [1, 1_000])
def test_a_partition_that_the_client_begins_at_another_offset_is_read_from_its_own(world, most):
    """Where an earlier assignment had pointed: the first that comes is a later message, or the end."""
    client, driven = world(p0=5, p1=5)
    client.assign_later(0, 1)
    driven.turn()
    client.readings[0].position = 5
    client.readings[1].position = 3
    for partition in (0, 1):
        client.fetch(partition, most)
    driven.turn()
    driven.work()
    driven.turn()
    assert not any(client.broker.committed.values())
    driven.settle()
    assert (driven.handled[0], driven.handled[1]) == ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4])
    assert client.broker.committed == {0: 5, 1: 5}


def test_offsets_that_no_message_has_are_passed_when_they_were_read_twice(world):
    client, driven = world(p0=5, p1=3)
    client.broker.messages.update({0: [2, 3, 4], 1: []})
    client.assign_later(0, 1)
    driven.settle()
    assert (driven.handled[0], driven.handled[1]) == ([2, 3, 4], [])
    assert client.broker.committed == {0: 5, 1: 3}


def test_a_partition_that_was_just_made_is_begun_when_the_broker_has_heard_of_it(world, monkeypatch):
    monkeypatch.setattr(ownership, "PLACE_AGAIN_S", 0.0)
    client, driven = world(p0=5)
    client.broker.unheard = 2
    client.assign_later(0)
    for _ in range(3):
        driven.turn()
    driven.settle()
    assert driven.handled[0] == [0, 1, 2, 3, 4]
    assert client.broker.committed == {0: 5}
