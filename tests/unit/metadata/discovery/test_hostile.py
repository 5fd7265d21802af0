"""Samples and schemas built to hurt: each is refused in words or coped with, in bounded memory."""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc
from contextlib import suppress
from itertools import product

import pytest

from feedline.errors import ConfigurationError
from feedline.metadata.discovery import DiscoveryPolicy, Refused, discover, samples, samples_of, samples_of_texts
from feedline.metadata.json_schema import avro_of, json_schema_of

MIB = 1 << 20
# Process time: a quiet machine needs a second or two for the slowest; what has no bound needs for ever.
WITHIN_CPU_S = 30.0


def nested(levels, inner="1", pair=('{"a":', "}")):
    return pair[0] * levels + inner + pair[1] * levels


REFUSED = {
    "depth 101": (nested(102), "levels deep"),
    "depth of arrays": ('{"a":' + nested(200, "1", ("[", "]")) + "}", "levels deep"),
    "a bomb of brackets": ("[" * 10**6, "levels deep"),
    "a bomb of objects": ('{"a":' * 10**6, "levels deep"),
    "a bomb of values": ('{"a":[' + "1," * 1_100_000 + "1]}", "values"),
    "NaN": ('{"a": NaN}', "NaN"),
    "Infinity": ('{"a": -Infinity}', "Infinity"),
    "the same key twice": ('{"a": 1, "\\u0061": 2}', "twice"),
    "half a surrogate pair": ('{"a": "\\ud800"}', "surrogate"),
    "half a surrogate pair in a key": ('{"\\uDfff": 1}', "surrogate"),
    "not UTF-8": (b'{"a": "\xff"}', "UTF-8"),
    "too large": ('{"a": "' + "x" * (9 * MIB) + '"}', "bytes"),
    "cut off": ('{"a": 1', "not JSON"),
    "two values": ('{"a": 1} {"a": 2}', "not JSON"),
    "a control character": ('{"a": "\x01"}', "not JSON"),
    "a leading zero": ('{"a": 01}', "not JSON"),
    "a comment": ('{"a": 1} // no', "not JSON"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "word"), REFUSED.values(), ids=list(REFUSED))
def test_a_sample_that_cannot_be_read_is_refused_and_the_others_count(text, word):
    started = time.process_time()
    texts = ['{"a": 1}', text, b'\xef\xbb\xbf{"a": 2}']
    refused = [one for one in samples_of_texts(texts, source="t") if isinstance(one, Refused)]
    assert [one.line for one in refused] == [2]
    assert word in refused[0].reason
    assert len(refused[0].reason) < 300
    assert discover(samples_of_texts(texts)).samples == 2
    assert time.process_time() - started < WITHIN_CPU_S


ALPHABETS = [
    "имя",
    "名前",
    "اسم",
    "ชื่อ",
    "a b",
    "",
    "🙂",
    "﷽",
    "a\u0301",
    "\u202eevil",
    "\0",
    "'; DROP TABLE x; --",
    '"',
    "__proto__",
]

CASES = ("aA", "bB", "cC", "dD", "eE", "fF", "gG", "hH")
COPED = {
    "depth 100": nested(100),
    "10,000 fields": json.dumps({f"field number {n}": n for n in range(10_000)}),
    "10,000 keys below the top": json.dumps({"id": 1, "data": {f"k{n}": n for n in range(10_000)}}),
    "names of every alphabet": json.dumps(dict.fromkeys(ALPHABETS, 1)),
    "a name of 100,000 characters": json.dumps({"x" * 100_000: 1}),
    "names that differ in case": json.dumps(dict.fromkeys(map("".join, product(*map(str.swapcase, CASES))), 1)),
    "a number of a million digits": '{"a": ' + "9" * 10**6 + "}",
    "an exponent of a million digits": '{"a": 1e' + "9" * 10**6 + "}",
    "a fraction of a million digits": '{"a": 0.' + "1" * 10**6 + "}",
    "1e400 and 1e-400": '{"a": 1e400, "b": 1e-400, "c": -0, "d": -0.0e-0}',
    "dates of no calendar": '{"a": "2026-02-30", "b": "99999-01-01", "c": "0000-00-00", "d": "24:61:61"}',
    "a text that could be a symbol, 50,000 times another": json.dumps({"a": [f"S{n}" for n in range(50_000)]}),
    "a text of a megabyte": json.dumps({"a": "1" * MIB}),
    "nothing but nulls": '{"a": null, "b": [null], "c": [[]], "d": [{}]}',
}  # fmt: skip


@pytest.mark.parametrize("text", COPED.values(), ids=list(COPED))
@pytest.mark.parametrize("target", ["feed", "avro"])
def test_a_hostile_sample_gives_a_schema_that_leads_to_its_json_schema_and_back(text, target):
    started = time.process_time()
    found = discover(samples_of_texts([text]), policy=DiscoveryPolicy(target=target))
    assert found.samples == 1
    assert all(len(one.reason) < 1_000 and len(one.path) < 20_000 for one in found.decisions)
    assert avro_of(json_schema_of(found.avro)) == found.avro
    assert time.process_time() - started < WITHIN_CPU_S


@pytest.mark.parametrize(
    "texts",
    [
        [json.dumps({f"k{n}": 1}) for n in range(20_000)],
        [json.dumps({"a": {f"k{n}{m}": {f"l{i}": 1 for i in range(40)} for m in range(9)}}) for n in range(400)],
    ],
    ids=["keys at the top that are data", "maps of maps"],
)
def test_keys_without_end_are_a_map_or_an_error_and_never_a_schema_without_end(texts):
    with suppress(ConfigurationError):
        assert len(discover(samples_of_texts(texts)).decisions) < 100


def test_a_gzip_file_that_unpacks_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "FREE_BYTES", MIB)
    file = tmp_path / "bomb.jsonl.gz"
    file.write_bytes(gzip.compress(b'{"a": 1}\n' + b" " * (8 * MIB)))
    with pytest.raises(ConfigurationError, match="unpacks"):
        list(samples_of(file))


def test_memory_does_not_grow_with_the_file(tmp_path):
    """The bound that a file of a gigabyte rests on: docs/discovery.md has that one."""

    def peak(records):
        file = tmp_path / f"{records}.jsonl"
        with file.open("w") as out:
            for n in range(records):
                row = {
                    "id": f"T{n:09}",
                    "amount": n / 7,
                    "on": f"2026-11-{1 + n % 28:02}",
                    "legs": [{"leg": n, "x": f"{n}" * 400}],
                }
                out.write(json.dumps(row) + "\n")
        tracemalloc.start()
        discover(samples_of(file))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    small, large = peak(3_000), peak(15_000)
    # Of what each sample was, nothing is kept but in caches with a bound.
    assert large < small + 8 * MIB


def of(schema, **more):
    return {"type": "object", "properties": {"a": schema}, **more}


def twice(reference):
    return {"type": "object", "properties": {key: {"$ref": reference} for key in "ab"}}


ROUND = {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}
DOUBLING = {f"d{n}": twice(f"#/$defs/d{n + 1}") for n in range(60)} | {"d60": {"type": "string"}}

JSON_SCHEMAS = {
    "contains itself": of({"$ref": "#"}),
    "a reference to nowhere": of({"$ref": "#/$defs/no"}),
    "a reference that leads round": {"$ref": "#/$defs/a", "$defs": ROUND},
    "another document": of({"$ref": "https://example.com/x"}),
    "doubles at every level": {"$ref": "#/$defs/d0", "$defs": DOUBLING},
    "no object": {"type": "string"},
    "a type that JSON has not": of({"type": "money"}),
    "properties that are a list": {"type": "object", "properties": [1]},
    "a type of a type": {"type": {"type": {}}},
    "anyOf of nothing": of({"anyOf": []}),
    "required that is a number": of({"type": "string"}, required=7),
    "a note that is none": of({"type": "object", "x-avro": {"type": {"jsonForm": "map"}}}),
    "notes that are a text": of({"type": "string"}, **{"x-avro": {"fields": "a"}}),
}


@pytest.mark.parametrize("schema", JSON_SCHEMAS.values(), ids=list(JSON_SCHEMAS))
def test_a_json_schema_that_cannot_be_avro_is_refused_in_words(schema):
    started = time.process_time()
    with pytest.raises(ConfigurationError) as raised:
        avro_of(schema)
    assert len(str(raised.value)) < 600
    assert time.process_time() - started < WITHIN_CPU_S


@pytest.mark.parametrize(
    "bounds",
    [
        {"multipleOf": 1e-300},
        {"multipleOf": 0},
        {"multipleOf": -1},
        {"minimum": 1e300, "maximum": 1e308},
        {"minimum": 10**400, "maximum": 10**500},
        {"minimum": "a", "maximum": None},
        {"multipleOf": 0.01, "minimum": -1, "maximum": 10**9},
    ],
)
@pytest.mark.parametrize("kind", ["number", "integer"])
def test_no_bound_of_a_number_makes_it_a_float_or_a_decimal_that_no_table_has(kind, bounds):
    made = avro_of({"type": "object", "properties": {"a": {"type": kind, **bounds}}, "required": ["a"]})["fields"][0][
        "type"
    ]
    assert made not in ("float", "double")
    if isinstance(made, dict) and made.get("logicalType") == "decimal":
        assert 1 <= made["precision"] <= 38
        assert 0 <= made["scale"] <= made["precision"]
