"""Which days an exchange trades: a business date is one of them.

The days come from the package `exchange_calendars`, which follows the exchanges' own announcements and knows their
unscheduled closings too.
"""

from __future__ import annotations

import functools
from datetime import date
from typing import TYPE_CHECKING

from feedline.errors import ConfigurationError

if TYPE_CHECKING:
    from exchange_calendars import ExchangeCalendar  # type: ignore[import-untyped]

# New York Stock Exchange, by its market identifier code.
EXCHANGE = "XNYS"
SATURDAY = 5


def is_business_day(day: date, exchange: str = EXCHANGE) -> bool:
    """Whether the exchange trades on this day.

    Beyond what the exchange has announced (about a year ahead) every weekday counts: a run too many waits for files
    that do not come, a run too few would be missed. Raises ConfigurationError for an exchange that nobody knows.
    """
    if day.weekday() >= SATURDAY:
        return False
    calendar = _calendar(exchange)
    if not calendar.first_session.date() <= day <= calendar.last_session.date():
        return True
    return bool(calendar.is_session(day.isoformat()))


@functools.cache
def _calendar(exchange: str) -> ExchangeCalendar:
    # It brings pandas: only who asks for a day pays for that.
    import exchange_calendars  # noqa: PLC0415
    from exchange_calendars.errors import InvalidCalendarName  # type: ignore[import-untyped]  # noqa: PLC0415

    try:
        return exchange_calendars.get_calendar(exchange)
    except InvalidCalendarName:
        raise ConfigurationError(f"no exchange {exchange!r}: use its market identifier code, such as XNYS") from None
