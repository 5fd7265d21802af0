"""What a validation looked at, and whether all of it was as announced."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from feedline.errors import ValidationFailedError

Finding = int | str | Decimal


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison: `name` is its kind, `subject` what it was made of (a file, a fund, a column), or empty."""

    name: str
    subject: str
    expected: Finding
    found: Finding

    @property
    def passed(self) -> bool:
        return self.expected == self.found

    def __str__(self) -> str:
        subject = f" of {self.subject}" if self.subject else ""
        return f"{self.name}{subject}: {_text(self.found)} instead of {_text(self.expected)}"

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "subject": self.subject,
            "expected": _text(self.expected),
            "found": _text(self.found),
            "passed": self.passed,
        }


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """Every check of one delivery; it is complete when all passed."""

    delivery_id: str
    feed: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.passed)

    def raise_for_failures(self) -> None:
        """Raises ValidationFailedError telling the first failed checks and what to look at next."""
        failures = self.failures
        if failures:
            told = "; ".join(str(check) for check in failures[:5])
            more = f"; and {len(failures) - 5} more" if len(failures) > 5 else ""
            raise ValidationFailedError(
                f"{len(failures)} of {len(self.checks)} checks failed: {told}{more}. `feedline replay verify --feeds "
                f"{self.feed} --delivery {self.delivery_id}`, or `ihub_replay`, tells whether the topic has what the "
                "tables lack; what is wrong in the files their sender sends again",
                feed=self.feed,
                delivery_id=self.delivery_id,
            )

    def to_dict(self) -> dict[str, Any]:
        """As JSON that is small enough for XCom: the number of checks and the failed ones."""
        return {
            "deliveryId": self.delivery_id,
            "feed": self.feed,
            "passed": self.passed,
            "checks": len(self.checks),
            "failures": [check.to_dict() for check in self.failures],
        }


def _text(value: Finding) -> str:
    return format(value, "f") if isinstance(value, Decimal) else str(value)
