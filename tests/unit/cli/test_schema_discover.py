"""`feedline schema discover`: from a sample file to everything a feed needs, and errors that say where."""

from __future__ import annotations

import gzip
import json

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from feedline.catalog import load_catalog
from feedline.cli.main import main
from feedline.metadata.ldm_files import read_ldm

TRADES = [
    {"trade_id": f"T{n:04}", "side": "BUY" if n % 2 else "SELL", "account": f"{n:06}", "amount": n + 0.25,
     "traded": "2026-11-20", "legs": [{"leg": 1, "rate": 1.5}]}
    for n in range(40)
]  # fmt: skip


@pytest.fixture
def sample(tmp_path):
    file = tmp_path / "trades_20261120.jsonl.gz"
    file.write_bytes(gzip.compress("".join(f"{json.dumps(one)}\n" for one in TRADES).encode()))
    return file


def run(*arguments):
    return CliRunner().invoke(main, ["schema", "discover", *map(str, arguments)])


def test_the_folder_that_it_writes_is_a_feed_that_the_catalogue_reads(sample, tmp_path):
    out = tmp_path / "out"
    assert run(sample, "--output", out).exit_code == 0
    head = "topics: {BNY.IN.PRD.IHUB.DEFAULT.DEFAULT: {}}\nfeeds:\n"
    (out / "feeds.yaml").write_text(head + (out / "trades.feeds.yaml").read_text())
    feed = load_catalog(out / "feeds.yaml").feed("trades")
    assert feed.business_keys == ("trade_id",)
    assert {one["name"]: one["type"] for one in feed.schema["fields"]}["account"] == "string"
    assert [one.name for one in read_ldm(out / "ldm/trades.yaml").entities] == ["trades", "trades.legs"]
    ddl = (out / "trades.sql").read_text()
    assert '"AMOUNT" NUMBER(23,4)' in ddl
    assert "TRADES_CURRENT" in ddl
    schema = json.loads((out / "trades.schema.json").read_text())
    for document in TRADES:
        jsonschema.validate(document, schema)
    assert "could be" not in (out / "trades.report.md").read_text()
    assert "enum of BUY, SELL" in (out / "trades.report.md").read_text()


def test_the_same_sample_gives_the_same_bytes(sample, tmp_path):
    for name in ("one", "two"):
        run(sample, "--output", tmp_path / name)
    one, two = (
        {path.name: path.read_bytes() for path in sorted((tmp_path / name).rglob("*.*"))} for name in ("one", "two")
    )
    assert one == two


def test_a_broken_line_is_told_with_file_and_line_and_the_rest_is_learned_from(tmp_path):
    file = tmp_path / "t.jsonl"
    file.write_text('{"id": 1}\n{"id": \n{"id": 2}\n')
    answer = run(file, "--name", "trades")
    assert answer.exit_code == 0
    assert "t.jsonl line 2: not JSON" in answer.stderr
    assert "2 samples" in answer.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", ["no sample"]),
        (b'[{"a": 1},\n {"a": 2},\n {"a" 3}]', ["t.json", "line=3", "not JSON"]),
        (b'{"a": NaN}', ["t.json", "line=1", "NaN"]),
        (b'{"a": 1, "a": 2}', ["t.json", "twice"]),
        (b"[" * 10**6, ["t.json", "levels deep"]),
        (b"\x1f\x8b\x08 no gzip", ["t.json", "cannot be read"]),
        (b'{"a": "\xff"}', ["UTF-8"]),
        (b"[1, 2]", ["JSON object", "a number"]),
        (b"{}", ["no field"]),
    ],
)
def test_what_cannot_be_read_is_an_error_that_says_where(tmp_path, text, words):
    (tmp_path / "t.json").write_bytes(text)
    answer = run(tmp_path / "t.json", "--name", "trades")
    assert answer.exit_code == 1
    assert answer.stdout == ""
    for word in words:
        assert word in answer.stderr


def test_a_name_that_no_feed_can_have_is_refused_at_once(sample):
    answer = run(sample, "--name", "My Trades")
    assert answer.exit_code == 2
    assert "lower-case" in answer.stderr


def test_keys_that_are_declared_take_the_place_of_those_guessed(sample):
    answer = run(sample, "--key", "account", "--key", "side", "--format", "json")
    assert json.loads(answer.stdout)["avro"]["businessKeys"] == ["account", "side"]
    assert "no such field" in run(sample, "--key", "acount").stderr


def test_without_a_key_there_is_a_schema_and_the_reason_why_there_is_no_table(tmp_path):
    (tmp_path / "t.json").write_text('[{"a": 1.5}, {"a": 1.5}]')
    found = json.loads(run(tmp_path / "t.json", "--name", "trades", "--format", "json").stdout)
    assert found["ldm"] is None
    assert "business keys" in found["problem"]
    assert found["avro"]["fields"][0]["name"] == "a"


def test_a_schema_that_the_producer_supplied_goes_the_same_way(sample, tmp_path):
    supplied = tmp_path / "trades.schema.json"
    supplied.write_text(run(sample, "--show", "json-schema").stdout)
    ddl = run(supplied, "--given", "json-schema", "--show", "ddl")
    assert ddl.exit_code == 0, ddl.stderr
    assert ddl.stdout == run(sample, "--show", "ddl").stdout


def test_the_catalogue_entry_can_be_put_under_feeds(sample):
    entry = yaml.safe_load("feeds:\n" + run(sample, "--show", "catalog").stdout)
    assert entry["feeds"]["trades"]["volume"]["rows"] == 40
