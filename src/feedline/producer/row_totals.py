"""Control totals record by record: the row path's counterpart of `feedline.batch.control_totals.totals_of`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from feedline.batch.control_totals import BatchTotals, add_exact
from feedline.catalog import Feed
from feedline.errors import ConfigurationError

_ZERO = Decimal()


def value_at(values: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path; None where a record on the way to it is None."""
    found: Any = values
    for name in path.split("."):
        if found is None:
            return None
        found = found.get(name)
    return found


@dataclass(frozen=True, slots=True)
class Amounts:
    """What one record adds to its feed's control totals; `fund` is None when the feed names no fund field."""

    by_path: Mapping[str, Decimal]
    fund: str | None = None


def amounts_of(feed: Feed, values: Mapping[str, Any]) -> Amounts:
    """A checked record's amounts; a null counts as zero.

    Raises ConfigurationError for a path that is no decimal or integer: a sum of floats would not be exact.
    """
    by_path = {path: _exact(feed, path, value_at(values, path)) for path in feed.control_totals}
    if feed.fund_field is None:
        return Amounts(by_path)
    fund = value_at(values, feed.fund_field)
    return Amounts(by_path, "" if fund is None else str(fund))


def add_amounts(totals: BatchTotals, amounts: Amounts) -> None:
    """Adds a record to a batch's totals, and to its fund's."""
    totals.records += 1
    _add(totals.totals, amounts.by_path)
    if amounts.fund is not None:
        count, sums = totals.funds.get(amounts.fund) or (0, {})
        _add(sums, amounts.by_path)
        totals.funds[amounts.fund] = (count + 1, sums)


def _add(sums: dict[str, Decimal], added: Mapping[str, Decimal]) -> None:
    for path, value in added.items():
        sums[path] = add_exact((sums.get(path, _ZERO), value))


def _exact(feed: Feed, path: str, value: Any) -> Decimal:
    if value is None:
        return _ZERO
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    raise ConfigurationError(
        f"the control total {path} is a {type(value).__name__}: only decimals and integers add up exactly",
        feed=feed.name,
        field=path,
    )
