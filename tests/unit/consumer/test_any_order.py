"""Whatever the order of reading, handling, failing and changing hands: nothing is committed that is not done, offsets
never go back, and in the end everything is done."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.unit.consumer.driven import Driven
from tests.unit.consumer.scripted_client import Broker, Client

from feedline.errors import BrokerUnavailableError

PARTITIONS = (0, 1)
partitions = st.sampled_from(PARTITIONS)


class Fleet(RuleBasedStateMachine):
    """One consumer, and other members of its group as far as they take partitions and work on them."""

    def __init__(self):
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.broker = Broker({p: [] for p in PARTITIONS}, dict.fromkeys(PARTITIONS, 0))
        self.client = Client(self.broker)
        self.holds, self.by_others = [], {p: set() for p in PARTITIONS}
        self.before = {}
        self.unknown = False

    def teardown(self):
        self.everything_is_done_in_the_end()
        self.patch.undo()

    @initialize()
    def begin(self):
        self.driven = Driven(self.client, self.patch, positions=self.positions)
        for partition in PARTITIONS:
            self.is_sent(partition, 6, 0)
        self.client.assign_later(*PARTITIONS)
        self.driven.turn()

    def positions(self, _places):
        if self.unknown:
            raise BrokerUnavailableError("nobody can be asked")
        return {}

    @rule(partition=partitions, count=st.integers(1, 4), gap=st.integers(0, 2))
    def is_sent(self, partition, count, gap):
        """gap: offsets that no message has, as the markers of transactions."""
        end = self.broker.ends[partition]
        self.broker.messages[partition] += range(end, end + count)
        self.broker.ends[partition] = end + count + gap

    @rule(partition=partitions, count=st.integers(1, 5))
    def comes(self, partition, count):
        self.client.fetch(partition, count)
        self.driven.turn()

    @rule()
    def turns(self):
        self.driven.turn()

    @rule()
    def a_worker_begins(self):
        hold = self.driven.begin()
        if hold is not None:
            self.holds.append(hold)

    @precondition(lambda self: self.holds)
    @rule(which=st.integers(0, 20), well=st.integers(0, 3).map(bool))
    def a_worker_ends(self, which, well):
        self.driven.finish(self.holds.pop(which % len(self.holds)), well=well)

    @precondition(lambda self: not self.client.changing)
    @rule(partition=partitions, unknown=st.booleans())
    def is_given(self, partition, unknown):
        if partition not in self.client.readings:
            self.client.assign_later(partition)
            self.unknown = unknown

    @rule()
    def somebody_can_be_asked(self):
        self.unknown = False
        self.driven.consumer._ownership._place_at = 0.0

    @precondition(lambda self: self.client.readings and not self.client.changing)
    @rule(partition=partitions, back=st.booleans())
    def is_taken_away(self, partition, back):
        """back: and given again, in the same call if it goes on so long."""
        if partition in self.client.readings:
            self.client.revoke_later(partition, then=(lambda: self.client.assign_later(partition)) if back else None)

    @precondition(lambda self: self.client.readings and not self.client.changing)
    @rule(partition=partitions, count=st.integers(0, 3), back=st.booleans())
    def is_lost(self, partition, count, back):
        """Another member works on it at once."""
        if partition in self.client.readings:
            self.client.lose(partition, then=(lambda: self.client.assign_later(partition)) if back else None)
            self.others_work(partition, count)

    @rule(partition=partitions, count=st.integers(1, 3))
    def others_have_it(self, partition, count):
        if partition not in self.client.readings and not self.client.changing:
            self.others_work(partition, count)

    def others_work(self, partition, count):
        at = max(0, self.broker.committed.get(partition, 0))
        done = [one for one in self.broker.messages[partition] if one >= at][:count]
        self.by_others[partition].update(done)
        if done:
            self.broker.committed[partition] = done[-1] + 1

    @invariant()
    def nothing_is_committed_that_is_not_done(self):
        for partition, offset in self.broker.committed.items():
            done = self.by_others[partition].union(self.driven.handled[partition])
            below = {one for one in self.broker.messages[partition] if one < offset}
            assert below <= done, f"{partition}: {sorted(below - done)} below {offset}"

    @invariant()
    def offsets_never_go_back(self):
        for partition, offset in self.broker.committed.items():
            assert offset >= self.before.get(partition, offset)
        self.before = dict(self.broker.committed)

    def everything_is_done_in_the_end(self):
        self.somebody_can_be_asked()
        self.driven.settle()
        for partition in set(PARTITIONS) - set(self.client.readings):
            self.client.assign_later(partition)
        for hold in self.holds:
            self.driven.finish(hold)
        self.driven.settle()
        self.nothing_is_committed_that_is_not_done()
        assert self.broker.committed == self.broker.ends
        assert (self.driven.consumer._in_flight, self.driven.consumer._in_flight_bytes) == (0, 0)


Fleet.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestAnyOrder = Fleet.TestCase
