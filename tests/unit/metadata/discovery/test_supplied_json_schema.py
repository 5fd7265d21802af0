"""A JSON Schema that a producer supplied: its Avro schema, and the way back, word for word."""

from __future__ import annotations

import json
from decimal import Decimal

import fastavro
import pytest

from feedline.errors import ConfigurationError, SchemaMismatchError
from feedline.metadata.discovery import conformer
from feedline.metadata.draft import with_keys
from feedline.metadata.edits import edited
from feedline.metadata.json_schema import avro_of, json_schema_of

LEG = {"type": "object", "properties": {"leg": {"type": "integer"}}}
PARTY = {"type": "object", "title": "Party", "properties": {"name": {"type": "string"}}, "required": ["name"]}
TRADE = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "title": "Trade",
    "properties": {
        "trade-id": {"type": "string", "pattern": "^T[0-9]+$", "description": "Its number."},
        "side": {"type": "string", "enum": ["BUY", "SELL"]},
        "amount": {"type": "number", "multipleOf": 0.01, "minimum": -1_000_000, "maximum": 1_000_000},
        "rate": {"type": "number"},
        "count": {"type": "integer", "minimum": 0},
        "big": {"type": "integer", "maximum": 10**25},
        "on": {"type": "string", "format": "date"},
        "note": {"type": ["string", "null"], "maxLength": 10},
        "any": {},
        "nothing": {"type": "null"},
        "legs": {"type": "array", "minItems": 1, "items": LEG},
        "tags": {"type": "object", "additionalProperties": {"type": "string"}},
        "either": {"oneOf": [{"type": "integer"}, {"type": "string"}]},
        "buyer": {"$ref": "#/$defs/party"},
        "seller": {"$ref": "#/$defs/party"},
    },
    "required": ["trade-id", "side", "amount"],
    "$defs": {"party": PARTY},
}  # fmt: skip


@pytest.fixture
def avro():
    return avro_of(TRADE)


def test_it_comes_back_word_for_word_and_leads_to_the_same_avro(avro):
    fastavro.parse_schema(json.loads(json.dumps(avro)))
    assert json_schema_of(avro) == TRADE
    assert avro_of(json_schema_of(avro)) == avro


def test_business_keys_do_not_lose_it(avro):
    keyed = with_keys(avro, ["trade_id"])
    back = json_schema_of(keyed)
    assert {word: part for word, part in back.items() if word != "x-avro"} == TRADE
    assert avro_of(back) == keyed


def test_of_a_schema_that_was_changed_since_it_is_written_anew(avro):
    changed = edited(avro, [{"path": "", "add": "desk", "type": "string"}])
    back = json_schema_of(changed)
    assert "desk" in back["properties"]
    assert back["properties"]["trade-id"]["pattern"] == "^T[0-9]+$"
    again = avro_of(back)
    assert {**again, "jsonSchema": 0} == {**changed, "jsonSchema": 0}


def test_money_is_a_decimal_with_the_places_of_its_step_and_the_digits_of_its_bounds(avro):
    kinds = {one["name"]: one["type"] for one in avro["fields"]}
    assert {kinds["amount"][word] for word in ("logicalType",)} == {"decimal"}
    assert (kinds["amount"]["precision"], kinds["amount"]["scale"]) == (9, 2)
    assert (kinds["rate"][1]["precision"], kinds["rate"][1]["scale"]) == (38, 10)
    assert kinds["big"][1]["precision"] == 26
    assert "double" not in json.dumps(avro)


def test_documents_conform_to_it(avro):
    conform = conformer(avro)
    record = conform({"trade-id": "T1", "side": "BUY", "amount": Decimal("12.50"), "buyer": {"name": "A"}})
    assert (record["trade_id"], record["amount"], record["buyer"]) == ("T1", Decimal("12.50"), {"name": "A"})
    for wrong in ({"side": "HOLD"}, {"amount": Decimal("1.005")}, {"amonut": 1}, {"legs": {}}):
        with pytest.raises(SchemaMismatchError):
            conform({"trade-id": "T1", "side": "BUY", "amount": 1, **wrong})


@pytest.mark.parametrize("word", ["allOf", "not"])
def test_what_avro_has_no_type_for_is_refused_with_its_path(word):
    schema = {"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {word: [{}]}}}}}
    with pytest.raises(ConfigurationError) as raised:
        avro_of(schema)
    assert raised.value.where.field == "a.b"
