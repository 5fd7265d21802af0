"""Amounts and times as Avro writes them: bytes and numbers, exactly."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from feedline.orders.model.events import PRECISION

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_MICROSECOND = timedelta(microseconds=1)
_LIMIT = 10**PRECISION


def amount_bytes(value: Decimal | None, step: Decimal) -> bytes | None:
    """The amount in steps, as Avro's decimal: big-endian two's complement.

    Raises ValueError or ArithmeticError for an amount that is not a whole number of steps, or has too many digits.
    """
    if value is None:
        return None
    number = int(value / step)
    # Exact, where the quotient may have been rounded.
    if number * step != value or not -_LIMIT < number < _LIMIT:
        raise ValueError(f"{value} has more decimals than {step}, or more than {PRECISION} digits")
    return number.to_bytes((number.bit_length() + 8) // 8, "big", signed=True)


def microseconds(moment: datetime) -> int:
    """Since 1970, of a moment with a timezone; raises TypeError for one without."""
    return (moment - _EPOCH) // _MICROSECOND


def days(day: date) -> int:
    """Since 1970."""
    return day.toordinal() - _EPOCH_DAY
