"""Exact decimals on the grids of the feeds' schemas, rounded half-even where a product or a quotient needs it."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from random import Random

# Room for the product of any two of the schemas' decimals (precision at most 38), whatever the caller's own context is.
_EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN)

AMOUNT = Decimal("0.01")
QUANTITY = Decimal("0.000001")
PRICE = Decimal("0.00000001")
PERCENT = Decimal("0.00000001")
RATE = Decimal("0.0000000001")

NO_AMOUNT = Decimal("0.00")
NO_QUANTITY = Decimal("0.000000")
NO_PERCENT = Decimal("0.00000000")
ONE = Decimal("1.0000000000")
HUNDRED = Decimal(100)


def on_grid(value: Decimal, grid: Decimal) -> Decimal:
    return _EXACT.quantize(value, grid)


def product(a: Decimal, b: Decimal, grid: Decimal = AMOUNT) -> Decimal:
    """a times b, rounded half-even once."""
    return _EXACT.quantize(_EXACT.multiply(a, b), grid)


def quotient(a: Decimal, b: Decimal, grid: Decimal) -> Decimal:
    """a divided by b, rounded half-even; zero when b is zero."""
    return _EXACT.quantize(_EXACT.divide(a, b) if b else Decimal(), grid)


def percent_of(a: Decimal, b: Decimal) -> Decimal:
    """a as percent of b, zero when b is zero."""
    return quotient(_EXACT.multiply(a, HUNDRED), b, PERCENT)


def percentage(a: Decimal, percent: Decimal, grid: Decimal = AMOUNT) -> Decimal:
    """`percent` percent of a."""
    return _EXACT.quantize(_EXACT.scaleb(_EXACT.multiply(a, percent), -2), grid)


def units(number: int, places: int) -> Decimal:
    """`number` of the grid's steps: units(123, 2) is 1.23."""
    return _EXACT.scaleb(Decimal(number), -places)


def draw(chance: Random, low: float, high: float, grid: Decimal = AMOUNT) -> Decimal:
    """A decimal between low and high on a grid. The bounds are parameters of the distribution, not amounts."""
    places = -grid.adjusted()
    scale = 10**places
    start = int(low * scale)
    return units(start + int(chance.random() * (int(high * scale) - start + 1)), places)


def split(total: Decimal, weights: list[Decimal], grid: Decimal = AMOUNT) -> list[Decimal]:
    """`total` shared out by percent weights; the last share takes the rest, so the shares add up exactly."""
    shares = [percentage(total, weight, grid) for weight in weights[:-1]]
    return [*shares, total - sum(shares, Decimal())]
