"""Whatever the schema and the records: JSON, Arrow and Avro hold the same values, and broken bytes are refused."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Context, Decimal
from typing import Any

import fastavro
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feedline.batch import avro_program as ap
from feedline.batch.avro_program import Node
from feedline.batch.codec import RecordCodec
from feedline.batch.json_lines import sift_block, sift_records
from feedline.batch.row_check import check_record, encode_record, join_records
from feedline.errors import CorruptBatchError, SchemaMismatchError

quick = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@st.composite
def decimals_of(draw: st.DrawFn, kind: str, number: int) -> dict[str, Any]:
    precision = draw(st.integers(1, 38))
    scale = draw(st.integers(0, precision))
    logical = {"logicalType": "decimal", "precision": precision, "scale": scale}
    if kind == "bytes":
        return {"type": "bytes", **logical}
    least = ((10**precision).bit_length() + 8) // 8
    return {"type": "fixed", "name": f"D{number}", "size": draw(st.integers(least, least + 3)), **logical}


@st.composite
def types(draw: st.DrawFn, depth: int, number: Callable[[], int], plain: bool = False) -> Any:
    leaves: list[st.SearchStrategy[Any]] = [
        st.sampled_from(["boolean", "int", "long", "float", "double", "string", "bytes"]),
        st.just({"type": "int", "logicalType": "date"}),
        st.sampled_from(["timestamp-millis", "timestamp-micros"]).map(lambda t: {"type": "long", "logicalType": t}),
        decimals_of("bytes", 0),
        st.builds(number).flatmap(lambda n: decimals_of("fixed", n)),
        st.builds(lambda size: {"type": "fixed", "name": f"F{number()}", "size": size}, st.integers(1, 20)),
        st.lists(st.sampled_from(["A", "BB", "CCC", "LONG_SYMBOL_1", "LONG_SYMBOL_2"]), min_size=1, unique=True).map(
            lambda symbols: {"type": "enum", "name": f"E{number()}", "symbols": symbols}
        ),
    ]
    if depth > 0:
        leaves.append(records(depth - 1, number))
        leaves.append(types(depth - 1, number).map(lambda items: {"type": "array", "items": items}))
    kind = draw(st.one_of(leaves))
    shape = "plain" if plain else draw(st.sampled_from(["plain", "plain", "null first", "null last"]))
    return kind if shape == "plain" else ["null", kind] if shape == "null first" else [kind, "null"]


@st.composite
def records(draw: st.DrawFn, depth: int, number: Callable[[], int]) -> dict[str, Any]:
    fields = draw(st.lists(types(depth, number), min_size=1, max_size=5))
    return {
        "type": "record",
        "name": f"R{number()}",
        "fields": [{"name": f"field_{i}", "type": kind} for i, kind in enumerate(fields)],
    }


@st.composite
def schemas(draw: st.DrawFn) -> dict[str, Any]:
    count = iter(range(10_000))
    return draw(records(2, lambda: next(count)))


def values(node: Node) -> st.SearchStrategy[Any]:
    found = _values(node)
    return st.none() | found if node.nullable else found


def _values(node: Node) -> st.SearchStrategy[Any]:  # noqa: C901, PLR0911, PLR0912
    match node.op:
        case ap.STRUCT:
            return st.fixed_dictionaries({child.name: values(child) for child in node.children})
        case ap.ARRAY:
            return st.lists(values(node.children[0]), max_size=4)
        case ap.BOOLEAN:
            return st.booleans()
        case ap.INT:
            return st.integers(-(2**31), 2**31 - 1)
        case ap.LONG:
            return st.integers(-(2**63), 2**63 - 1)
        case ap.FLOAT:
            return st.floats(width=32, allow_nan=False, allow_infinity=False)
        case ap.DOUBLE:
            return st.floats(allow_nan=False, allow_infinity=False)
        case ap.STRING:
            return st.text(st.characters(codec="utf-8"), max_size=20)
        case ap.BYTES:
            return st.binary(max_size=20)
        case ap.FIXED:
            return st.binary(min_size=node.size, max_size=node.size)
        case ap.DECIMAL | ap.DECIMAL_FIXED:
            limit = 10**node.precision - 1
            unscaled = st.integers(-limit, limit) | st.integers(-min(limit, 300), min(limit, 300))
            return unscaled.map(lambda n: Decimal(n).scaleb(-node.scale, Context(prec=40)))
        case ap.ENUM:
            return st.sampled_from(node.symbols)
        case ap.DATE:
            return st.dates()
        case ap.TIMESTAMP_MICROS:
            return st.datetimes(timezones=st.just(UTC))
        case _:
            return st.datetimes(timezones=st.just(UTC)).map(
                lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000)
            )


@st.composite
def cases(draw: st.DrawFn) -> tuple[RecordCodec, list[dict[str, Any]]]:
    codec = RecordCodec(draw(schemas()))
    return codec, draw(st.lists(values(codec.root), min_size=1, max_size=5))


def batch_of(codec: RecordCodec) -> dict[str, Any]:
    items = {"type": "array", "items": codec.schema}
    return fastavro.parse_schema({"type": "record", "name": "Batch", "fields": [{"name": "records", "type": items}]})


def read_with_fastavro(codec: RecordCodec, body: bytes) -> list[dict[str, Any]]:
    stream = io.BytesIO(body)
    found = fastavro.schemaless_reader(stream, batch_of(codec), None)["records"]
    assert stream.read() == b""
    return found


def rows_of(codec: RecordCodec, records: list[dict[str, Any]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(records, schema=codec.arrow_schema)


class JsonWriter:
    """JSON as different programs write it: numbers or text, escapes or not, spaces, any order, nulls left out."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self.ascii = draw(st.booleans())
        self.text_decimals = draw(st.booleans())
        self.shuffled = draw(st.booleans())
        self.leaves_out_nulls = draw(st.booleans())
        self.space = draw(st.sampled_from(["", " ", " \t"]))
        self.zone = timezone(timedelta(minutes=draw(st.sampled_from([0, 330, -300]))))

    def write(self, node: Node, value: Any) -> str:  # noqa: PLR0911
        space = self.space
        if value is None:
            return "null"
        match node.op:
            case ap.STRUCT:
                fields = [c for c in node.children if not (self.leaves_out_nulls and value[c.name] is None)]
                members = [f'"{c.name}"{space}:{space}{self.write(c, value[c.name])}' for c in fields]
                members = members[::-1] if self.shuffled else members
                return "{" + space + f"{space},{space}".join(members) + space + "}"
            case ap.ARRAY:
                items = [self.write(node.children[0], item) for item in value]
                return "[" + space + f"{space},{space}".join(items) + space + "]"
            case ap.DECIMAL | ap.DECIMAL_FIXED:
                text = format(value, "f")
                return f'"{text}"' if self.text_decimals else text
            case ap.BYTES | ap.FIXED:
                return json.dumps(value.decode("latin-1"), ensure_ascii=self.ascii)
            case ap.DATE:
                return f'"{value.isoformat()}"'
            case ap.TIMESTAMP_MILLIS | ap.TIMESTAMP_MICROS:
                moved = value.astimezone(self.zone) if 2 < value.year < 9998 else value
                return f'"{moved.isoformat()}"'.replace("+00:00", "Z")
            case _:
                return json.dumps(value, ensure_ascii=self.ascii)


@quick
@given(cases(), st.data())
def test_any_valid_record_survives_json_to_avro_to_fastavro_and_arrow(case: Any, data: st.DataObject) -> None:
    codec, records = case
    writer = JsonWriter(data.draw)
    block = "\r\n".join(writer.write(codec.root, record) for record in records).encode()
    encoded, bad = sift_records(block, codec)
    assert bad == []
    assert read_with_fastavro(codec, encoded.body()) == records
    decoded = codec.decode([encoded.body()], [len(records)])
    decoded.validate(full=True)
    assert decoded.equals(rows_of(codec, records))


@quick
@given(cases(), st.data())
def test_any_slice_of_a_record_batch_is_encoded_as_its_rows(case: Any, data: st.DataObject) -> None:
    codec, records = case
    rows = rows_of(codec, records)
    offset = data.draw(st.integers(0, len(records)))
    start = data.draw(st.integers(0, len(records) - offset))
    stop = data.draw(st.integers(start, len(records) - offset))
    body = codec.encode(rows.slice(offset), start, stop, prefix=b"12345")
    assert body[:5] == b"12345"
    assert read_with_fastavro(codec, body[5:]) == records[offset + start : offset + stop]


@quick
@given(cases())
def test_what_fastavro_writes_is_decoded_exactly(case: Any) -> None:
    codec, records = case
    out = io.BytesIO()
    fastavro.schemaless_writer(out, batch_of(codec), {"records": records})
    checked = join_records([encode_record(check_record(record, codec), codec) for record in records])
    decoded = codec.decode([out.getvalue(), memoryview(checked)], [len(records)] * 2)
    decoded.validate(full=True)
    assert decoded.equals(rows_of(codec, records * 2))


@settings(quick, max_examples=100)
@given(cases(), st.data())
def test_broken_bytes_are_refused_or_are_another_valid_batch(case: Any, data: st.DataObject) -> None:
    codec, records = case
    body = bytearray(codec.encode(rows_of(codec, records)))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(len(body) - 1, 0)))
        change = data.draw(st.sampled_from(["set", "cut", "insert", "drop"]))
        if change == "cut":
            del body[at:]
        elif change == "drop":
            del body[at : at + 1]
        elif change == "insert":
            body[at:at] = data.draw(st.binary(min_size=1, max_size=11))
        elif body:
            body[at] = data.draw(st.integers(0, 255))
    try:
        decoded = codec.decode([bytes(body)])
    except CorruptBatchError:
        return
    decoded.validate(full=True)
    # What was taken for valid is valid: it is written and read again unchanged.
    assert codec.decode([codec.encode(decoded)], [decoded.num_rows]).num_rows == decoded.num_rows


TOKENS = [
    *[c.encode() for c in '{}[],:"\\ \t0-.eE+'], b"null", b"true", b"NaN", b"1e5", b"\\u00e9", b"\\ud800",
    b"\xff", b"\xc3\xa9", b"\x00", b"\x1f", b'"field_0":1,', b"00", b"1.50",
]  # fmt: skip


@settings(quick, max_examples=150)
@given(cases(), st.data())
def test_the_kernel_never_takes_a_line_that_the_row_wise_check_refuses_or_reads_otherwise(
    case: Any, data: st.DataObject
) -> None:
    codec, records = case
    line = bytearray(JsonWriter(data.draw).write(codec.root, records[0]).encode())
    for _ in range(data.draw(st.integers(1, 2))):
        at = data.draw(st.integers(0, len(line)))
        line[at : at + data.draw(st.integers(0, 3))] = data.draw(st.sampled_from(TOKENS))
    rows, bad = sift_block(bytes(line), codec)
    if not line.strip(b" \t\r"):
        assert (rows.num_rows, bad) == (0, [])
        return
    if not bad:
        assert rows.equals(rows_of(codec, [check_record(bytes(line), codec)]))
        return
    with pytest.raises(SchemaMismatchError) as caught:
        check_record(bytes(line), codec)
    expected = (1, caught.value.where.field, caught.value.reason, bytes(line))
    assert [(b.line, b.field, b.reason, b.raw) for b in bad] == [expected]


def test_dates_and_moments_at_the_ends_of_time_are_exact() -> None:
    schema = {
        "type": "record",
        "name": "R",
        "fields": [
            {"name": "day", "type": {"type": "int", "logicalType": "date"}},
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        ],
    }
    codec = RecordCodec(schema)
    days = [date(1, 1, 1), date(1, 12, 31), date(1600, 2, 29), date(1900, 2, 28), date(2000, 2, 29), date(9999, 12, 31)]
    records = [{"day": day, "at": datetime(day.year, day.month, day.day, 23, 59, 59, 999_999, UTC)} for day in days]
    block = b"\n".join(json.dumps({k: v.isoformat() for k, v in record.items()}).encode() for record in records)
    encoded, bad = sift_records(block, codec)
    assert bad == []
    assert read_with_fastavro(codec, encoded.body()) == records
