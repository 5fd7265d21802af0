"""Identifiers carry check digits that a consumer may verify; amounts are rounded as bankers do."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedline.datagen.chance import stream
from feedline.datagen.exact import AMOUNT, draw, percentage, product, quotient, split
from feedline.datagen.identifiers import cusip, iban, isin, lei, sedol

SEDOL_WEIGHTS = (1, 3, 1, 7, 3, 9, 1)


def as_digits(code: str) -> str:
    return "".join(str(int(character, 36)) for character in code)


@pytest.mark.parametrize(
    ("country", "national", "expected"),
    [("US", "037833100", "US0378331005"), ("GB", "000263494", "GB0002634946"), ("AU", "0000XVGZA", "AU0000XVGZA3")],
)
def test_isin_check_digits_are_those_of_real_securities(country: str, national: str, expected: str) -> None:
    assert isin(country, national) == expected


@given(st.integers())
def test_made_identifiers_pass_their_own_checks(number: int) -> None:
    chance = stream("test", number)
    assert int(as_digits(lei(chance))) % 97 == 1
    code = iban("DE", f"{abs(number) % 10**18:018d}")
    assert int(as_digits(code[4:] + code[:4])) % 97 == 1
    made = sedol(chance)
    assert sum(w * int(c, 36) for w, c in zip(SEDOL_WEIGHTS, made, strict=True)) % 10 == 0
    body = cusip(chance)
    doubled = (int(character, 36) * (1 + place % 2) for place, character in enumerate(body[:8]))
    assert (sum(sum(divmod(value, 10)) for value in doubled) + int(body[8])) % 10 == 0


@pytest.mark.parametrize(
    ("a", "b", "rounded"), [("0.5", "0.01", "0.00"), ("1.5", "0.01", "0.02"), ("2.5", "0.01", "0.02")]
)
def test_a_product_is_rounded_half_to_even(a: str, b: str, rounded: str) -> None:
    assert product(Decimal(a), Decimal(b)) == Decimal(rounded)


def test_a_product_of_the_largest_decimals_is_exact() -> None:
    quantity, price = Decimal("999999999999999999.999999"), Decimal("9999999999999999.99999999")
    exact = int("999999999999999999999999") * int("999999999999999999999999")
    assert product(quantity, price, Decimal("1e-14")) == Decimal(f"{exact}e-14")


def test_dividing_by_nothing_gives_nothing() -> None:
    assert quotient(Decimal(5), Decimal(), AMOUNT) == 0


@given(st.decimals(-(10**12), 10**12, places=2), st.lists(st.integers(1, 60), min_size=1, max_size=5))
def test_shares_add_up_to_the_whole(total: Decimal, weights: list[int]) -> None:
    shares = split(total, [Decimal(weight) for weight in weights])
    assert sum(shares) == total
    assert shares[:-1] == [percentage(total, Decimal(weight)) for weight in weights[:-1]]


@given(st.integers(), st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_draw_lies_on_the_grid_between_its_bounds(seed: int, low: int, width: int) -> None:
    drawn = draw(stream(seed), low, low + width)
    assert low <= drawn <= low + width
    assert drawn == drawn.quantize(AMOUNT)
