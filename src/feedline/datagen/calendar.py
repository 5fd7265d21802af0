"""Business days and the moments of a business date."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

SATURDAY = 5


def business_day(day: date, steps: int) -> date:
    """The business day `steps` weekdays after (or, negative, before) a day; holidays are not looked at."""
    direction = timedelta(days=1 if steps > 0 else -1)
    left = abs(steps)
    while left:
        day += direction
        while day.weekday() >= SATURDAY:
            day += direction
        # From a weekday on, five of them are a week.
        weeks, left = divmod(left - 1, 5)
        day += direction * 7 * weeks
    return day


def moment(day: date, hour: int, minute: int = 0, second: int = 0, micros: int = 0, *, offset: int = 0) -> datetime:
    """A time of the day at a UTC offset in hours."""
    zone = timezone(timedelta(hours=offset)) if offset else UTC
    return datetime(day.year, day.month, day.day, hour, minute, second, micros, zone)


def month_later(day: date, months: int) -> date:
    """The first to the 28th of a month some months away: coupon days never fall off the end of a month."""
    index = day.year * 12 + day.month - 1 + months
    return date(index // 12, index % 12 + 1, min(day.day, 28))
