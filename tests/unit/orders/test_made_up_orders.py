"""Made-up orders: valid, in sequence, of the mix that was asked for, the same for one seed; and sent at their pace."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import islice

import pytest

from feedline.errors import ConfigurationError
from feedline.orders.demo.flow import Pace
from feedline.orders.demo.lives import Mix, order_lives
from feedline.orders.model import Accepted, EntrySource, EventKind, Product, Refused, apply, facts_of, faults_of


def some(mix=Mix(), *, seed=1, count=500, source=EntrySource.BULK):  # noqa: B008
    return list(islice(order_lives(seed, source, mix), count))


def test_every_event_is_valid_and_the_next_of_its_order():
    for life in some():
        state = None
        for event in life:
            assert faults_of(event) == []
            verdict = apply(state, facts_of(event))
            assert isinstance(verdict, Accepted), verdict
            state = verdict.state


def test_a_wrong_order_s_second_event_is_refused_and_those_after_it_are_not():
    for life in some(Mix(wrong=1.0, cancelled=1.0)):
        verdicts, state = [], None
        for event in life:
            verdict = apply(state, facts_of(event))
            state = verdict.state if isinstance(verdict, Accepted) else state
            verdicts.append(type(verdict))
        assert verdicts[:2] == [Accepted, Refused]
        assert set(verdicts[2:]) == {Accepted}


def test_shares_are_those_of_the_mix():
    lives = some(Mix(options=0.5, funds=0.25, amended=0.4, cancelled=0.2), count=4_000)
    products = [life[0].product for life in lives]
    assert 0.45 < products.count(Product.OPTION) / 4_000 < 0.55
    assert 0.2 < products.count(Product.MUTUAL_FUND) / 4_000 < 0.3
    amended = sum(any(event.kind is EventKind.AMEND for event in life) for life in lives)
    assert 0.35 < amended / 4_000 < 0.45
    with pytest.raises(ConfigurationError):
        Mix(options=0.7, funds=0.4)


def test_one_seed_is_one_flow_but_for_the_times_and_entries_have_orders_of_their_own():
    def timeless(lives):
        return [replace(event, transact_time=lives[0][0].transact_time) for life in lives for event in life]

    first, second = some(seed=7, count=50), some(seed=7, count=50)
    assert [replace(one, transact_time=first[0][0].transact_time) for one in timeless(second)] == timeless(first)
    ids = {life[0].order_id for life in first}
    assert ids.isdisjoint(life[0].order_id for life in some(seed=7, count=50, source=EntrySource.HTTP))


def test_a_pace_gives_as_many_moments_as_rate_and_time_make_and_none_early():
    pace, began, moments = Pace(200.0, 0.1), time.monotonic(), []
    while pace.wait():
        moments.append(time.monotonic() - began)
    assert len(moments) == 20
    assert all(at >= number / 200 - 0.001 for number, at in enumerate(moments))
