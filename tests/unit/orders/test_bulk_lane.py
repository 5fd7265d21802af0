"""Whatever the delays and whatever comes in whatever order, a lane lets each order's events go in sequence, once."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.orders.orders_made import EQUITY, event

from feedline.errors import ConfigurationError, CorruptBatchError
from feedline.orders.bulk.delays import read_delay
from feedline.orders.bulk.lane import REFUSED, STILL_MISSING, TOO_MANY_PARKED, Fate, Lane, LanePolicy, Taken
from feedline.orders.bulk.progress import MAX_SPAN, Progress
from feedline.orders.model import EventKind, event_id, facts_of
from feedline.orders.model.book import Book, Place

NEW, AMEND, CANCEL = EventKind.NEW, EventKind.AMEND, EventKind.CANCEL


def taken(offset, order, sequence, kind=None, amount="100"):
    kind = kind or (NEW if sequence == 1 else AMEND)
    order_body = None if kind is CANCEL else msgspec.structs.replace(EQUITY, quantity=amount_of(amount))
    one = event(sequence, kind, order_id=order, event_id=event_id(order, sequence), order=order_body)
    return Taken(offset, order.encode(), b"", [], one, facts_of(one))


def amount_of(text):
    from decimal import Decimal

    return Decimal(text)


def lane(delay="exp:100", first=0, metadata=None, book=None, **policy):
    return Lane(0, LanePolicy(read_delay(delay), **policy), Progress(first, metadata), book or Book(1_000))


def finish(made, now, most=10**6):
    found = made.due(now, most)
    for one in found:
        made.progress.finish(one.taken.offset)
    return found


@given(st.permutations([(order, n) for order in "abc" for n in range(1, 5)]), st.lists(st.floats(0, 2), max_size=30))
def test_every_order_goes_in_sequence_whatever_comes_first(arriving, waits):
    made, now, gone = lane(park_s=1e6), 0.0, []
    steps = itertools.chain(waits, itertools.repeat(0.0))
    for offset, (order, sequence) in enumerate(arriving):
        now += next(steps)
        made.take(taken(offset, order, sequence), now)
        gone += finish(made, now)
    gone += finish(made, now + 1e5)
    assert {one.fate for one in gone} == {Fate.PUBLISH}
    for order in "abc":
        assert [one.taken.facts.sequence for one in gone if one.taken.facts.order_id == order] == [1, 2, 3, 4]
    assert made.progress.mark() == (len(arriving), "")


def test_a_steady_flow_leaves_nothing_behind_of_orders_that_were_published():
    made, gone = lane("100"), []
    for number in range(1_000):
        now = number * 0.01
        made.take(taken(number, f"o{number}", 1), now)
        gone += finish(made, now)
    # Ten events wait at any moment: the schedule is never empty.
    assert len(gone) >= 980
    assert len(made._last_due) <= 11


def test_a_long_delay_of_one_order_holds_up_no_other():
    made = lane("0..10000")
    for offset in range(200):
        made.take(taken(offset, f"o{offset}", 1), 0.0)
    first = [one.taken.offset for one in finish(made, 1.0)]
    assert 0 < len(first) < 100
    assert first != sorted(first)


@given(st.integers(0, 60), st.integers(1, 400), st.data())
def test_whoever_takes_over_does_the_rest_and_nothing_twice(first, count, data):
    """The mark is all that the next owner gets, and what it published is read back from the topic."""
    done: list[int] = []
    start, metadata = first, None
    for _ in range(3):
        made = lane("0..1000", start, metadata)
        for offset in range(start, first + count):
            made.take(taken(offset, f"o{offset}", 1), 0.0)
        done += [one.taken.offset for one in finish(made, data.draw(st.floats(0, 0.9)))]
        start, metadata = made.progress.mark()
    made = lane("0", start, metadata)
    for offset in range(start, first + count):
        made.take(taken(offset, f"o{offset}", 1), 0.0)
    done += [one.taken.offset for one in finish(made, 1.0)]
    assert sorted(done) == list(range(first, first + count))


def test_a_mark_fits_the_broker_however_what_is_done_lies():
    progress = Progress(0)
    for offset in range(MAX_SPAN):
        progress.take(offset)
    # As random as it can be: nothing to compress.
    for offset in range(1, MAX_SPAN):
        if event_id("x", offset)[0] in "02468ace":
            progress.finish(offset)
    low, metadata = progress.mark()
    assert low == 0
    assert len(metadata) < 4_096


@pytest.mark.parametrize("metadata", ["x", "done1:", "done1:zz", "done1:\x00"])
def test_metadata_of_somebody_else_is_refused_not_guessed(metadata):
    with pytest.raises(CorruptBatchError):
        Progress(5, metadata)


def test_what_never_comes_is_waited_for_a_time_and_then_told():
    made = lane("0", park_s=10)
    made.take(taken(0, "a", 1), 0.0)
    made.take(taken(1, "a", 3), 0.0)
    made.take(taken(2, "b", 2, CANCEL), 0.0)
    assert [one.fate for one in finish(made, 9.9)] == [Fate.PUBLISH]
    given_up = finish(made, 10.0)
    assert [(one.fate, one.code) for one in given_up] == [(Fate.REFUSE, STILL_MISSING)] * 2
    assert "sequence 2 has not come" in given_up[0].reason
    made.take(taken(3, "a", 2), 11.0)
    assert [one.fate for one in finish(made, 11.0)] == [Fate.PUBLISH]
    assert made.parked == 0


def test_how_many_may_wait_is_bounded():
    made = lane("0", max_parked=2)
    for offset in range(4):
        made.take(taken(offset, f"o{offset}", 2), 0.0)
    assert [one.code for one in finish(made, 0.0)] == [TOO_MANY_PARKED] * 2
    assert made.parked == 2


def test_repeats_are_dropped_others_under_a_used_sequence_refused_and_what_follows_a_cancellation_published():
    made = lane("50")
    made.take(taken(0, "a", 1), 0.0)
    made.take(taken(1, "a", 1), 0.0)
    made.take(taken(2, "a", 1, amount="7"), 0.0)
    made.take(taken(3, "a", 2, CANCEL), 0.0)
    made.take(taken(4, "a", 3), 0.0)
    assert [(one.taken.offset, one.fate) for one in finish(made, 1.0)] == [
        (1, Fate.DROP),
        (2, Fate.REFUSE),
        (0, Fate.PUBLISH),
        (3, Fate.PUBLISH),
        (4, Fate.PUBLISH),
    ]


def test_what_was_published_is_a_repeat_after_it_was_read_back():
    book = Book(10)
    for one in (taken(0, "a", 1), taken(1, "a", 2)):
        book.adopt(one.facts, Place(0, one.offset))
    # Of an order whose beginning is longer ago than was read back.
    book.adopt(taken(2, "old", 7).facts, Place(0, 2))
    made = lane("0", book=book)
    for offset, again in enumerate([("a", 2), ("a", 3), ("old", 7), ("old", 8), ("old", 3)]):
        made.take(taken(offset, *again), 0.0)
    found = finish(made, 0.0)
    assert [one.fate for one in found] == [Fate.DROP, Fate.PUBLISH, Fate.DROP, Fate.PUBLISH, Fate.REFUSE]
    assert found[-1].code == REFUSED


@given(st.integers(1, 50), st.integers(2, 40))
def test_the_book_is_bounded_and_knows_the_newer_half(orders, most):
    book = Book(most)
    for number in range(orders):
        book.record(taken(number, f"o{number}", 1).facts, Place(0, number))
    assert len(book) <= most
    newest = range(max(0, orders - max(1, most // 2) + 1), orders)
    assert all(book.find(f"o{number}") for number in newest)


@pytest.mark.parametrize("text", ["", "-5", "a", "5..1", "exp:", "1..2..3"])
def test_what_is_no_delay_says_how_one_is_written(text):
    with pytest.raises(ConfigurationError, match=r"50\.\.150"):
        read_delay(text)


def test_delays_are_what_they_say():
    drawn = [read_delay("50..150").of(event_id("o", n)) for n in range(2_000)]
    assert 0.05 <= min(drawn) < 0.055
    assert 0.145 < max(drawn) <= 0.15
    drawn = [read_delay("exp:80").of(event_id("o", n)) for n in range(2_000)]
    assert 0.07 < sum(drawn) / len(drawn) < 0.09
    assert max(drawn) <= 0.8
    assert read_delay("100").of("x") == 0.1
