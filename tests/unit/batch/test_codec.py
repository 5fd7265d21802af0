"""The codec's edges: framing, projection, what a hostile body may claim, threads, forks and fresh processes."""

from __future__ import annotations

import io
import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import fastavro
import pyarrow as pa
import pytest

from feedline.batch.codec import RecordCodec, avro_long, codec_for
from feedline.batch.json_lines import sift_records
from feedline.errors import ConfigurationError, CorruptBatchError, SchemaMismatchError

FEE = {
    "type": "record",
    "name": "Fee",
    "fields": [
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["CUSTODY", "TAX"]}},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 4}},
        {"name": "tags", "type": {"type": "array", "items": ["null", "string"]}},
    ],
}
SCHEMA = {
    "type": "record",
    "name": "Holding",
    "fields": [
        {"name": "account", "type": "string"},
        {"name": "fees", "type": ["null", {"type": "array", "items": FEE}]},
        {"name": "first_fee", "type": ["Fee", "null"]},
        {"name": "units", "type": "long"},
    ],
}
CODEC = codec_for(SCHEMA)
RECORDS: list[dict[str, Any]] = [
    {
        "account": f"ACC-{i}",
        "fees": None
        if i % 3 == 0
        else [{"kind": "TAX", "amount": Decimal(f"{i}.5000"), "tags": ["a", None]}] * (i % 4),
        "first_fee": None if i % 2 else {"kind": "CUSTODY", "amount": Decimal("-1.0000"), "tags": []},
        "units": i,
    }
    for i in range(20)
]
BATCH = fastavro.parse_schema(
    {
        "type": "record",
        "name": "HoldingBatch",
        "fields": [{"name": "records", "type": {"type": "array", "items": SCHEMA}}],
    }
)


def rows(records: list[dict[str, Any]] = RECORDS) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(records, schema=CODEC.arrow_schema)


def plain(fields: list[dict[str, Any]]) -> RecordCodec:
    return codec_for({"type": "record", "name": "R", "fields": fields})


def test_an_encoded_batch_is_the_prefix_and_what_any_avro_reader_reads() -> None:
    body = CODEC.encode(rows(), 3, 9, prefix=b"\0\0\0\0\7")
    assert body[:5] == b"\0\0\0\0\7"
    assert fastavro.schemaless_reader(io.BytesIO(body[5:]), BATCH, None) == {"records": RECORDS[3:9]}


def test_an_empty_range_is_an_empty_array() -> None:
    assert CODEC.encode(rows(), 4, 4) == b"\0"
    assert CODEC.encode(rows([])) == b"\0"
    assert CODEC.decode([b"\0"], [0]).num_rows == 0
    assert CODEC.decode([]).schema.equals(CODEC.arrow_schema)


def test_bodies_are_joined_in_order_and_each_count_is_checked() -> None:
    bodies = [CODEC.encode(rows(), 0, 5), CODEC.encode(rows(), 5, 5), memoryview(CODEC.encode(rows(), 5, 20))]
    assert CODEC.decode(bodies, [5, 0, 15]).equals(rows())
    with pytest.raises(CorruptBatchError, match=r"message 2 of 3 .* as many records as its header says"):
        CODEC.decode(bodies, [5, 0, 14])
    with pytest.raises(CorruptBatchError, match="3 messages came with 2 record counts"):
        CODEC.decode(bodies, [5, 0])


def test_only_the_wanted_columns_are_built_but_all_is_checked() -> None:
    body = CODEC.encode(rows())
    assert CODEC.decode([body], columns=["units", "fees"]).equals(rows().select(["fees", "units"]))
    with pytest.raises(CorruptBatchError, match="ends within a value"):
        CODEC.decode([body[:-40]], columns=["account"])


def test_a_batch_of_other_columns_is_refused_by_name() -> None:
    with pytest.raises(SchemaMismatchError, match="not the schema's fields in order") as caught:
        CODEC.encode(rows().select(["account", "units"]))
    assert caught.value.where.field == "fees"
    with pytest.raises(SchemaMismatchError, match="does not know"):
        CODEC.encode(rows().append_column("extra", pa.array([1] * 20)))
    wrong = rows().set_column(3, "units", pa.array(range(20), pa.int32()))
    with pytest.raises(SchemaMismatchError, match="has int32 where the schema needs int64"):
        CODEC.encode(wrong)


def test_a_null_or_symbol_that_does_not_fit_is_refused_by_its_path() -> None:
    loose = pa.schema([field.with_nullable(nullable=True) for field in CODEC.arrow_schema])
    broken = pa.RecordBatch.from_pylist([*RECORDS[:2], RECORDS[2] | {"units": None}], schema=loose)
    with pytest.raises(SchemaMismatchError, match="row 2 has a null") as caught:
        CODEC.encode(broken)
    assert caught.value.where.field == "units"
    fee = {"kind": "GIFT", "amount": Decimal(0), "tags": []}
    with pytest.raises(SchemaMismatchError, match=r"row 0 .* none of the enum's symbols") as caught:
        CODEC.encode(rows([RECORDS[0] | {"fees": [fee]}]))
    assert caught.value.where.field == "fees[].kind"


def test_blocks_with_sizes_and_several_blocks_are_read() -> None:
    codec = plain([{"name": "l", "type": {"type": "array", "items": "long"}}])
    items = avro_long(-2) + avro_long(2) + b"\x02\x04" + avro_long(1) + b"\x06" + b"\0"
    body = avro_long(-1) + avro_long(len(items)) + items + avro_long(1) + b"\0" + b"\0"
    assert codec.decode([body], [2]).to_pylist() == [{"l": [1, 2, 3]}, {"l": []}]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "ends within a value"),
        (b"\x02", "more items than its bytes"),
        (b"\x02\x02\x02\x02", "more items than its bytes"),
        (avro_long(2**62) + b"\0" * 50, "more items than its bytes"),
        (avro_long(-(2**63)) + avro_long(1) + b"\0" * 50, "more items than its bytes"),
        (b"\x01\x7f\0\0", "size is not that of its items"),
        (avro_long(-1) + avro_long(50) + b"\0\0\0\0", "size is not that of its items"),
        (b"\x02" + avro_long(2**40) + b"\0", "more items than its bytes"),
        (b"\x02\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f\0", "ends within a value"),
        (b"\x02\0\x06\0", "union index is neither"),
        (b"\x02\0\0\x80", "ends within a value"),
        (b"\x02\0\0\x02\x02\xff\0", "not UTF-8"),
        (b"\x02\0\0\x02\x01\0\0", "length is negative"),
        (b"\0\0", "bytes follow"),
    ],
)
def test_a_body_that_lies_is_refused(body: bytes, reason: str) -> None:
    codec = plain(
        [
            {"name": "l", "type": {"type": "array", "items": "long"}},
            {"name": "u", "type": ["null", "string"]},
            {"name": "s", "type": ["null", "string"]},
        ]
    )
    with pytest.raises(CorruptBatchError, match=reason):
        codec.decode([body])


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("int", avro_long(2**31), "outside 32 bits"),
        ("boolean", b"\2", "neither 0 nor 1"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, b"\2", "no symbol"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, b"\1", "no symbol"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 2}, b"\0", "a decimal is empty"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 2}, b"\2\x64", "more digits than its precision"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 2}, b"\2\x9c", "more digits than its precision"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 38}, b"\x22" + b"\1" * 17, "more digits"),
    ],
)
def test_a_value_out_of_its_type_is_refused_with_its_field(kind: Any, value: bytes, reason: str) -> None:
    with pytest.raises(CorruptBatchError, match=f"at its record 1: .*{reason}") as caught:
        plain([{"name": "v", "type": kind}]).decode([b"\4" + _fine(kind) + value + b"\0"])
    assert caught.value.where.field == "v"


def _fine(kind: Any) -> bytes:
    return b"\2\0" if isinstance(kind, dict) and kind["type"] == "bytes" else b"\0"


def test_a_decimal_longer_than_it_need_be_is_read() -> None:
    codec = plain([{"name": "v", "type": {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 1}}])
    body = b"\4" + avro_long(20) + b"\0" * 19 + b"\5" + avro_long(18) + b"\xff" * 18 + b"\0"
    assert codec.decode([body]).to_pylist() == [{"v": Decimal("0.5")}, {"v": Decimal("-0.1")}]


def test_a_small_body_cannot_ask_for_any_amount_of_memory() -> None:
    wide = {"type": "record", "name": "W", "fields": [{"name": f"f{i}", "type": "long"} for i in range(300)]}
    codec = plain([{"name": "w", "type": ["null", wide]}])
    body = avro_long(1_000_000) + b"\0" * 1_000_001
    with pytest.raises(CorruptBatchError, match="decode fewer at a time"):
        codec.decode([body])
    assert codec.decode([b"\6\0\0\0\0"]).to_pylist() == [{"w": None}] * 3


def test_bytes_that_change_while_they_are_decoded_do_no_harm() -> None:
    body = bytearray(CODEC.encode(rows()))
    view = memoryview(body)
    decoded = CODEC.decode([view])
    body[:] = b"\xff" * len(body)
    assert decoded.equals(rows())


def test_threads_share_a_codec() -> None:
    block = b'{"account":"A","fees":null,"first_fee":null,"units":1}\n' * 200

    def work(number: int) -> bool:
        some = rows(RECORDS[number % 10 :])
        records, bad = sift_records(block, CODEC)
        return CODEC.decode([CODEC.encode(some)]).equals(some) and len(records) == 200 and not bad

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(200)))


def _in_child() -> None:
    os._exit(0 if CODEC.decode([CODEC.encode(rows())]).equals(rows()) else 1)


def test_a_forked_process_goes_on_with_the_compiled_kernels() -> None:
    CODEC.encode(rows())
    child = multiprocessing.get_context("fork").Process(target=_in_child)
    child.start()
    child.join(60)
    assert child.exitcode == 0


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (["int", "string"], "union of null and one type"),
        (["null"], "union of null and one type"),
        ({"type": "map", "values": "int"}, "'map' is not supported"),
        ("null", "not known"),
        ("Unknown", "not known"),
        ("R", "contains itself"),
        ({"type": "long", "logicalType": "time-micros"}, "time-micros is not supported"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 39}, "precision of 1 to 38"),
        ({"type": "fixed", "name": "F", "size": 1, "logicalType": "decimal", "precision": 3}, "cannot hold 3 digits"),
        ({"type": "record", "name": "Q", "fields": []}, "has no field"),
    ],
)
def test_a_type_that_feeds_may_not_have_is_refused_with_its_field(kind: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason) as caught:
        plain([{"name": "x", "type": kind}])
    assert caught.value.where.field == "x"


def test_named_types_are_found_by_namespace() -> None:
    inner = {"type": "enum", "name": "Side", "namespace": "desk", "symbols": ["BUY"]}
    codec = codec_for(
        {
            "type": "record",
            "name": "R",
            "namespace": "feeds",
            "fields": [{"name": "a", "type": inner}, {"name": "b", "type": "desk.Side"}],
        }
    )
    assert codec.arrow_schema.names == ["a", "b"]
