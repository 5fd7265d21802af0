"""The rules for one record: what is taken, what is refused and how that reads; kernel and row-wise check agree."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from feedline.batch import json_kernel
from feedline.batch.codec import RecordCodec, codec_for
from feedline.batch.json_encode import transcode_lines
from feedline.batch.json_lines import encode_json, sift_block
from feedline.batch.row_check import check_record, encode_record, join_records
from feedline.errors import SchemaMismatchError

DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}
TYPES: dict[str, Any] = {
    "int": "int",
    "long": "long",
    "float": "float",
    "double": "double",
    "string": "string",
    "bytes": "bytes",
    "boolean": "boolean",
    "decimal": DECIMAL,
    "wide": {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 10},
    "fixed": {"type": "fixed", "name": "F", "size": 3},
    "enum": {"type": "enum", "name": "E", "symbols": ["BUY", "SELL"]},
    "date": {"type": "int", "logicalType": "date"},
    "millis": {"type": "long", "logicalType": "timestamp-millis"},
    "micros": {"type": "long", "logicalType": "timestamp-micros"},
    "list": {"type": "array", "items": "int"},
    "record": {"type": "record", "name": "Inner", "fields": [{"name": "b", "type": "int"}]},
}


def codec_of(kind: Any) -> RecordCodec:
    return codec_for({"type": "record", "name": "R", "fields": [{"name": "a", "type": kind}]})


def moment(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


TAKEN = [
    ("int", "-0", 0),
    ("int", "2147483647", 2**31 - 1),
    ("int", "-2147483648", -(2**31)),
    ("long", "9223372036854775807", 2**63 - 1),
    ("long", "-9223372036854775808", -(2**63)),
    ("double", "1", 1.0),
    ("double", "-0.0", -0.0),
    ("double", "1e3", 1000.0),
    ("double", "1E-400", 0.0),
    ("double", "0.1", 0.1),
    ("double", "9007199254740993", 9007199254740992.0),
    ("double", "1.7976931348623157e308", 1.7976931348623157e308),
    ("double", "123456789012345678901234567890", 1.2345678901234568e29),
    ("float", "16777217", 16777216.0),
    ("decimal", "1.1", Decimal("1.10")),
    ("decimal", '"1.1"', Decimal("1.10")),
    ("decimal", "-0.00", Decimal(0)),
    ("decimal", "1.1000000000000000000000000000000000000000000000000000", Decimal("1.1")),
    ("decimal", "1e3", Decimal(1000)),
    ("decimal", '"15E-1"', Decimal("1.5")),
    ("decimal", "0e999999999", Decimal(0)),
    ("decimal", "99999999.99", Decimal("99999999.99")),
    ("decimal", "-99999999.99", Decimal("-99999999.99")),
    ("wide", "9999999999999999999999999999.9999999999", Decimal("9999999999999999999999999999.9999999999")),
    ("wide", "-12345678901234567890.5", Decimal("-12345678901234567890.5")),
    ("wide", "-128", Decimal(-128)),
    ("string", r'"\ud83d\ude00 \u00e9 \u0000 \" \\ \/ \b\f\n\r\t"', '😀 é \0 " \\ / \b\f\n\r\t'),
    ("string", '"é€😀"', "é€😀"),
    ("bytes", '"\\u00ff\\u0000A"', b"\xff\0A"),
    ("bytes", '"ÿ"', b"\xff"),
    ("fixed", '"abc"', b"abc"),
    ("enum", '"SELL"', "SELL"),
    ("enum", '"\\u0042UY"', "BUY"),
    ("date", '"2024-02-29"', date(2024, 2, 29)),
    ("micros", '"2026-01-02T03:04:05Z"', moment(2026, 1, 2, 3, 4, 5)),
    ("micros", '"2026-01-02T03:04:05.1+05:30"', moment(2026, 1, 1, 21, 34, 5, 100_000)),
    ("micros", '"1969-12-31T23:59:59.999999-00:00"', moment(1969, 12, 31, 23, 59, 59, 999_999)),
    ("millis", '"1969-12-31T23:59:59.999000Z"', moment(1969, 12, 31, 23, 59, 59, 999_000)),
    ("list", " [ 1 ,\t2 ] ", [1, 2]),
    ("record", ' { "b" : 1 } ', {"b": 1}),
]

REFUSED = [
    ("int", "1.0", "a", "needs an integer without fraction or exponent, found 1.0"),
    ("int", "1e3", "a", "needs an integer without fraction or exponent, found 1E+3"),
    ("int", "2147483648", "a", "needs an integer of 32 bits, found 2147483648"),
    ("long", "9223372036854775808", "a", "needs an integer of 64 bits"),
    ("long", "1" * 5000, None, "too many digits"),
    ("int", '"1"', "a", "found the text '1'"),
    ("int", "true", "a", "found true"),
    ("int", "null", "a", "found null"),
    ("int", "01", None, "not JSON"),
    ("int", "+1", None, "not JSON"),
    ("int", "[1]", "a", "found an array"),
    ("int", "{}", "a", "found an object"),
    ("double", "NaN", "a", "NaN, which is not JSON"),
    ("double", "-Infinity", "a", "-Infinity, which is not JSON"),
    ("double", '"1.5"', "a", "needs a number, found the text"),
    ("double", "1e400", "a", "finite"),
    ("double", ".5", None, "not JSON"),
    ("double", "5.", None, "not JSON"),
    ("double", "0x10", None, "not JSON"),
    ("float", "1e39", "a", "out of range"),
    ("decimal", "1.105", "a", "at most 2 digits after the point, found 1.105"),
    ("decimal", "123456789", "a", "at most 8 digits before the point"),
    ("decimal", "1e999999999", "a", "at most 8 digits before the point"),
    ("decimal", '"1e999999999"', "a", "at most 8 digits before the point"),
    ("decimal", "1e-999999999", "a", "at most 2 digits after the point"),
    ("decimal", "1e99999999999999999999", None, "too large an exponent"),
    ("decimal", '"1e99999999999999999999"', "a", "digits before the point"),
    ("decimal", '""', "a", "needs a decimal number"),
    ("decimal", '" 1"', "a", "needs a decimal number"),
    ("decimal", '"+1"', "a", "needs a decimal number"),
    ("decimal", '".5"', "a", "needs a decimal number"),
    ("decimal", '"007"', "a", "needs a decimal number"),
    ("decimal", '"1_000"', "a", "needs a decimal number"),
    ("decimal", '"NaN"', "a", "needs a decimal number"),
    ("decimal", "NaN", "a", "which is not JSON"),
    ("decimal", '"\u0661"', "a", "needs a decimal number"),
    ("decimal", "true", "a", "needs a decimal number, found true"),
    ("wide", "1" + "0" * 28, "a", "at most 28 digits before the point"),
    ("boolean", "1", "a", "needs true or false, found 1"),
    ("boolean", '"true"', "a", "needs true or false"),
    ("boolean", "tru", None, "not JSON"),
    ("string", "1", "a", "needs text, found 1"),
    ("string", '"\\ud800"', "a", "half of a surrogate pair"),
    ("string", '"\\ude00\\ud83d"', "a", "half of a surrogate pair"),
    ("string", '"\\x41"', None, "not JSON"),
    ("string", '"\\u12"', None, "not JSON"),
    ("string", '"tab\there"', None, "not JSON"),
    ("string", '"open', None, "not JSON"),
    ("bytes", '"€"', "a", "code points 0 to 255"),
    ("fixed", '"ab"', "a", "needs 3 bytes, found 2"),
    ("enum", '"HOLD"', "a", "needs one of BUY, SELL, found the text 'HOLD'"),
    ("enum", '"buy"', "a", "needs one of BUY, SELL"),
    ("date", '"2025-02-29"', "a", "needs a date as YYYY-MM-DD"),
    ("date", '"20250228"', "a", "needs a date"),
    ("date", '"2025-W01-1"', "a", "needs a date"),
    ("date", '"0000-01-01"', "a", "needs a date"),
    ("date", '"2025-01-01T00:00:00Z"', "a", "needs a date"),
    ("date", "20000", "a", "needs a date"),
    ("micros", '"2026-01-02T03:04:05"', "a", "needs a timestamp with a zone"),
    ("micros", '"2026-01-02"', "a", "needs a timestamp with a zone"),
    ("micros", '"2026-01-02 03:04:05Z"', "a", "needs a timestamp with a zone"),
    ("micros", '"2026-01-02T03:04:05.1234567Z"', "a", "needs a timestamp with a zone"),
    ("micros", '"2026-01-02T24:00:00Z"', "a", "needs a timestamp with a zone"),
    ("micros", '"2026-01-02T03:04:60Z"', "a", "no moment"),
    ("micros", '"2026-02-30T03:04:05Z"', "a", "no moment"),
    ("micros", '"0001-01-01T00:00:00+05:00"', "a", "no moment of the years 1 to 9999"),
    ("micros", '"2026-01-02T03:04:05+0530"', "a", "needs a timestamp with a zone"),
    ("micros", "1767322245000000", "a", "needs a timestamp with a zone"),
    ("millis", '"2026-01-02T03:04:05.123456Z"', "a", "no finer than milliseconds"),
    ("list", "[1,null]", "a[1]", "found null"),
    ("list", "[1,2.5]", "a[1]", "needs an integer"),
    ("list", "[1,]", None, "not JSON"),
    ("list", "[1}", None, "not JSON"),
    ("list", "{}", "a", "needs an array, found an object"),
    ("list", "[" * 100_000, None, "nested too deep"),
    ("record", "{}", "a.b", "is missing and has no default"),
    ("record", '{"b":1,"c":2}', "a.c", "is not in the schema"),
    ("record", '{"b":1,"b":1}', "a.b", "is given twice"),
    ("record", "[]", "a", "needs an object, found an array"),
    ("record", '{"b":' * 100_000, None, "nested too deep"),
]


@pytest.mark.parametrize(("kind", "text", "value"), TAKEN)
def test_a_value_within_the_rules_is_taken_exactly(kind: str, text: str, value: Any) -> None:
    codec = codec_of(TYPES[kind])
    line = f'{{"a":{text}}}'.encode()
    assert check_record(line, codec) == {"a": value}
    rows, bad = sift_block(line, codec)
    assert bad == []
    reference = codec.decode([join_records([encode_record({"a": value}, codec)])])
    # By repr: -0.0 equals 0.0.
    assert repr(rows.to_pylist()) == repr(reference.to_pylist())


@pytest.mark.parametrize(("kind", "text", "field", "reason"), REFUSED, ids=lambda v: str(v)[:40])
def test_a_value_outside_the_rules_is_refused_with_field_and_reason(
    kind: str, text: str, field: str | None, reason: str
) -> None:
    codec = codec_of(TYPES[kind])
    line = f'{{"a":{text}}}'.encode()
    with pytest.raises(SchemaMismatchError) as caught:
        check_record(line, codec)
    assert caught.value.where.field == field
    assert reason in caught.value.reason
    assert len(caught.value.reason) < 200
    rows, (bad,) = sift_block(line, codec)
    assert rows.num_rows == 0
    assert (bad.line, bad.field, bad.reason, bad.raw) == (1, field, caught.value.reason, line)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"\xef\xbb\xbf" + b'{"a":1}', "byte-order mark"),
        ('{"a":1}'.encode("utf-16"), "UTF-16"),
        ('{"a":1}'.encode("utf-16-le"), "NUL bytes"),
        (b'{"a":1}\x00', "NUL bytes"),
        (b'{"a":\xff}', "not UTF-8: byte 6"),
        (b'{"a":1', "not JSON"),
        (b'{"a":1}{"a":2}', "not JSON"),
        (b'{"a":1},', "not JSON"),
        (b"null", "needs an object, found null"),
        (b"[1]", "needs an object, found an array"),
        (b"1", "needs an object, found 1"),
        (b'"x"', "needs an object, found the text 'x'"),
        (b'{"a":1,}', "not JSON"),
        (b"{'a':1}", "not JSON"),
        (b'/*c*/{"a":1}', "not JSON"),
        (b'{"a":1,"\\u0061":1}', "is given twice"),
        (b'{"b":1,"a":1}', "is not in the schema"),
    ],
)
def test_a_line_that_is_no_record_is_refused(line: bytes, reason: str) -> None:
    codec = codec_of("int")
    with pytest.raises(SchemaMismatchError, match=reason):
        check_record(line, codec)
    rows, (bad,) = sift_block(line, codec)
    assert rows.num_rows == 0
    assert reason in bad.reason


def test_a_missing_field_takes_its_default_or_null_and_is_refused_without_either() -> None:
    schema = {
        "type": "record",
        "name": "R",
        "fields": [
            {"name": "n", "type": ["null", "int"]},
            {"name": "m", "type": ["int", "null"], "default": 7},
            {"name": "d", "type": DECIMAL, "default": "\u0001\u0000"},
            {"name": "day", "type": {"type": "int", "logicalType": "date"}, "default": 1},
            {"name": "l", "type": {"type": "array", "items": "string"}, "default": ["x"]},
            {
                "name": "r",
                "type": {"type": "record", "name": "Q", "fields": [{"name": "s", "type": "string", "default": "é"}]},
                "default": {},
            },
        ],
    }
    codec = codec_for(schema)
    expected = {"n": None, "m": 7, "d": Decimal("2.56"), "day": date(1970, 1, 2), "l": ["x"], "r": {"s": "é"}}
    assert check_record(b"{}", codec) == expected
    rows, bad = sift_block(b'{}\n{"m":null}', codec)
    assert bad == []
    assert rows.to_pylist() == [expected, expected | {"m": None}]
    with pytest.raises(SchemaMismatchError, match="is missing and has no default"):
        check_record(b"{}", codec_of("int"))


def test_python_values_are_checked_by_the_same_rules() -> None:
    schema = {"type": "record", "name": "R", "fields": [{"name": k, "type": t} for k, t in TYPES.items()]}
    codec = codec_for(schema)
    values = {
        "int": 1, "long": 2, "float": 0.5, "double": 0.1, "string": "é", "bytes": b"\xff", "boolean": True,
        "decimal": Decimal("1.5"), "wide": 3, "fixed": b"abc", "enum": "BUY", "date": date(2026, 1, 2),
        "millis": datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=2))), "micros": moment(2026, 1, 2),
        "list": (1, 2), "record": {"b": 1},
    }  # fmt: skip
    checked = check_record(values, codec)
    rows = codec.decode([join_records([encode_record(checked, codec)] * 2)], [2])
    assert rows.num_rows == 2
    assert rows.to_pylist()[1] == values | {"millis": moment(2026, 1, 2, 1), "list": [1, 2]}


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("decimal", 1.5, "a float is not exact"),
        ("decimal", Decimal("NaN"), "needs a decimal number, found NaN"),
        ("decimal", Decimal("Infinity"), "needs a decimal number, found Infinity"),
        ("double", float("nan"), "finite"),
        ("micros", datetime(2026, 1, 2), "with a zone"),  # noqa: DTZ001
        ("date", moment(2026, 1, 2), "needs a date"),
        ("string", b"abc", "needs text"),
        ("int", True, "found true"),
        ("record", [("b", 1)], "needs an object"),
    ],
)
def test_python_values_that_would_lose_something_are_refused(kind: str, value: Any, reason: str) -> None:
    with pytest.raises(SchemaMismatchError, match=reason) as caught:
        check_record({"a": value}, codec_of(TYPES[kind]))
    assert caught.value.where.field == "a"


def test_one_record_is_encoded_as_the_row_wise_reference_encodes_it() -> None:
    codec = codec_of(TYPES["wide"])
    line = b'{"a":123456789.25}'
    assert encode_json(line, codec) == encode_record(check_record(line, codec), codec)
    with pytest.raises(SchemaMismatchError):
        encode_json(b'{"a":"x"}', codec)


@pytest.mark.parametrize(("kind", "text"), [
    ("int", "12"), ("long", "9223372036854775807"), ("double", "1.5e3"), ("decimal", '"12.50"'),
    ("wide", "1234567890123456789.0123456789"), ("string", '"\\u00e9"'), ("enum", '"BUY"'),
    ("date", '"2026-11-20"'), ("micros", '"2026-11-20T01:02:03.5-05:00"'), ("list", "[1, 2]"),
])  # fmt: skip
def test_the_usual_spellings_stay_on_the_fast_path(kind: str, text: str) -> None:
    _, lines = transcode_lines(f'{{"a": {text}}}'.encode(), codec_of(TYPES[kind]), 1000)
    assert lines[0, json_kernel.GOOD] == 1


def test_a_message_of_json_numbers_is_not_rounded_on_the_way() -> None:
    text = "0.1234567890"
    rows, _ = sift_block(json.dumps({"a": 0}).replace("0", text).encode(), codec_of(TYPES["wide"]))
    assert str(rows.column(0)[0].as_py()) == text


@pytest.mark.parametrize(
    "kind",
    [
        {"type": "bytes", "logicalType": "decimal", "precision": 37, "scale": 37},
        {"type": "fixed", "name": "D", "size": 16, "logicalType": "decimal", "precision": 37, "scale": 37},
    ],
)
def test_a_negative_zero_is_zero_whatever_holds_the_decimal(kind: dict[str, Any]) -> None:
    codec = codec_for({"type": "record", "name": "Zero", "fields": [{"name": "amount", "type": kind}]})
    rows, bad = sift_block(b'{"amount":"-0.00000000000000000000000000000000000"}', codec)
    assert not bad
    assert rows.column("amount").to_pylist() == [Decimal("0E-37")]
