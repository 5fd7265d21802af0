"""Made orders are valid, live in sequence and are the same for the same seed; what is wrong with the rest is known."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from datetime import UTC, datetime
from itertools import islice

import pytest
from click.testing import CliRunner

from feedline.cli.main import main
from feedline.errors import ConfigurationError
from feedline.orders.model import (
    Accepted,
    EntrySource,
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


def whole(count=500, seed=1, **policy):
    return list(islice(Lives(LivesPolicy(**policy), seed, lambda: NOON).whole(), count))


def test_a_whole_life_is_every_event_of_an_order_in_sequence_and_what_is_wrong_in_it_refused():
    verdicts = Counter()
    for life in whole(4_000, amend=0.3, cancel=0.1, errors=0.1):
        state = None
        for one in life:
            assert faults_of(one) == []
            verdict = apply(state, facts_of(one))
            verdicts[one.kind if isinstance(verdict, Accepted) else type(verdict)] += 1
            state = verdict.state if isinstance(verdict, Accepted) else state
    shares = {kind: round(count / verdicts.total(), 2) for kind, count in verdicts.items()}
    assert shares == pytest.approx({"NEW": 0.5, "AMEND": 0.3, "CANCEL": 0.1, Refused: 0.1}, abs=0.02)


def test_whole_lives_say_who_entered_them_and_differ_between_entries_of_one_seed():
    in_bulk, over_http = whole(50), whole(50, source=EntrySource.HTTP, client="desk-z")
    assert in_bulk == whole(50)
    assert {(one.source, one.client) for life in over_http for one in life} == {(EntrySource.HTTP, "desk-z")}
    assert {life[0].order_id for life in in_bulk}.isdisjoint(life[0].order_id for life in over_http)
    with pytest.raises(ConfigurationError, match="as many new orders"):
        whole(1, amend=0.4, cancel=0.4)


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
