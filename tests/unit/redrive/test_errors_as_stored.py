"""What an error message holds comes back exactly, in the file to correct and on the screen."""

from __future__ import annotations

import base64
import json
from datetime import date
from decimal import Decimal

import pytest
from confluent_kafka import Message
from hypothesis import given
from hypothesis import strategies as st

from feedline.batch.error_record import ErrorRecord, Origin, place_id, refused_batch, refused_message
from feedline.batch.headers import AVRO, BatchHeaders
from feedline.batch.identity import Cycle, Delivery
from feedline.cli.error_view import SHOWN_BYTES, marked, print_error
from feedline.errors import CorruptBatchError, SchemaMismatchError
from feedline.redrive.correction_file import export_line, read_corrections
from feedline.redrive.states import ErrorState
from feedline.redrive.stored_error import Selection, stored_error

DELIVERY = Delivery("positions", date(2026, 11, 20), Cycle.EOD, "positions-20261120-EOD-1")


def line_error(value, reason="not JSON", field=None):
    record = ErrorRecord("e-1", DELIVERY, "a.jsonl", reason, "SchemaMismatchError", value, line=7, field_path=field)
    return stored(value, record.to_kafka())


def stored(value, headers):
    return stored_error(Message(topic="T.ERROR", partition=0, offset=5, value=value, headers=headers))


@given(st.binary(max_size=200).map(lambda raw: raw.replace(b"\n", b"")))
def test_the_original_bytes_of_a_line_survive_the_export_whatever_they_are(value):
    text = export_line(line_error(value))
    assert "\n" not in text
    exported = json.loads(text)
    found = exported["original"].encode() if "original" in exported else base64.b64decode(exported["originalBase64"])
    assert found == value


def test_a_record_to_be_corrected_keeps_every_digit_of_its_text():
    text = export_line(line_error(b'{"a": 1.10, "b": 12345678901234567890.123456789012345678}\r'))
    assert '"record": {"a": 1.10, "b": 12345678901234567890.123456789012345678}' in text


@pytest.mark.parametrize("value", [b"{", b"[1]", b'{"a": NaN}', b'{"a": 1, "a": 2}', b"\xff", b"[" * 5000])
def test_what_is_no_json_object_is_exported_with_an_empty_record(value):
    assert json.loads(export_line(line_error(value)))["record"] is None


def test_corrections_are_read_without_a_float(tmp_path):
    file = tmp_path / "corrected.jsonl"
    file.write_bytes(
        b'\n{"correlationId": "e-1", "record": {"a": 1.10}}\n{"correlationId": "b", "records": [{}, {}]}\n'
    )
    first, second = read_corrections(file)
    assert (first.line, first.error_id, first.records) == (2, "e-1", ({"a": Decimal("1.10")},))
    assert str(first.records[0]["a"]) == "1.10"
    assert len(second.records) == 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not a correction"),
        (b"\xff", "not a correction"),
        (b'{"record": {}}', "no correlationId"),
        (b'{"correlationId": "e", "record": null}', "no record"),
        (b'{"correlationId": "e", "record": [1]}', "no record"),
        (b'{"correlationId": "e", "record": {"a": 1, "a": 2}}', "'a' is given twice"),
        (b'{"correlationId": "e", "record": {"a": NaN}}', "NaN is not JSON"),
    ],
)
def test_a_line_that_is_no_correction_is_named(tmp_path, line, reason):
    file = tmp_path / "corrected.jsonl"
    file.write_bytes(b'{"correlationId": "e-1", "record": {}}\n' + line)
    with pytest.raises(SchemaMismatchError, match=reason) as caught:
        list(read_corrections(file))
    assert (caught.value.where.file, caught.value.where.line) == (str(file), 2)


def test_a_refused_batch_comes_back_with_its_headers_and_its_place():
    headers = BatchHeaders("c-1", "positions", DELIVERY.business_date, Cycle.EOD, "d", 3, 20, "a.jsonl", AVRO, "00-1")
    record = refused_batch(headers, b"\0\xff", CorruptBatchError("cut off", field="a.b"), Origin("T", 4, 99))
    error = stored(record.value, record.to_kafka())
    assert (error.batch, error.origin, error.value) == (headers, Origin("T", 4, 99), b"\0\xff")
    assert (error.is_line, error.records, error.error_code, error.field_path) == (False, 20, "CorruptBatchError", "a.b")


def test_a_message_with_unreadable_headers_keeps_them_and_is_known_by_its_place():
    origin = Origin("T", 4, 99)
    own = [("feed", b"positions"), ("reason", b"its own"), ("businessDate", b"\xff"), ("deliveryId", None)]
    error = stored(b"x", [*own, *refused_message(origin, CorruptBatchError("no header"))])
    assert list(error.headers[: len(own)]) == own
    assert (error.error_id, error.origin, error.reason) == (place_id(origin), origin, "no header")
    assert (error.delivery, error.batch) == (None, None)


def test_a_selection_takes_what_fulfils_every_condition():
    error = line_error(b"x")
    assert Selection().takes(error)
    assert Selection(frozenset({"positions"}), DELIVERY.business_date, DELIVERY.delivery_id).takes(error)
    for other in (
        Selection(feeds=frozenset({"accounts"})),
        Selection(business_date=date(2026, 11, 21)),
        Selection(delivery_id="another"),
        Selection(error_ids=frozenset({"e-2"})),
        Selection(error_code="CorruptBatchError"),
    ):
        assert not other.takes(error)


@pytest.mark.parametrize(
    ("value", "reason", "field", "culprit"),
    [
        (b'{"a": {"b": "x,y"}, "b": 2}', "needs a number", "a.b", '"b": "x,y"'),
        (b'{"a": [{"b": 1}]}', "too large", "a[0].b", '"b": 1'),
        (b'{"a" 1}', "not JSON: Expecting ':' delimiter at character 6", None, "1"),
        (b'{"\xc3\xa9\xff": 1}', "not UTF-8: byte 5 of the line is 0xff", None, r"\xff"),
        (b'{"a": 1}', "is missing and has no default", "c", None),
    ],
)
def test_the_culprit_is_marked(value, reason, field, culprit):
    text, where = marked(line_error(value, reason, field))
    assert (where and text[slice(*where)]) == culprit


def test_of_a_long_record_the_part_around_the_culprit_is_shown():
    text, where = marked(line_error(b'{"x": "' + b"-" * 50_000 + b'", "a": true}', "needs a number", "a"))
    assert len(text) == SHOWN_BYTES
    assert text[slice(*where)] == '"a": true'


def test_the_terminal_obeys_nothing_that_a_refused_record_holds(capsys):
    error = line_error(b'{"a": "\x1b[2J", "b": "\x1b]52;c;x\x07"}', field="b")
    print_error(error, next(iter(ErrorState)), None, ())
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert r'{"a": "\x1b[2J", "b": "\x1b]52;c;x\x07"}' in shown
    assert r'culprit: "b": "\x1b]52;c;x\x07"' in shown
