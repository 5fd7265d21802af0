"""Bulk entry waits a while for the leaders of partitions that it takes; the broker is a stand-in with none at first."""

from __future__ import annotations

import pytest

from feedline.errors import BrokerUnavailableError
from feedline.orders.bulk.service import BulkEntry, BulkPolicy
from feedline.settings import Settings


def entry(tmp_path, failures, call_s):
    made = BulkEntry(
        Settings(kafka={}, registry={"url": "http://none"}, warehouse={}, landing=tmp_path),
        "one",
        policy=BulkPolicy(call_s=call_s),
    )
    left = list(range(failures))

    def opened(_consumer, numbers):
        if left:
            left.pop()
            raise BrokerUnavailableError("no leader")
        return dict.fromkeys(numbers, 7)

    made._opened = opened
    return made


def test_partitions_are_taken_when_they_have_a_leader_again(tmp_path):
    assert entry(tmp_path, failures=2, call_s=30.0)._open_lanes(None, [0, 3]) == {0: 7, 3: 7}


def test_a_broker_that_stays_away_is_told(tmp_path):
    with pytest.raises(BrokerUnavailableError):
        entry(tmp_path, failures=1_000, call_s=0.01)._open_lanes(None, [0])


def test_one_that_is_told_to_end_does_not_wait_for_a_leader(tmp_path):
    one = entry(tmp_path, failures=1_000, call_s=60.0)
    opened = one._opened

    def told_meanwhile(consumer, numbers):
        one.stop()
        return opened(consumer, numbers)

    one._opened = told_meanwhile
    assert one._open_lanes(None, [0]) is None
