"""What was read of a partition counts for the claim it was read under, in whatever order things come."""

from __future__ import annotations

import pytest
from tests.unit.consumer.driven import Driven
from tests.unit.consumer.scripted_client import Broker, Client


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
