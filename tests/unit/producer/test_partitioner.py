from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedline.errors import ConfigurationError
from feedline.producer.partitioner import BytesPartitioner

sizes_of_messages = st.lists(st.integers(0, 5_000_000), min_size=1, max_size=300)


@given(sizes_of_messages, st.integers(1, 100), st.integers(0, 200))
def test_partitions_never_differ_by_more_than_the_largest_message(sizes, partitions, first):
    partitioner = BytesPartitioner(partitions, first)
    held = Counter(dict.fromkeys(range(partitions), 0))
    largest = 0
    for size in sizes:
        held[partitioner.choose(size)] += size
        largest = max(largest, size)
        assert max(held.values()) - min(held.values()) <= largest
    assert held.keys() == set(range(partitions))


@given(st.integers(1, 100), st.integers(0, 200), st.integers(1, 9))
def test_messages_of_one_size_take_turns_from_the_first_partition_on(partitions, first, size):
    partitioner = BytesPartitioner(partitions, first)
    chosen = [partitioner.choose(size) for _ in range(2 * partitions)]
    assert chosen == [(first + turn) % partitions for turn in range(partitions)] * 2


@given(sizes_of_messages, sizes_of_messages, st.integers(1, 40), st.integers(1, 40))
def test_added_partitions_share_what_comes_after_and_get_no_flood(before, after, partitions, added):
    partitioner = BytesPartitioner(partitions)
    for size in before:
        partitioner.choose(size)
    partitioner.grow(partitions + added)
    assert partitioner.partitions == partitions + added
    fresh: Counter[int] = Counter()
    for size in after:
        fresh[partitioner.choose(size)] += size
    largest = max(before + after)
    new = [fresh[number] for number in range(partitions, partitions + added)]
    assert max(new) - min(new) <= largest
    assert max(new) - min(fresh[number] for number in range(partitions)) <= 2 * largest


def test_a_topic_without_partitions_is_refused():
    with pytest.raises(ConfigurationError):
        BytesPartitioner(0)


def test_what_lies_on_the_partitions_before_is_made_up_for():
    partitioner = BytesPartitioner(3, first=1, loads={0: 10, 1: 25})
    assert [partitioner.choose(10) for _ in range(5)] == [2, 2, 0, 2, 0]
