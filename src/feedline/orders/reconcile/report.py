"""What a reconciliation looked at, and whether it balances."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from feedline.errors import ValidationFailedError

# Orders named in one line of a report; the count says how many there are.
NAMED = 20


@dataclass(frozen=True, slots=True)
class Line:
    """One comparison: expected, of the side that decides, and found; orders: those for which the two differ, the first
    ones by name."""

    book: str
    what: str
    expected: int | Decimal
    found: int | Decimal
    orders: tuple[str, ...] = ()
    differing: int = 0

    @property
    def balances(self) -> bool:
        return self.expected == self.found and not self.differing


def line(book: str, what: str, expected: int | Decimal, found: int | Decimal, differing: Iterable[str] = ()) -> Line:
    orders = sorted(set(differing))
    return Line(book, what, expected, found, tuple(orders[:NAMED]), len(orders))


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """All lines of a business date."""

    business_date: date
    lines: tuple[Line, ...]

    @property
    def balances(self) -> bool:
        return all(one.balances for one in self.lines)

    def raise_unless_balanced(self) -> None:
        """Raises ValidationFailedError naming the lines and orders that do not balance."""
        wrong = [one for one in self.lines if not one.balances]
        if wrong:
            told = "; ".join(
                f"{one.book}, {one.what}: {one.found} instead of {one.expected}"
                + (f" ({one.differing} orders: {', '.join(one.orders[:3])})" if one.orders else "")
                for one in wrong[:5]
            )
            raise ValidationFailedError(
                f"{len(wrong)} of {len(self.lines)} lines of the orders of {self.business_date} do not balance: {told}"
            )

    def to_dict(self) -> dict[str, Any]:
        """As JSON that is small enough for XCom."""
        return {
            "business_date": self.business_date.isoformat(),
            "balances": self.balances,
            "lines": [
                {
                    "book": one.book,
                    "what": one.what,
                    "expected": _plain(one.expected),
                    "found": _plain(one.found),
                    "balances": one.balances,
                    "differing": one.differing,
                    "orders": list(one.orders),
                }
                for one in self.lines
            ],
        }


def _plain(value: int | Decimal) -> int | str:
    return format(value, "f") if isinstance(value, Decimal) else value
