"""Micro-batches as JSON: exact on the way back, refused when they are not what they say, described by their schema."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import jsonschema
import pytest

from feedline.batch.codec import codec_for
from feedline.batch.json_batch import decode_json_batch, encode_json_batch, json_schema_of
from feedline.batch.warm_up import compile_kernels
from feedline.errors import CorruptBatchError

RECORD: dict[str, Any] = {
    "type": "record",
    "name": "Trade",
    "namespace": "desk",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 10}},
        {"name": "side", "type": ["null", {"type": "enum", "name": "Side", "symbols": ["BUY", "SELL"]}]},
        {"name": "legs", "type": {"type": "array", "items": ["null", "int"]}, "default": []},
        {"name": "on", "type": ["null", {"type": "int", "logicalType": "date"}], "default": None},
    ],
}
BATCH = {
    "type": "record",
    "name": "TradeBatch",
    "namespace": "desk",
    "doc": "Many trades.",
    "fields": [{"name": "records", "type": {"type": "array", "items": RECORD}}],
}
CODEC = codec_for(RECORD)
LINES = [
    b'{"id":"a,]}","amount":1234567890123456789.0123456789,"side":"BUY","legs":[1,null]}',
    b' {"id":"b","amount":"-0.1","side":null} \r',
]
VALUES = [
    {"id": "a,]}", "amount": Decimal("1234567890123456789.0123456789"), "side": "BUY", "legs": [1, None], "on": None},
    {"id": "b", "amount": Decimal("-0.1000000000"), "side": None, "legs": [], "on": None},
]


def test_records_come_back_exactly_with_their_prefix_put_before() -> None:
    message = encode_json_batch(LINES, b"\0\0\0\0\5")
    assert message.startswith(b'\0\0\0\0\5{"records":[{')
    rows = decode_json_batch([message[5:], memoryview(message)[5:]], [2, 2], CODEC)
    assert rows.schema.equals(CODEC.arrow_schema)
    assert rows.to_pylist() == VALUES * 2


def test_another_writers_spacing_is_read() -> None:
    text = b'\n{ "records" : [\n' + b",\n".join(line.replace(b",", b",\n") for line in LINES) + b"\n]\n}\n"
    text = text.replace(b"a,\n]}", b"a,]}")
    assert decode_json_batch([text], [2], CODEC).to_pylist() == VALUES


def test_an_empty_batch_has_no_row() -> None:
    assert encode_json_batch([]) == b'{"records":[]}'
    assert decode_json_batch([b'{"records":[]}', b'{"records": [ ] }'], [0, 0], CODEC).num_rows == 0


@pytest.mark.parametrize(
    ("body", "reason", "field"),
    [
        (b"", "is not", None),
        (b"[]", "is not", None),
        (b'{"records":[1', "is not", None),
        (b'{"records":[{"id":"]}', "is not", None),
        (b'{"records":[[]]]}', "is not", None),
        (b'{"records":[{}],"more":[]}', "is not|cannot be decoded", None),
        (b'{"records":[{},{}]}', "holds 2 records, its header says 1", None),
        (b'{"records":[1]}', "at its record 0: needs an object", None),
        (b'{"records":[{"id":1,"amount":1,"side":null}]}', "at its record 0: needs text", "id"),
        (b'{"records":[{"id":"a",\n"amount":0.12345678901,"side":null}]}', "digits after the point", "amount"),
    ],
)
def test_a_body_that_lies_is_refused(body: bytes, reason: str, field: str | None) -> None:
    with pytest.raises(CorruptBatchError, match=reason) as caught:
        decode_json_batch([body], [1], CODEC)
    assert caught.value.where.field == field


def test_an_item_left_out_between_commas_is_refused() -> None:
    with pytest.raises(CorruptBatchError, match="at its record 1"):
        decode_json_batch([b'{"records":[%s,,%s]}' % (LINES[1].strip(), LINES[1].strip())], [3], CODEC)


def test_the_json_schema_takes_what_the_codec_takes_and_refuses_other_fields() -> None:
    schema = json_schema_of(BATCH)
    assert (schema["title"], schema["description"]) == ("desk.TradeBatch", "Many trades.")
    jsonschema.Draft7Validator.check_schema(schema)
    check = jsonschema.Draft7Validator(schema)
    check.validate({"records": [json.loads(line) for line in LINES]})
    for wrong in (
        {"id": "a"},
        {"id": "a", "amount": "x"},
        {"id": "a", "amount": 1, "side": "HOLD"},
        {"id": "a", "amount": 1, "legs": [2**31]},
        {"id": "a", "amount": 1, "more": 1},
    ):
        assert not check.is_valid({"records": [wrong]})


def test_every_kernel_can_be_compiled_ahead() -> None:
    compile_kernels()
