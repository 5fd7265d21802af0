"""Control totals: exact decimal sums over a feed's records, of the whole and of each fund, column by column.

Sums are carried with as many digits as they need. Python's default context rounds at 28, and decimal128 overflows at
38: columns are widened before they are summed, and what is summed is added here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal, Inexact
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from feedline.batch.manifest import FundCount, Totals
from feedline.catalog import Feed
from feedline.errors import ConfigurationError

# 76 digits of decimal256 and as many again for the number of batches; a digit lost would be an error, not a rounding.
_EXACT = Context(prec=152, traps=[Inexact])
_ZERO = Decimal()


def add_exact(values: Iterable[Decimal]) -> Decimal:
    total = _ZERO
    for value in values:
        total = _EXACT.add(total, value)
    return total


def add_totals(totals: Iterable[Totals]) -> dict[str, Decimal]:
    """The totals of several files, funds or batches together; a path that one of them lacks counts as zero there."""
    added: dict[str, Decimal] = {}
    for one in totals:
        for path, value in one.items():
            added[path] = _EXACT.add(added.get(path, _ZERO), value)
    return added


@dataclass(slots=True)
class BatchTotals:
    """Records and totals of a record batch, and of each fund in it when the feed names a fund field."""

    records: int
    totals: dict[str, Decimal]
    funds: dict[str, tuple[int, dict[str, Decimal]]] = field(default_factory=dict)


def totals_of(feed: Feed, batch: pa.RecordBatch) -> BatchTotals:
    """The feed's control totals over a batch; nulls count as zero.

    Raises ConfigurationError for a path that is no decimal or integer: a sum of floats would not be exact.
    """
    columns = {path: _summable(feed, path, column_at(batch, path)) for path in feed.control_totals}
    totals = {path: _decimal(pc.sum(column).as_py()) for path, column in columns.items()}
    found = BatchTotals(batch.num_rows, totals)
    if feed.fund_field is not None and batch.num_rows:
        names = [str(i) for i in range(len(columns))]
        table = pa.table([column_at(batch, feed.fund_field), *columns.values()], names=["fund", *names])
        sums: list[tuple[Any, ...]] = [(name, "sum") for name in names]
        grouped = table.group_by("fund").aggregate([*sums, ([], "count_all")])
        by_path = [grouped.column(f"{name}_sum").to_pylist() for name in names]
        for row, (fund, count) in enumerate(
            zip(grouped.column("fund").to_pylist(), grouped.column("count_all").to_pylist(), strict=True)
        ):
            sums_of_fund = {path: _decimal(by_path[i][row]) for i, path in enumerate(columns)}
            found.funds["" if fund is None else str(fund)] = (int(count or 0), sums_of_fund)
    return found


class RunningTotals:
    """The totals of many batches, added as they come."""

    def __init__(self) -> None:
        self.records = 0
        self.totals: dict[str, Decimal] = {}
        self._funds: dict[str, tuple[int, dict[str, Decimal]]] = defaultdict(lambda: (0, {}))

    def add(self, batch: BatchTotals) -> None:
        self.records += batch.records
        self.totals = add_totals((self.totals, batch.totals))
        for fund, (records, totals) in batch.funds.items():
            count, before = self._funds[fund]
            self._funds[fund] = (count + records, add_totals((before, totals)))

    def funds(self) -> tuple[FundCount, ...]:
        """One entry a fund, by its name."""
        return tuple(FundCount(fund, count, totals) for fund, (count, totals) in sorted(self._funds.items()))


def column_at(batch: pa.RecordBatch, path: str) -> pa.Array[Any]:
    """The column at a dotted path; null where a record on the way to it is null."""
    first, *rest = path.split(".")
    column: pa.Array[Any] = batch.column(first)
    for name in rest:
        column = pc.struct_field(column, name)
    return column


def differences(said: Totals, found: Totals) -> list[str]:
    """What to tell a reader about totals that disagree: one clause a path, empty when all agree."""
    return [
        f"{path} {format(found.get(path, _ZERO), 'f')} instead of {format(value, 'f')}"
        for path, value in said.items()
        if found.get(path, _ZERO) != value
    ]


def _decimal(value: Any) -> Decimal:
    return _ZERO if value is None else Decimal(value)


def _summable(feed: Feed, path: str, column: pa.Array[Any]) -> pa.Array[Any]:
    kind = column.type
    if pa.types.is_decimal(kind):
        # A sum of n values has up to log10(n) digits more; ten more hold a batch of any size.
        wide = pa.decimal128(38, kind.scale) if kind.precision + 10 <= 38 else pa.decimal256(76, kind.scale)
        return column if kind == wide else column.cast(wide)
    if pa.types.is_integer(kind):
        return column.cast(pa.decimal128(38, 0))
    raise ConfigurationError(
        f"the control total {path} is a {kind}: only decimals and integers add up exactly", feed=feed.name, field=path
    )


def zero_totals(paths: Iterable[str]) -> Mapping[str, Decimal]:
    return dict.fromkeys(paths, _ZERO)
