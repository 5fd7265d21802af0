"""What came after the books of a day, on whatever date, is looked at by the next ones, and not for ever."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from feedline.orders.fix.raw import exec_id_of, fields_in
from feedline.orders.reconcile.books import REASONS_KEPT, looked_back
from feedline.orders.warehouse.rows import EXCHANGE_ZONE

# Good Friday lies between the two.
THURSDAY, MONDAY = (datetime(2026, 4, day, 17, tzinfo=EXCHANGE_ZONE) for day in (2, 6))


@pytest.mark.parametrize("came", [THURSDAY, THURSDAY + timedelta(days=2), MONDAY - timedelta(seconds=1)])
def test_nothing_comes_between_the_books_of_two_trading_days(came):
    since, until = looked_back(MONDAY.date(), MONDAY)
    assert since <= came < until


def test_the_books_of_a_date_do_not_look_at_what_came_later_nor_at_what_may_have_lost_its_reason():
    since, until = looked_back(MONDAY.date(), MONDAY + timedelta(days=4))
    assert until == datetime(2026, 4, 7, tzinfo=EXCHANGE_ZONE)
    assert since == MONDAY + timedelta(days=4) - REASONS_KEPT
    since, until = looked_back(date(2026, 4, 6), MONDAY + timedelta(days=30))
    assert since > until


@pytest.mark.parametrize(
    ("raw", "known_as"),
    [
        (b"35=8\x0111=o-1\x0117=E-7\x016=1.2345678\x01", "E-7"),
        (b"35=9\x0111=o-2\x0139=?\x01", "o-2/cancel-rejected"),
        (b"35=8\x01", ""),
        (None, ""),
    ],
)
def test_a_report_that_could_not_be_read_is_known_by_the_id_that_it_has_once_it_is(raw, known_as):
    assert exec_id_of(fields_in(raw)) == known_as
