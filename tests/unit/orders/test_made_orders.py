"""Made orders are valid, live in sequence and are the same for the same seed; what is wrong with the rest is known."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from feedline.cli.main import main
from feedline.errors import ConfigurationError
from feedline.orders.model import (
    Accepted,
    Parked,
    Product,
    Refused,
    apply,
    decode_event,
    encode_event,
    facts_of,
    faults_of,
)
from feedline.orders.testdata.hints import make_value, text_of
from feedline.orders.testdata.lives import GAP, INVALID, REUSED, Lives, LivesPolicy

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def made(count=3_000, seed=1, **policy):
    return list(Lives(LivesPolicy(**policy), seed, lambda: NOON).stream(count))


def test_every_event_is_valid_and_the_next_of_its_order_but_those_wrong_on_purpose():
    states, kinds = {}, Counter()
    for one, wrong in made(errors=0.1):
        kinds[wrong or one.kind] += 1
        if wrong == INVALID:
            assert faults_of(one)
            continue
        assert faults_of(one) == []
        assert decode_event(encode_event(one, 1)) == one
        verdict = apply(states.get(one.order_id), facts_of(one))
        if wrong:
            assert isinstance(verdict, {GAP: Parked, REUSED: Refused}[wrong]), (wrong, verdict)
        else:
            assert isinstance(verdict, Accepted), verdict
            states[one.order_id] = verdict.state
    assert set(kinds) == {"NEW", "AMEND", "CANCEL", GAP, REUSED, INVALID}
    assert 200 < kinds[GAP] + kinds[REUSED] + kinds[INVALID] < 400


def test_equal_seeds_are_equal_orders_and_the_mix_is_kept():
    assert made(200) == made(200)
    assert made(200) != made(200, seed=2)
    assert {one.product for one, _ in made(200, mix={Product.OPTION: 1.0})} == {Product.OPTION}


def test_a_hint_is_kept_to():
    chance = random.Random(1)
    for pattern in ("ACC[0-9]{7}", "[A-Z]{3,4}", r"x-\d{2}[ab_]"):
        assert re.fullmatch(pattern, text_of(pattern, chance))
    for pattern in ("(a|b)", "a*"):
        with pytest.raises(ConfigurationError):
            text_of(pattern, chance)
    kind = {"type": "bytes", "logicalType": "decimal", "scale": 2, "arg.properties": {"range": {"min": 1, "max": 2}}}
    drawn = [make_value(["null", kind], chance, NOON) for _ in range(500)]
    assert min(drawn) >= 1
    assert max(drawn) <= 2
    assert {one.as_tuple().exponent for one in drawn} == {-2}


def test_the_command_writes_a_file_and_tells_what_is_in_it(tmp_path):
    out = tmp_path / "orders.jsonl"
    command = ["datagen", "orders", "--count", "50", "--errors", "0.2", "--to", "file", "--out", str(out)]
    result = CliRunner().invoke(main, [*command, "--format", "json"])
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert sum(json.loads(result.stdout)["counts"].values()) == len(lines) == 50
    assert all(isinstance(line["event"]["sequence"], int) for line in lines)
    amounts = [line["event"]["order"]["quantity"] for line in lines if line["event"]["order"]]
    assert all(isinstance(amount, str) for amount in amounts if amount is not None)
