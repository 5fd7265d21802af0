"""Loads that go on side by side have whole partitions each, and nothing waits that could be begun."""

from __future__ import annotations

import threading

import pytest

from feedline.consumer.claim import Claim
from feedline.consumer.pipeline_policy import Batching, Ordering
from feedline.consumer.schedule import Schedule

# Closed by count alone: an age that no test waits for.
BATCH_OF_4 = Batching(max_messages=4, max_age_s=3_600)


def claims(count):
    return [Claim("T", partition, 0, 1) for partition in range(count)]


def entries(claim, offsets):
    return [(None, claim, offset, 10) for offset in offsets]


def places(hold):
    return [(entry[1].where[1], entry[2]) for entry in hold.entries]


def of_topic(workers, batching=BATCH_OF_4):
    schedule = Schedule(Ordering.TOPIC, batching)
    schedule.set_workers(workers)
    return schedule


class Asking:
    """Another worker that asks for work."""

    def __init__(self, schedule):
        self.got = []
        self.thread = threading.Thread(target=lambda: self.got.append(schedule.take(1)), daemon=True)
        self.thread.start()

    def waits(self):
        self.thread.join(0.2)
        return not self.got

    def hold(self):
        self.thread.join(30)
        return self.got[0]


def test_batches_of_a_topic_that_are_in_hand_at_once_share_no_partition():
    schedule, (one, two) = of_topic(2), claims(2)
    # As they come from the broker, one after the other.
    for offset in range(4):
        schedule.put(entries(one, [offset]) + entries(two, [offset]))
    first, second = schedule.take(1), Asking(schedule).hold()
    assert places(first) == [(0, 0), (0, 1), (0, 2), (0, 3)]
    assert places(second) == [(1, 0), (1, 1), (1, 2), (1, 3)]


def test_what_a_batch_leaves_of_a_partition_waits_for_it_and_comes_in_order():
    schedule, (one, two) = of_topic(2), claims(2)
    schedule.put(entries(one, range(6)))
    first = schedule.take(1)
    schedule.put(entries(two, range(4)))
    second = Asking(schedule).hold()
    assert places(second) == [(1, 0), (1, 1), (1, 2), (1, 3)]
    schedule.release(second, [])
    other = Asking(schedule)
    schedule.put(entries(one, [6, 7, 8]))
    assert other.waits()
    schedule.release(first, [])
    assert places(other.hold()) == [(0, 4), (0, 5), (0, 6), (0, 7)]


def test_what_failed_keeps_its_partitions_until_it_has_succeeded_and_others_go_on():
    schedule, (one, two) = of_topic(2), claims(2)
    schedule.put(entries(one, range(4)))
    first = schedule.take(1)
    assert schedule.delay(first, first.entries, [], 0.0) == []
    assert one.failing == 1
    schedule.put(entries(one, range(4, 8)) + entries(two, range(4)))
    again = schedule.take(1)
    assert (places(again), again.attempt) == ([(0, 0), (0, 1), (0, 2), (0, 3)], 1)
    assert places(schedule.take(1)) == [(1, 0), (1, 1), (1, 2), (1, 3)]
    schedule.release(again, [])
    assert one.failing == 0
    assert places(schedule.take(1)) == [(0, 4), (0, 5), (0, 6), (0, 7)]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failed_batch_that_is_given_up_by_and_by_keeps_nothing_from_being_begun(workers):
    schedule, (one, two) = of_topic(workers), claims(2)
    schedule.put(entries(one, range(2)) + entries(two, range(2)))
    first = schedule.take(1)
    schedule.delay(first, first.entries, [], 3_600)
    assert len(schedule.discard([one], closing=True)) == 2
    assert len(schedule.discard([two], closing=True)) == 2
    # They come back, as new claims.
    one, two = claims(2)
    schedule.put(entries(one, range(2)) + entries(two, range(2)))
    assert places(Asking(schedule).hold()) == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_a_quiet_topic_is_one_batch_however_many_might_load():
    schedule = of_topic(8, Batching(max_messages=100, max_age_s=0.05))
    for claim in claims(8):
        schedule.put(entries(claim, [0]))
    assert places(schedule.take(1)) == [(partition, 0) for partition in range(8)]


def test_much_to_do_is_begun_though_less_than_a_batch_of_it_is_in_nobodys_hand():
    schedule, (one, two) = of_topic(2), claims(2)
    schedule.put(entries(one, range(8)))
    schedule.take(1)
    schedule.put(entries(two, range(2)))
    assert places(Asking(schedule).hold()) == [(1, 0), (1, 1)]


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1)])
def test_the_number_of_batches_in_hand_follows_the_number_of_workers(before, after):
    schedule, several = of_topic(before), claims(6)
    schedule.put([entry for claim in several for entry in entries(claim, range(4))])
    held = [schedule.take(1) for _ in range(before)]
    schedule.set_workers(after)
    for _ in range(max(0, before - after)):
        assert schedule.take(1) is None
    for hold in held:
        schedule.release(hold, [])
    now = [schedule.take(1) for _ in range(after)]
    assert len({claim for hold in now for claim in {entry[1] for entry in hold.entries}}) == after
    assert Asking(schedule).waits()


def test_what_was_begun_while_there_was_one_worker_is_waited_for_by_those_who_come():
    """It was cut without a look at whose partitions they are."""
    schedule, (one,) = of_topic(1), claims(1)
    schedule.put(entries(one, range(8)))
    first = schedule.take(1)
    schedule.set_workers(2)
    other = Asking(schedule)
    assert other.waits()
    schedule.release(first, [])
    assert places(other.hold()) == [(0, 4), (0, 5), (0, 6), (0, 7)]
