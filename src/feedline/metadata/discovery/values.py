"""What one JSON scalar is, before anything is known of its neighbours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from feedline.metadata.discovery.moments import DAYS, MONTHS, Spelling, read_moment

PLAIN = Spelling("text", "")
EMPTY = Spelling("empty", "")
ZEROS = Spelling("zeros", "")
DIGITS = Spelling("digits", "")
UUID = Spelling("uuid", "")

_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)\.([0-9]+)")
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)")
_ZEROS = re.compile(r"0[0-9]+")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_STARTS = frozenset("0123456789-")
_NAMES = frozenset({*MONTHS, *DAYS})
# Every text that is not plain is shorter, and so is every number that a decimal holds.
LONGEST = 40
# Zeros written behind the point count up to here: an amount says its scale by them, a longer row says nothing.
WRITTEN_PLACES = 18
# No exponent that a person or a program means is larger; beyond, the digits are not counted but called too many.
FAR = 10**6


class NumberText(str):
    """A JSON number with a fraction, an exponent or more digits than Python's integers are read with, as written."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Digits:
    """whole: digits before the point; places: behind it; what exact storage needs."""

    whole: int
    places: int


def spelling_of(text: str) -> Spelling:
    """What kind of text it is; every text is of exactly one kind, whatever the others of its field are."""
    # No cache for what is long: it would hold megabytes.
    return _short_spelling(text) if len(text) <= LONGEST else PLAIN


@lru_cache(maxsize=1 << 14)
def _short_spelling(text: str) -> Spelling:  # noqa: PLR0911
    if not text:
        return EMPTY
    if text[0] not in _STARTS:
        named = text[:3].title() in _NAMES and read_moment(text)
        if named:
            return named[0]
        return UUID if len(text) == 36 and _UUID.fullmatch(text) else PLAIN
    if found := read_moment(text):
        return found[0]
    if found_decimal := _DECIMAL.fullmatch(text):
        digits = digits_of(text)
        minus = "-" if text[0] == "-" and not text.strip("-0.") else ""
        return Spelling("decimal", str(len(found_decimal.group(1))), f"{digits.whole}{minus}")
    if _ZEROS.fullmatch(text):
        return ZEROS
    if _WHOLE.fullmatch(text):
        return DIGITS
    return UUID if len(text) == 36 and _UUID.fullmatch(text) else PLAIN


def digits_of(number: str) -> Digits:
    """The digits that a JSON number needs, an exponent worked out exactly and without making the number.

    Places are those written, `12.50` has two, up to WRITTEN_PLACES; more only where they are not zeros.
    """
    return _short_digits(number) if len(number) <= LONGEST else _digits(number)


def _digits(number: str) -> Digits:
    mantissa, _, exponent = number.lower().partition("e")
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    shift = int(exponent or 0) if len(exponent) <= 8 else (-FAR if exponent.startswith("-") else FAR)
    needed = fraction.rstrip("0")
    if not exponent and len(fraction) <= WRITTEN_PLACES:
        needed = fraction
    digits = whole + needed
    if not digits.strip("0"):
        return Digits(1, len(needed) if not exponent else 0)
    point = len(whole) + shift
    zeros = len(digits) - len(digits.lstrip("0"))
    last = len(digits.rstrip("0")) if exponent else len(digits)
    return Digits(max(1, point - zeros), max(0, last - point))


_short_digits = lru_cache(maxsize=1 << 14)(_digits)
