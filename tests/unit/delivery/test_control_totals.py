"""Control totals: exact, whatever their size."""

from __future__ import annotations

from dataclasses import replace
from decimal import Context, Decimal, localcontext

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedline.batch.control_totals import RunningTotals, add_exact, add_totals, differences, totals_of
from feedline.catalog import load_catalog
from feedline.errors import ConfigurationError

WIDE = Context(prec=99)
FEED = load_catalog().feed("positions")


def _feed(kind, paths=("amount",)):
    fields = [{"name": "amount", "type": kind}, {"name": "fund", "type": "string"}]
    schema = {"type": "record", "name": "X", "businessKeys": ["fund"], "fields": fields}
    return replace(FEED, schema=schema, control_totals=paths, fund_field="fund")


def _batch(values, kind):
    return pa.record_batch(
        [pa.array([v for _, v in values], kind), pa.array([f for f, _ in values], pa.string())], ["amount", "fund"]
    )


def _digits(precision):
    return st.integers(-(10**precision) + 1, 10**precision - 1)


@given(
    precision=st.integers(1, 38),
    data=st.data(),
)
def test_sums_of_decimals_of_any_precision_are_exact(precision, data):
    values = data.draw(
        st.lists(st.tuples(st.sampled_from("ab"), st.none() | _digits(precision)), min_size=1, max_size=50)
    )
    scaled = [(fund, None if v is None else Decimal(v)) for fund, v in values]
    found = totals_of(_feed("bytes"), _batch(scaled, pa.decimal128(precision, 0)))
    assert int(found.totals["amount"]) == sum(v or 0 for _, v in values)
    for fund, (count, totals) in found.funds.items():
        mine = [v or 0 for name, v in values if name == fund]
        assert (count, int(totals["amount"])) == (len(mine), sum(mine))


def test_the_largest_decimals_add_up_without_overflow():
    largest = Decimal("9" * 38)
    found = totals_of(_feed("bytes"), _batch([("a", largest)] * 1000, pa.decimal128(38, 0)))
    assert int(found.totals["amount"]) == int("9" * 38) * 1000
    running = RunningTotals()
    for _ in range(20):
        running.add(found)
    assert int(running.totals["amount"]) == int("9" * 38) * 20_000
    assert int(running.funds()[0].control_totals["amount"]) == int("9" * 38) * 20_000


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=18, min_value=-(10**20), max_value=10**20)))
def test_adding_does_not_depend_on_the_ambient_precision(values):
    with localcontext(prec=3):
        total = add_exact(values)
    assert int(total.scaleb(18, WIDE)) == sum(int(value.scaleb(18, WIDE)) for value in values)


def test_a_float_is_refused_since_it_would_not_add_up_exactly():
    with pytest.raises(ConfigurationError, match="only decimals and integers"):
        totals_of(_feed("double"), _batch([("a", 0.1)], pa.float64()))


def test_records_without_a_fund_are_counted_under_no_name():
    found = totals_of(_feed("long"), _batch([(None, 1), ("a", 2)], pa.int64()))
    assert {fund: count for fund, (count, _) in found.funds.items()} == {"": 1, "a": 1}


def test_differences_are_told_exactly():
    said = {"a": Decimal("1.10"), "b": Decimal(2)}
    assert differences(said, {"a": Decimal("1.1"), "b": Decimal("2.0")}) == []
    assert differences(said, {"a": Decimal("1.11")}) == ["a 1.11 instead of 1.10", "b 0 instead of 2"]
    assert add_totals([{"a": Decimal(1)}, {"a": Decimal(2), "b": Decimal(3)}]) == {"a": Decimal(3), "b": Decimal(3)}
