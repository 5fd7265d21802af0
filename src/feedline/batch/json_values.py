"""The second step: single JSON values, from their bytes to what Avro stores.

Each answers only for the usual spellings; anything else, valid or not, is left to `row_check`, so these must never
accept what it refuses nor differ from it in value.
"""

# One function a step, comparisons spelled out: numba pays for every call that hands over an array, and for `in`.
# ruff: noqa: C901, PLR0911, PLR0912, PLR1714

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from feedline.batch.native import i64, load_u8, load_u32, u64

_TRUE = np.uint32(int.from_bytes(b"true", "little"))
_ALSE = np.uint32(int.from_bytes(b"alse", "little"))
_MINUS, _PLUS, _POINT, _ZERO, _COLON, _UPPER_T, _UPPER_Z = 45, 43, 46, 48, 58, 84, 90
_LARGEST_WHOLE = 1 << 53  # up to here every integer is a double
_TENS = np.array([10**k for k in range(19)], dtype=np.int64)
_FLOAT_TENS = np.array([10.0**k for k in range(23)], dtype=np.float64)  # exact up to 10^22
_DAYS_TO_MONTH = np.array([0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334], dtype=np.int64)
_DAYS_IN_MONTH = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.int64)
_EPOCH_DAYS = 719_162  # days from 0001-01-01 to 1970-01-01
_DAY_MICROS = 86_400_000_000
_LARGEST_LONG = u64(2**63 - 1)
_LOW32 = u64(0xFFFFFFFF)
_WIDE = u64(32)


def _strtod() -> Any:
    result: Any = types.Tuple((types.float64, types.int64))  # type: ignore[no-untyped-call]

    @intrinsic
    def strtod(_context: Any, _at: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            pointer = ir.IntType(8).as_pointer()
            kind = ir.FunctionType(ir.DoubleType(), [pointer, pointer.as_pointer()])
            function = cgutils.get_or_insert_function(builder.module, kind, "strtod")  # type: ignore[no-untyped-call]
            stopped = cgutils.alloca_once(builder, pointer)  # type: ignore[no-untyped-call]
            number = builder.call(function, [builder.inttoptr(arguments[0], pointer), stopped])
            stop = builder.ptrtoint(builder.load(stopped), ir.IntType(64))
            return context.make_tuple(builder, result, [number, stop])

        return result(types.int64), generate

    return strtod


# C's own: correctly rounded, and needs no copy, as every JSON number is followed by a byte that ends it.
strtod: Any = _strtod()


@njit
def parse_boolean(at: int, stop: int) -> int:
    """1, 0, or -1 for neither."""
    if stop - at == 4 and load_u32(at) == _TRUE:
        return 1
    if stop - at == 5 and load_u8(at) == 102 and load_u32(at + 1) == _ALSE:
        return 0
    return -1


@njit
def parse_integer(at: int, stop: int) -> tuple[int, bool]:
    """An integer of 64 bits."""
    negative = at < stop and load_u8(at) == _MINUS
    if negative:
        at += 1
    count = stop - at
    if count < 1 or count > 19 or (count > 1 and load_u8(at) == _ZERO):
        return 0, False
    number = u64(0)
    while at < stop:
        digit = i64(load_u8(at)) - _ZERO
        if digit < 0 or digit > 9:
            return 0, False
        # Nineteen digits fit in 64 bits without a sign.
        number = number * u64(10) + u64(digit)
        at += 1
    if number > _LARGEST_LONG:
        return 0, False
    return -i64(number) if negative else i64(number), True


@njit
def parse_decimal(at: int, stop: int, precision: int, scale: int) -> tuple[Any, int, bool]:
    """Low and high word of a decimal without exponent, times ten to the scale."""
    start = at
    negative = at < stop and load_u8(at) == _MINUS
    if negative:
        at += 1
    # Most decimals have few digits: one machine word, and no more of a loop than that needs.
    first = at
    number, fraction = 0, 0
    while at < stop:
        digit = i64(load_u8(at)) - _ZERO
        if digit < 0 or digit > 9:
            break
        number = number * 10 + digit
        at += 1
    whole = at - first
    if at < stop and load_u8(at) == _POINT:
        at += 1
        while at < stop:
            digit = i64(load_u8(at)) - _ZERO
            if digit < 0 or digit > 9:
                break
            number = number * 10 + digit
            fraction += 1
            at += 1
        if fraction == 0:
            return u64(0), 0, False
    if at != stop or whole == 0 or (whole > 1 and load_u8(first) == _ZERO):
        return u64(0), 0, False
    if fraction > scale or whole + scale > 18:
        return _parse_long_decimal(start, stop, precision, scale)
    number *= _TENS[scale - fraction]
    if precision < 18 and number >= _TENS[precision]:
        return u64(0), 0, False
    if negative:
        number = -number
    return u64(number), number >> 63, True


@njit
def _parse_long_decimal(at: int, stop: int, precision: int, scale: int) -> tuple[Any, int, bool]:
    """The same for any number of digits; the caller has checked the spelling."""
    negative = at < stop and load_u8(at) == _MINUS
    if negative:
        at += 1
    fraction, pointed = 0, False
    low, high = u64(0), u64(0)
    number = 0
    digits = 0
    while at < stop:
        byte = i64(load_u8(at))
        at += 1
        if byte == _POINT:
            pointed = True
            continue
        digit = byte - _ZERO
        if pointed:
            fraction += 1
            if fraction > scale:
                if digit != 0:
                    return u64(0), 0, False
                continue
        if digits > 0 or digit != 0:
            digits += 1
        if digits <= 18:
            number = number * 10 + digit
        else:
            if digits == 19:
                low = u64(number)
            low, high = _shift_in(low, high, digit)
            if digits > precision:
                return u64(0), 0, False
    missing = scale - min(fraction, scale)
    if digits == 0:
        return u64(0), 0, True
    if digits + missing > precision:
        return u64(0), 0, False
    if digits + missing <= 18:
        number *= _TENS[missing]
        if negative:
            number = -number
        return u64(number), number >> 63, True
    if digits <= 18:
        low = u64(number)
    for _ in range(missing):
        low, high = _shift_in(low, high, 0)
    if negative:
        low = ~low + u64(1)
        high = ~high + u64(1 if low == u64(0) else 0)
    return low, i64(high), True


@njit
def _shift_in(low: Any, high: Any, digit: int) -> tuple[Any, Any]:
    """A 128-bit number times ten plus a digit."""
    ten = u64(10)
    bottom = (low & _LOW32) * ten + u64(digit)
    middle = (low >> _WIDE) * ten + (bottom >> _WIDE)
    return (middle << _WIDE) | (bottom & _LOW32), high * ten + (middle >> _WIDE)


@njit
def parse_double(at: int, stop: int) -> tuple[float, bool]:
    """A finite double: exact arithmetic where both number and power of ten are exact doubles, else C's strtod."""
    start = at
    negative = at < stop and load_u8(at) == _MINUS
    if negative:
        at += 1
    first = at
    number, exponent, fraction = 0, 0, -1
    while at < stop:
        digit = i64(load_u8(at)) - _ZERO
        if digit < 0 or digit > 9:
            if digit + _ZERO != _POINT or fraction >= 0 or at == first:
                break
            fraction = 0
        else:
            number = number * 10 + digit if number < _LARGEST_WHOLE else _LARGEST_WHOLE * 16
            if fraction >= 0:
                fraction += 1
        at += 1
    whole = at - first - (fraction + 1 if fraction >= 0 else 0)
    if whole < 1 or fraction == 0 or (whole > 1 and load_u8(first) == _ZERO):
        return 0.0, False
    plain = at == stop
    if not plain:
        if load_u8(at) | 32 != 101:
            return 0.0, False
        at += 1
        below = at < stop and load_u8(at) == _MINUS
        if at < stop and (below or load_u8(at) == _PLUS):
            at += 1
        if at >= stop or stop - at > 4:
            return 0.0, False
        while at < stop:
            digit = i64(load_u8(at)) - _ZERO
            if digit < 0 or digit > 9:
                return 0.0, False
            exponent = exponent * 10 + digit
            at += 1
        if below:
            exponent = -exponent
    if number == 0 and negative and plain and fraction < 0:
        return 0.0, False
    power = exponent - max(fraction, 0)
    if number <= _LARGEST_WHOLE and -22 <= power <= 22:
        value = float(number)
        value = value * _FLOAT_TENS[power] if power >= 0 else value / _FLOAT_TENS[-power]
        return -value if negative else value, True
    value, stopped = strtod(start)
    return value, stopped == stop and np.isfinite(value)


@njit
def _digits(at: int, count: int) -> int:
    """A number of that many digits; negative when one is none."""
    number = 0
    for k in range(count):
        digit = i64(load_u8(at + k)) - _ZERO
        if digit < 0 or digit > 9:
            return -1
        number = number * 10 + digit
    return number


@njit
def parse_date(at: int, stop: int) -> tuple[int, bool]:
    """Days since 1970 of `YYYY-MM-DD`."""
    if stop - at < 10 or load_u8(at + 4) != _MINUS or load_u8(at + 7) != _MINUS:
        return 0, False
    year, month, day = _digits(at, 4), _digits(at + 5, 2), _digits(at + 8, 2)
    if stop - at != 10 or year < 1 or month < 1 or month > 12 or day < 1:
        return 0, False
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if day > _DAYS_IN_MONTH[month] and not (leap and month == 2 and day == 29):
        return 0, False
    past = year - 1
    days = past * 365 + past // 4 - past // 100 + past // 400 + _DAYS_TO_MONTH[month] + day - 1
    if leap and month > 2:
        days += 1
    return days - _EPOCH_DAYS, True


@njit
def parse_timestamp(at: int, stop: int) -> tuple[int, bool]:
    """Microseconds since 1970 of `YYYY-MM-DDThh:mm:ss[.ffffff]` and `Z` or `+hh:mm`."""
    if stop - at < 20 or load_u8(at + 10) != _UPPER_T:
        return 0, False
    days, right = parse_date(at, at + 10)
    hour, minute, second = _digits(at + 11, 2), _digits(at + 14, 2), _digits(at + 17, 2)
    if not right or load_u8(at + 13) != _COLON or load_u8(at + 16) != _COLON:
        return 0, False
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 59:
        return 0, False
    # A zone may move the first and last year's moments out of Python's years.
    year = _digits(at, 4)
    if year == 1 or year == 9999:
        return 0, False
    at += 19
    micros = 0
    if load_u8(at) == _POINT:
        at += 1
        count = 0
        while at < stop and count < 7:
            digit = i64(load_u8(at)) - _ZERO
            if digit < 0 or digit > 9:
                break
            micros = micros * 10 + digit
            count += 1
            at += 1
        if count < 1 or count > 6:
            return 0, False
        micros *= _TENS[6 - count]
    moment = days * _DAY_MICROS + (hour * 3600 + minute * 60 + second) * 1_000_000 + micros
    if stop - at == 1 and load_u8(at) == _UPPER_Z:
        return moment, True
    if stop - at != 6 or load_u8(at + 3) != _COLON:
        return 0, False
    sign = load_u8(at)
    hour, minute = _digits(at + 1, 2), _digits(at + 4, 2)
    if (sign != _PLUS and sign != _MINUS) or hour < 0 or hour > 23 or minute < 0 or minute > 59:
        return 0, False
    shift = (hour * 60 + minute) * 60_000_000
    return moment - shift if sign == _PLUS else moment + shift, True
