"""Only what is wholly done may be committed, in whatever order messages finish."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedline.consumer.tracker import OffsetTracker


@st.composite
def partition_histories(draw):
    """A start, the offsets that messages have (with gaps, as transaction markers leave), and the order they finish."""
    start = draw(st.integers(0, 2**40))
    gaps = draw(st.lists(st.integers(0, 3), max_size=60))
    offsets, at = [], start
    for gap in gaps:
        offsets.append(at + gap)
        at += gap + 1
    return start, offsets, draw(st.permutations(offsets)), draw(st.integers(1, 10))


@given(partition_histories())
def test_the_offset_to_commit_is_the_first_one_not_done(history):
    start, offsets, order, window = history
    tracker, done, to_begin = OffsetTracker(start), set(), list(offsets)
    committed = start
    for offset in order:
        while to_begin and (offset >= to_begin[0] or tracker.in_flight < window):
            assert tracker.begin(to_begin.pop(0))
        tracker.complete(offset)
        done.add(offset)
        assert tracker.next_offset >= committed
        committed = tracker.next_offset
        assert all(one in done for one in offsets if one < committed)
        open_ones = [one for one in offsets if one not in done and one not in to_begin]
        assert committed == (min(open_ones) if open_ones else tracker.position)
    assert tracker.in_flight == 0
    assert committed == (offsets[-1] + 1 if offsets else start)


@given(st.data())
def test_setting_back_loses_nothing_and_begins_nothing_twice(data):
    tracker, begun, done, last = OffsetTracker(0), [], set(), 0
    for _ in range(data.draw(st.integers(1, 60))):
        step = data.draw(st.sampled_from(["begin", "begin", "complete", "set back"]))
        open_ones = sorted({one for one in begun if one not in done})
        if step == "begin":
            offset = tracker.position
            assert tracker.begin(offset) == (offset not in begun)
            if offset not in begun:
                begun.append(offset)
        elif step == "complete" and open_ones:
            offset = data.draw(st.sampled_from(open_ones))
            tracker.complete(offset)
            done.add(offset)
        elif step == "set back" and open_ones:
            gone = data.draw(st.sets(st.sampled_from(open_ones), min_size=1))
            tracker.set_back(gone)
            begun = [one for one in begun if one not in gone]
        assert set(range(tracker.next_offset)) <= done
        assert tracker.next_offset >= last
        last = tracker.next_offset
        assert tracker.in_flight == len(set(begun) - done)


def test_the_end_of_a_partition_passes_the_marker_behind_its_last_message():
    tracker = OffsetTracker(5)
    tracker.begin(5)
    tracker.reach(7)
    assert tracker.next_offset == 5
    tracker.complete(5)
    assert tracker.next_offset == 7


def test_an_offset_that_comes_too_late_or_is_done_twice_is_refused():
    tracker = OffsetTracker(10)
    tracker.begin(10)
    with pytest.raises(ValueError, match="came after 10"):
        tracker.begin(10)
    tracker.complete(10)
    with pytest.raises(ValueError, match="not in flight"):
        tracker.complete(10)
    with pytest.raises(ValueError, match="not in flight"):
        tracker.set_back([10])
