"""Business days are weekdays, however far away."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from feedline.datagen.calendar import business_day, month_later

DAYS = st.dates(date(2000, 1, 1), date(2060, 1, 1))


@given(DAYS, st.integers(1, 900), st.sampled_from([1, -1]))
def test_the_nth_business_day_is_the_nth_weekday(day: date, steps: int, direction: int) -> None:
    found = business_day(day, steps * direction)
    between = (day + timedelta(days=direction * n) for n in range(1, abs((found - day).days) + 1))
    assert sum(one.weekday() < 5 for one in between) == steps
    assert found.weekday() < 5


def test_no_step_stays_even_on_a_weekend() -> None:
    assert business_day(date(2026, 11, 21), 0) == date(2026, 11, 21)


@given(DAYS, st.integers(-400, 400))
def test_months_are_counted_over_the_turn_of_the_year(day: date, months: int) -> None:
    later = month_later(day, months)
    assert (later.year * 12 + later.month) - (day.year * 12 + day.month) == months
    assert later.day == min(day.day, 28)
