"""On which days feeds are expected: those on which the exchange trades."""

from __future__ import annotations

from datetime import date
from functools import cache
from typing import Any

EXCHANGE = "XNYS"


def is_business_date(day: date) -> bool:
    """Whether the New York Stock Exchange has a session on the day, half days included."""
    return bool(_calendar().is_session(day.isoformat()))


@cache
def _calendar() -> Any:
    # It imports pandas: only who asks pays for it.
    from exchange_calendars import get_calendar  # type: ignore[import-untyped]  # noqa: PLC0415

    return get_calendar(EXCHANGE)
