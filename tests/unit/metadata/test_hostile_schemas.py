"""Schemas built to hurt: every function that takes one refuses it in words, in little time and memory, or copes."""

from __future__ import annotations

import time

import psutil
import pytest

from feedline.errors import ConfigurationError
from feedline.metadata.compatibility import check_compatibility
from feedline.metadata.diff import schema_diff
from feedline.metadata.edits import edited
from feedline.metadata.ldm import ldm_of_schema
from feedline.metadata.ldm_ddl import ddl_preview
from feedline.warehouse.layout import feed_layout

# Process time: a quiet machine needs under a second for the slowest; what has no bound needs for ever.
WITHIN_CPU_S = 20.0
WITHIN_BYTES = 200 << 20


def _record(fields, name="R"):
    return {"type": "record", "name": name, "fields": fields}


def _of(kind):
    return _record([{"name": "f", "type": kind}])


def _nested(levels):
    schema = "string"
    for level in range(levels):
        schema = _record([{"name": "f", "type": schema}], f"L{level}")
    return schema


def _decimal(precision, scale=0):
    return _of({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale})


def _bomb(levels):
    """Each type uses the one before twice: as many fields as 2 to the power of the levels."""
    fields = [{"name": "a", "type": _record([{"name": "x", "type": "int"}], "T0")}]
    for level in range(1, levels):
        twice = [{"name": side, "type": f"T{level - 1}"} for side in ("l", "r")]
        fields.append({"name": f"b{level}", "type": _record(twice, f"T{level}")})
    return _record(fields)


REFUSED = {
    "recursive": _of(["null", "R"]),
    "recursive through an array": _of({"type": "array", "items": "R"}),
    "25,000 fields": _record([{"name": f"f{n}", "type": "string"} for n in range(25_000)]),
    "100 levels": _nested(100),
    "5,000 levels": _nested(5_000),
    "types that multiply": _bomb(60),
    "precision 0": _decimal(0),
    "precision below 0": _decimal(-3),
    "a scale over the precision": _decimal(4, 9),
    "a text for a precision": _decimal("many"),
    "a truth for a precision": _decimal(precision=True),
    "a type that is not there": _of("Nowhere"),
    "no fields": {"type": "record", "name": "R"},
    "aliases that are a number": _record([{"name": "f", "type": "int", "aliases": 7}]),
    "symbols that are a number": _of({"type": "enum", "name": "E", "symbols": 7}),
    "keys that are a number": {**_of("int"), "businessKeys": 7},
    "an array of nothing": _of({"type": "array"}),
    "nothing": {},
    "a list": [[[]]],
    "a number": 7,
}
# What Avro allows and no table can hold, or what a table copes with: either is fine.
ENDURED = {
    "10,000 fields": _record([{"name": f"f{n}", "type": "string"} for n in range(10_000)]),
    "a huge enum": _of({"type": "enum", "name": "E", "symbols": [f"S{n}" for n in range(50_000)]}),
    "precision 10^9": _decimal(10**9),
    "names of every alphabet": _record([{"name": n, "type": "int"} for n in ("имя", "名前", "اسم", "a b", "", "🙂")]),
    "the same field twice": _record([{"name": "f", "type": "int"}] * 2),
    "a logical type that is a list": _of({"type": "int", "logicalType": [1]}),
}
GOOD = _of("int")

TAKERS = {
    "diff to it": lambda schema, _: schema_diff(GOOD, schema),
    "compatibility": lambda schema, _: check_compatibility(schema, [(1, GOOD)]),
    "edits": lambda schema, _: edited(schema, [{"path": "f", "doc": "x"}]),
    "model": ldm_of_schema,
}


@pytest.fixture
def bounded():
    process = psutil.Process()
    before, started = process.memory_info().rss, time.process_time()
    yield
    assert time.process_time() - started < WITHIN_CPU_S
    assert process.memory_info().rss - before < WITHIN_BYTES


@pytest.mark.parametrize("take", TAKERS.values(), ids=list(TAKERS))
@pytest.mark.parametrize("schema", REFUSED.values(), ids=list(REFUSED))
def test_it_is_refused_in_words(schema, take, feed, bounded):
    with pytest.raises(ConfigurationError) as refused:
        take(schema, feed)
    assert 20 < len(str(refused.value)) < 600


@pytest.mark.parametrize("schema", ENDURED.values(), ids=list(ENDURED))
def test_it_is_endured(schema, feed, bounded):
    said = []
    for take in TAKERS.values():
        try:
            take(schema, feed)
        except ConfigurationError as refused:
            said.append(str(refused))
    assert all(len(one) < 600 for one in said)


# What the layout of tables does not look at, or can hold.
NO_PART = ("25,000 fields", "aliases that are a number", "symbols that are a number", "keys that are a number")
TABLELESS = {name: schema for name, schema in REFUSED.items() if name not in NO_PART}


@pytest.mark.parametrize(
    "schema", [*TABLELESS.values(), _decimal(39), _decimal(10**9)], ids=[*TABLELESS, "precision 39", "precision 10^9"]
)
def test_no_table_is_made_of_it(schema, feed, bounded):
    with pytest.raises(ConfigurationError):
        feed_layout(feed, schema)


def test_statements_of_many_fields_are_made(feed, bounded):
    schema = ENDURED["10,000 fields"] | {"fields": [*feed.schema["fields"], *ENDURED["10,000 fields"]["fields"]]}
    statements = ddl_preview(feed, feed_layout(feed, schema), ldm_of_schema(schema, feed))
    assert '"F9999" VARCHAR' in "\n".join(statements)
