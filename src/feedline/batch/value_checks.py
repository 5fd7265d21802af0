"""Checks of single values, one closure a schema node: what fits comes back exact, what does not raises `Misfit`."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Context, Decimal, Inexact, InvalidOperation
from math import isfinite
from typing import Any

from feedline.batch.avro_program import (
    BOOLEAN,
    BYTES,
    DATE,
    DECIMAL,
    DECIMAL_FIXED,
    DOUBLE,
    ENUM,
    FIXED,
    FLOAT,
    INT,
    LONG,
    STRING,
    TIMESTAMP_MICROS,
    TIMESTAMP_MILLIS,
    Node,
)

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)

Check = Callable[[Any], Any]


class Misfit(Exception):  # noqa: N818  it never leaves this package
    """A value that does not fit; `path` grows from the inside out as it passes the enclosing fields."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = ""

    def within(self, name: str) -> Misfit:
        joint = "." if self.path and not self.path.startswith("[") else ""
        self.path = f"{name}{joint}{self.path}"
        return self


class Constant(str):
    """NaN, Infinity or -Infinity, which JSON does not have."""

    __slots__ = ()


def found_in(value: Any) -> str:
    """What a value is, in JSON's words and short, for a message."""
    if value is None:
        return "null"
    if isinstance(value, Constant):
        return f"{value}, which is not JSON"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "an array"
    shown = {True: "true", False: "false"}[value] if isinstance(value, bool) else shortened(value)
    return f"the text {shown}" if isinstance(value, str) else shown


def shortened(value: Any) -> str:
    shown = ascii(value) if isinstance(value, (str, bytes)) else str(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _integer(node: Node) -> Check:
    bits = 31 if node.op == INT else 63
    low, high = -(2**bits), 2**bits - 1

    def check(value: Any) -> Any:
        if type(value) is int and low <= value <= high:
            return value
        if isinstance(value, bool) or not isinstance(value, int):
            raise Misfit(f"needs an integer without fraction or exponent, found {found_in(value)}")
        if not low <= value <= high:
            raise Misfit(f"needs an integer of {bits + 1} bits, found {found_in(value)}")
        return int(value)

    return check


def _floating(node: Node) -> Check:
    single = node.op == FLOAT

    def check(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
            raise Misfit(f"needs a number, found {found_in(value)}")
        try:
            number = float(value)
            if single:
                (number,) = struct.unpack("<f", struct.pack("<f", number))
        except (OverflowError, struct.error, ValueError):
            raise Misfit(f"is out of range: {shortened(value)}") from None
        if not isfinite(number):
            raise Misfit(f"needs a finite number in range, found {shortened(value)}")
        return number

    return check


def _decimal(node: Node) -> Check:
    precision, scale = node.precision, node.scale
    unit = Decimal(1).scaleb(-scale)
    exact = Context(prec=precision, traps=[Inexact, InvalidOperation])

    def check(value: Any) -> Any:
        number = value
        if isinstance(value, str) and not isinstance(value, Constant):
            if not _NUMBER.fullmatch(value):
                raise Misfit(f"needs a decimal number, found {found_in(value)}")
            try:
                number = Decimal(value)
            except InvalidOperation:
                raise Misfit(
                    f"needs at most {precision - scale} digits before the point, found {shortened(value)}"
                ) from None
        elif isinstance(value, int) and not isinstance(value, bool):
            number = Decimal(value)
        elif not isinstance(value, Decimal) or not value.is_finite():
            hint = ": give a Decimal or its text, a float is not exact" if isinstance(value, float) else ""
            raise Misfit(f"needs a decimal number, found {found_in(value)}{hint}")
        try:
            exactly = number.quantize(unit, context=exact)
        except Inexact:
            raise Misfit(f"needs at most {scale} digits after the point, found {shortened(value)}") from None
        except InvalidOperation:
            raise Misfit(
                f"needs at most {precision - scale} digits before the point, found {shortened(value)}"
            ) from None
        # An integer has no negative zero, and fastavro writes that of a fixed decimal as another number (1.13.1).
        return abs(exactly) if exactly.is_zero() else exactly

    return check


def _boolean(_node: Node) -> Check:
    def check(value: Any) -> Any:
        if value is True or value is False:
            return value
        raise Misfit(f"needs true or false, found {found_in(value)}")

    return check


def _string(_node: Node) -> Check:
    def check(value: Any) -> Any:
        if not isinstance(value, str) or isinstance(value, Constant):
            raise Misfit(f"needs text, found {found_in(value)}")
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise Misfit("has half of a surrogate pair") from None
        return value

    return check


def _enum(node: Node) -> Check:
    symbols = frozenset(node.symbols)

    def check(value: Any) -> Any:
        if isinstance(value, str) and value in symbols:
            return value
        raise Misfit(f"needs one of {', '.join(node.symbols)}, found {found_in(value)}")

    return check


def _bytes(node: Node) -> Check:
    size = node.size if node.op == FIXED else None

    def check(value: Any) -> Any:
        if isinstance(value, (bytes, bytearray, memoryview)):
            content = bytes(value)
        elif isinstance(value, str) and not isinstance(value, Constant):
            try:
                content = value.encode("latin-1")
            except UnicodeEncodeError:
                raise Misfit("needs text of the code points 0 to 255, one a byte") from None
        else:
            raise Misfit(f"needs text, found {found_in(value)}")
        if size is not None and len(content) != size:
            raise Misfit(f"needs {size} bytes, found {len(content)}")
        return content

    return check


def _date(_node: Node) -> Check:
    def check(value: Any) -> Any:
        if isinstance(value, str) and len(value) == 10 and value[4] == value[7] == "-":
            try:
                return date.fromisoformat(value)
            except ValueError:
                pass
        elif isinstance(value, date) and not isinstance(value, datetime):
            return value
        raise Misfit(f"needs a date as YYYY-MM-DD, found {found_in(value)}")

    return check


def _timestamp(node: Node) -> Check:
    millis = node.op == TIMESTAMP_MILLIS

    def check(value: Any) -> Any:
        moment = value
        try:
            if isinstance(value, str) and _TIMESTAMP.fullmatch(value):
                moment = datetime.fromisoformat(value)
            if not isinstance(moment, datetime):
                raise Misfit(f"needs a timestamp with a zone (2026-01-31T09:30:00Z), found {found_in(value)}")
            if moment.utcoffset() is None:
                raise Misfit(f"needs a timestamp with a zone, found {shortened(value)}")
            moment = moment.astimezone(UTC)
        except (ValueError, OverflowError):
            raise Misfit(f"is no moment of the years 1 to 9999: {found_in(value)}") from None
        if millis and moment.microsecond % 1000:
            raise Misfit(f"needs a timestamp no finer than milliseconds, found {shortened(value)}")
        return moment

    return check


LEAF_CHECKS: dict[int, Callable[[Node], Check]] = {
    INT: _integer,
    LONG: _integer,
    FLOAT: _floating,
    DOUBLE: _floating,
    DECIMAL: _decimal,
    DECIMAL_FIXED: _decimal,
    BOOLEAN: _boolean,
    STRING: _string,
    ENUM: _enum,
    BYTES: _bytes,
    FIXED: _bytes,
    DATE: _date,
    TIMESTAMP_MILLIS: _timestamp,
    TIMESTAMP_MICROS: _timestamp,
}
