"""`feedline schema conform`: documents as a source writes them become files that a feed's codec takes."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from click.testing import CliRunner

from feedline.batch.codec import codec_for
from feedline.batch.row_check import check_record
from feedline.cli.main import main

RATES = {"2026-11-20": 0.1, "2026-11-21": None, "2026-11-22": 3}
DOCUMENTS = [
    {
        "trade-id": f"T{n}",
        "traded": f"{10 + n}-Nov-2026",
        "amount": "12345678901234567.10",
        "rates": RATES,
        "mixed": [1, "a"][n % 2],
    }
    for n in range(6)
]


def run(*arguments):
    return CliRunner().invoke(main, ["schema", *map(str, arguments)])


@pytest.fixture
def source(tmp_path):
    file = tmp_path / "trades_20261120.json"
    file.write_text(json.dumps(DOCUMENTS, indent=1))
    run("discover", file, "--output", tmp_path / "proposed")
    return file


@pytest.fixture
def schema(source):
    return source.parent / "proposed/schemas/trades.avsc"


def test_every_document_becomes_a_record_that_the_codec_takes(source, schema, tmp_path):
    answer = run("conform", schema, source, "--output", tmp_path / "landing")
    assert answer.exit_code == 0, answer.stderr
    lines = (tmp_path / "landing/trades_20261120.jsonl").read_bytes().splitlines()
    codec = codec_for(json.loads(schema.read_text()))
    assert [bool(check_record(line, codec)) for line in lines] == [True] * 6
    first = json.loads(lines[0])
    assert (first["trade_id"], first["traded"]) == ("T0", "2026-11-10")
    assert Decimal(first["amount"]) == Decimal("12345678901234567.10")
    assert {one["key"]: one["value"] and Decimal(one["value"]) for one in first["rates"]} == {
        "2026-11-20": Decimal("0.1"),
        "2026-11-21": None,
        "2026-11-22": 3,
    }


def test_what_does_not_fit_is_told_with_line_and_field_and_the_rest_is_written(source, schema, tmp_path):
    documents = [*DOCUMENTS[:2], {**DOCUMENTS[2], "traded": "2026-11-20"}]
    source.write_text("".join(f"{json.dumps(one)}\n" for one in documents))
    answer = run("conform", schema, source, "--output", tmp_path / "landing", "--format", "json")
    assert answer.exit_code == 4
    assert json.loads(answer.stdout)[0] | {"file": ""} == {"file": "", "written": 2, "refused": 1}
    assert "trades_20261120.json line 3: traded needs a date written DD-Mon-YYYY" in answer.stderr


def test_a_file_that_is_there_stays_as_it_is_and_a_broken_source_leaves_none(source, schema, tmp_path):
    out = tmp_path / "landing"
    out.mkdir()
    (out / "trades_20261120.jsonl").write_text("mine")
    assert "there already" in run("conform", schema, source, "--output", out).stderr
    assert (out / "trades_20261120.jsonl").read_text() == "mine"
    source.write_text(source.read_text()[:-40])
    other = tmp_path / "other"
    assert run("conform", schema, source, "--output", other).exit_code == 1
    assert list(other.iterdir()) == []
