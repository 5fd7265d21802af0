"""Bulk entry publishes each event once however its partitions come and go between reading and publishing."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException
from tests.unit.orders.bulk_parts import World

from feedline.orders.bulk.delays import read_delay
from feedline.orders.bulk.lane import LanePolicy
from feedline.orders.bulk.service import BulkPolicy


@pytest.fixture
def world(monkeypatch, tmp_path):
    return lambda **options: World(monkeypatch, tmp_path, **options)


@pytest.mark.parametrize("goes", ["revoke_later", "lose"])
def test_what_a_call_read_before_a_partition_went_and_came_back_is_published_once(world, goes):
    one = world()
    one.client.assign_later(0)
    one.step()
    one.client.fetch(0, 3)
    getattr(one.client, goes)(0, then=lambda: one.client.assign_later(0))
    one.step()
    assert (one.published, one.broker.committed) == ([], {0: 0})
    one.settle()
    assert one.is_well


def test_what_waits_when_its_partition_goes_is_left_to_whoever_has_it_next(world):
    one = world(delay="3600000")
    one.client.assign_later(0)
    one.step()
    one.client.fetch(0, 3)
    one.step()
    assert one.entry.figures()["open"] == 3
    one.client.revoke_later(0, then=lambda: one.client.assign_later(0, 1))
    one.step()
    assert one.entry.figures()["open"] == 0
    assert one.broker.committed[0] == 0
    one.entry._policy = BulkPolicy(lane=LanePolicy(read_delay("0")), linger_s=0.0, idle_commit_s=1e-9)
    one.client.revoke_later(0, then=lambda: one.client.assign_later(0))
    one.settle()
    assert one.is_well


def test_what_was_read_of_a_partition_that_is_lost_unawares_is_not_published(world):
    one = world()
    one.client.assign_later(0)
    one.step()
    one.client.fetch(0, 3)
    # The group has given it to somebody else, and the instance has not heard of it.
    one.broker.ours.clear()
    one.step()
    assert (one.published, one.entry.figures()["given_up"]) == ([], 1)
    one.client.lose(0)
    one.step()
    assert one.entry.figures()["partitions"] == 0
    one.client.assign_later(0)
    one.settle()
    assert one.is_well


def test_partitions_that_come_while_it_ends_are_let_go_again_without_asking_anybody(world, monkeypatch):
    one = world()

    def away(*_):
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    monkeypatch.setattr(one.client, "committed", away)
    one.entry.stop()
    one.client.assign_later(0)
    one.client.consume(1)
    one.client.revoke_later(0)
    one.client.consume(1)
    assert one.entry.figures()["partitions"] == 0
    assert (one.published, one.broker.committed) == ([], {})
