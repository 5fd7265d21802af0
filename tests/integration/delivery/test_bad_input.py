"""Bad input through the real path: the bad record is on the error topic with its place, the rest is produced."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import replace
from decimal import Decimal

import pytest

from feedline.batch.codec import codec_for
from feedline.batch.wire import PREFIX_BYTES
from feedline.catalog import ErrorLimit
from feedline.errors import (
    ControlMismatchError,
    ErrorLimitExceededError,
    SchemaMismatchError,
    SourceChangedError,
)
from feedline.producer.delivery import BulkPolicy

SMALL_BLOCKS = BulkPolicy(threads=2, blocks_ahead=2, block_bytes=64 * 1024)


@pytest.fixture
def good(bulk):
    return bulk.lines("positions")[:20]


def _changed(line, **fields):
    return json.dumps({**json.loads(line), **fields}).encode()


def _without(line, name):
    record = json.loads(line)
    del record[name]
    return json.dumps(record).encode()


def _raw(line, name, text):
    """The record with the raw JSON `text` as the value of a field."""
    return _changed(line, **{name: "@@"}).replace(b'"@@"', text)


def _deep(line):
    return _raw(line, "quantity", b"[" * 5000 + b"]" * 5000)


BAD = {
    "truncated": (lambda line: line[: len(line) // 2], None),
    "not JSON": (lambda line: b"{'quantity': 1}", None),
    "a scalar": (lambda line: b"42", None),
    "two records on one line": (lambda line: line + line, None),
    "wrong type": (lambda line: _changed(line, quantity=True), "quantity"),
    "text for a number": (lambda line: _changed(line, quantity="many"), "quantity"),
    "unknown field": (lambda line: _changed(line, no_such_field=1), "no_such_field"),
    "missing field": (lambda line: _without(line, "fund_id"), "fund_id"),
    "null key": (lambda line: _changed(line, fund_id=None), "fund_id"),
    "decimal out of range": (lambda line: _raw(line, "quantity", b"1" + b"0" * 40), "quantity"),
    "decimal too precise": (lambda line: _raw(line, "quantity", b"1." + b"1" * 30), "quantity"),
    "NaN": (lambda line: _raw(line, "quantity", b"NaN"), None),
    "Infinity": (lambda line: _raw(line, "quantity", b"-Infinity"), None),
    "wrong encoding": (lambda line: line.replace(b'"', b'"\xe9', 1), None),
    "byte-order mark within the file": (lambda line: b"\xef\xbb\xbf" + line, None),
    "nesting too deep": (_deep, None),
    "impossible date": (lambda line: _changed(line, business_date="2026-02-30"), "business_date"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_record_is_on_the_error_topic_and_the_rest_is_produced(bulk, kind, positions, good):
    spoil, field = BAD[kind]
    bad = spoil(good[6])
    manifest = bulk.produce(positions, bulk.land("positions", bulk.text([*good[:6], bad, *good[7:]])))

    assert (manifest.source_records, manifest.records, manifest.error_records) == (20, 19, 1)
    (error,) = bulk.read_topic(positions.topic.error_topic)
    assert error.value == bad
    assert error.headers["sourceFile"] == "positions_20261120_001.jsonl"
    assert error.headers["line"] == "7"
    assert error.headers["reason"]
    assert error.headers["errorCode"] == "SchemaMismatchError"
    assert error.headers["deliveryId"] == manifest.delivery_id
    if field is not None:
        assert error.headers["field"] == field
    codec = codec_for(positions.schema)
    batches = [m for m in bulk.read_topic(positions.topic.name) if not m.is_manifest]
    rows = codec.decode([m.value[PREFIX_BYTES:] for m in batches])
    assert rows.num_rows == 19


def test_a_record_over_the_limit_is_reported_with_its_first_bytes(bulk, positions, good):
    feed = replace(positions, max_record_bytes=16 * 1024)
    huge = b'{"filler": "' + b"x" * 3_000_000
    manifest = bulk.produce(feed, bulk.land("positions", bulk.text([*good[:6], huge, *good[7:]])), policy=SMALL_BLOCKS)

    assert (manifest.source_records, manifest.records, manifest.error_records) == (20, 19, 1)
    (error,) = bulk.read_topic(feed.topic.error_topic)
    assert error.value == huge[: 16 * 1024]
    assert (error.headers["line"], error.headers["errorCode"]) == ("7", "RecordTooLargeError")
    assert "truncated" in error.headers["reason"]
    assert str(len(huge)) in error.headers["reason"]


def test_a_byte_order_mark_before_the_first_record_is_left_out(bulk, positions, good):
    manifest = bulk.produce(positions, bulk.land("positions", b"\xef\xbb\xbf" + bulk.text(good)))
    assert (manifest.records, manifest.error_records) == (20, 0)


def test_a_utf_16_file_is_refused_and_nothing_is_produced(bulk, positions, good):
    source = bulk.land("positions", bulk.text(good).decode().encode("utf-16"), records=20)
    with pytest.raises(SchemaMismatchError, match="UTF-8") as caught:
        bulk.produce(positions, source)
    assert caught.value.where.file == "positions_20261120_001.jsonl"
    assert bulk.read_topic(positions.topic.name) == []


def test_blank_lines_and_windows_line_ends_are_no_errors(bulk, positions, good):
    manifest = bulk.produce(
        positions, bulk.land("positions", b"\r\n".join(good[:5]) + b"\r\n\n\n" + b"\n".join(good[5:]))
    )
    assert (manifest.source_records, manifest.records, manifest.error_records) == (20, 20, 0)


def test_an_empty_file_that_was_announced_is_a_delivery_without_records(bulk, positions):
    manifest = bulk.produce(positions, bulk.land("positions", b""))
    assert (manifest.source_records, manifest.batches, manifest.partitions) == (0, 0, ())
    assert [m.is_manifest for m in bulk.read_topic(positions.topic.name)] == [True]


def test_an_empty_file_that_should_hold_records_is_refused(bulk, positions):
    with pytest.raises(ControlMismatchError, match="0 records were read, and the control file says 20"):
        bulk.produce(positions, bulk.land("positions", b"", records=20))
    assert bulk.read_topic(positions.topic.name) == []


def test_a_file_that_is_not_the_one_announced_is_refused_and_nothing_is_produced(bulk, positions, good):
    source = bulk.land("positions", bulk.text(good[:10]), bulk.text(good[10:]))
    second = source.path(source.control.files[1])
    second.write_bytes(second.read_bytes().replace(b"1", b"2", 1))
    with pytest.raises(ControlMismatchError, match="SHA-256") as caught:
        bulk.produce(positions, source)
    assert caught.value.where.file == second.name
    assert bulk.read_topic(positions.topic.name) == []


def test_a_file_that_changes_while_it_is_read_gets_no_manifest(bulk, positions):
    source = bulk.land("positions", bulk.text(bulk.lines("positions")))
    path = source.path(source.control.files[0])

    def append(_records, _bytes):
        with path.open("ab") as file:
            file.write(b"{}\n")

    with pytest.raises(SourceChangedError, match=r"changed while it was read.*the delivery is not complete") as caught:
        bulk.produce(positions, source, policy=SMALL_BLOCKS, progress=append)
    assert caught.value.where.file == path.name
    assert not any(m.is_manifest for m in bulk.read_topic(positions.topic.name))


def test_a_count_that_disagrees_gets_no_manifest(bulk, positions, good):
    with pytest.raises(ControlMismatchError, match="20 records were read, and the control file says 21") as caught:
        bulk.produce(positions, bulk.land("positions", bulk.text(good), records=21))
    assert "20 of its records were acknowledged" in str(caught.value)
    assert caught.value.where.file == "positions_20261120_001.jsonl"
    found = bulk.read_topic(positions.topic.name)
    assert found
    assert not any(m.is_manifest for m in found)


def test_a_control_total_that_disagrees_gets_no_manifest(bulk, positions, good):
    exact = sum(Decimal(json.loads(line, parse_float=str)["quantity"]) for line in good)
    bulk.produce(positions, bulk.land("positions", bulk.text(good), controlTotals={"quantity": str(exact)}))
    wrong = bulk.land("positions", bulk.text(good[:-1]), controlTotals={"quantity": str(exact)})
    with pytest.raises(ControlMismatchError, match=f"the records total quantity .* instead of {exact}"):
        bulk.produce(positions, wrong)
    assert [m.headers["deliveryId"] for m in bulk.read_topic(positions.topic.name) if m.is_manifest] != [
        wrong.control.delivery.delivery_id
    ]


def test_totals_are_not_held_against_a_file_with_bad_records(bulk, positions, good):
    source = bulk.land("positions", bulk.text([*good, b"bad"]), controlTotals={"quantity": "1"})
    assert bulk.produce(positions, source).error_records == 1


@pytest.mark.parametrize("cut", [100, -1])
def test_a_gzip_file_that_is_cut_short_gets_no_manifest(bulk, cut, positions, settings, good):
    bulk.land("positions", bulk.text(good), gz=True)
    # Announced as it is, so the sender cut it: neither its size nor its hash gives it away.
    path = next((settings.landing / "2026-11-20" / "positions").glob("*.gz"))
    whole = path.read_bytes()
    source = bulk.land("positions", b"", records=20)
    said = replace(source.control.files[0], name=path.name)
    cut_bytes = whole[:cut]
    path.write_bytes(cut_bytes)
    said = replace(said, size=len(cut_bytes), sha256=hashlib.sha256(cut_bytes).hexdigest())
    with pytest.raises(ControlMismatchError, match="cut short") as caught:
        bulk.produce(positions, replace(source, control=replace(source.control, files=(said,))))
    assert caught.value.where.file == path.name
    assert not any(m.is_manifest for m in bulk.read_topic(positions.topic.name))


def test_a_gzip_file_gives_the_same_records_as_a_plain_one(bulk, positions, good):
    plain = bulk.produce(positions, bulk.land("positions", bulk.text(good)))
    packed = bulk.produce(positions, bulk.land("positions", bulk.text(good), gz=True))
    assert packed.control_totals == plain.control_totals
    assert packed.raw_bytes == plain.raw_bytes == len(bulk.text(good))
    assert packed.delivery_id != plain.delivery_id


def test_the_same_files_twice_are_the_same_delivery(bulk, positions, good):
    content = bulk.text([*good[:10], b"bad", *good[10:]])
    first = bulk.produce(positions, bulk.land("positions", content))
    again = bulk.produce(positions, bulk.land("positions", content))
    assert again.delivery_id == first.delivery_id
    for topic in (positions.topic.name, positions.topic.error_topic):
        sent = [m.headers["correlationId"] for m in bulk.read_topic(topic)]
        assert len(sent) == 2 * len(set(sent))


def test_more_bad_records_than_allowed_stop_the_feed(bulk, positions):
    feed = replace(positions, errors=ErrorLimit(max_count=3, max_ratio=0.01))
    records = bulk.lines("positions")
    spoiled = [b"bad" if number % 50 == 10 else line for number, line in enumerate(records)]
    with pytest.raises(ErrorLimitExceededError, match=r"records read are bad.*without a manifest") as caught:
        bulk.produce(feed, bulk.land("positions", bulk.text(spoiled)), policy=SMALL_BLOCKS)
    assert caught.value.where.feed == "positions"
    assert not any(m.is_manifest for m in bulk.read_topic(feed.topic.name))
    # Those found until then can be looked at.
    assert len(bulk.read_topic(feed.topic.error_topic)) >= 4


def test_a_feed_that_allows_no_bad_record_stops_at_the_first(bulk, topics):
    feed = topics.feed("net_asset_values")
    source = bulk.land("net_asset_values", bulk.text([*bulk.lines("net_asset_values"), b"bad"]))
    with pytest.raises(ErrorLimitExceededError, match="1 of 41 records read are bad, and the feed allows 0"):
        bulk.produce(feed, source)
    assert not any(m.is_manifest for m in bulk.read_topic(feed.topic.name))


def test_bad_first_lines_do_not_stop_a_file_that_is_good_enough(bulk, positions):
    feed = replace(positions, errors=ErrorLimit(max_count=3, max_ratio=0.05))
    records = [b"bad"] * 10 + bulk.lines("positions")
    manifest = bulk.produce(feed, bulk.land("positions", bulk.text(records)), policy=SMALL_BLOCKS)
    assert (manifest.error_records, manifest.source_records) == (10, len(records))


def test_bad_records_do_not_move_the_others_to_other_batches(bulk, positions):
    feed = replace(positions, batch=replace(positions.batch, max_records=7))
    records = bulk.lines("positions")[:100]
    codec = codec_for(feed.schema)

    def first_keys(spoiled):
        source = bulk.land("positions", bulk.text(spoiled))
        manifest = bulk.produce(feed, source)
        found = {}
        for message in bulk.read_topic(feed.topic.name):
            if message.headers["deliveryId"] == manifest.delivery_id and not message.is_manifest:
                rows = codec.decode([message.value[PREFIX_BYTES:]])
                found[int(message.headers["batchIndex"])] = rows.column("position_id").to_pylist()
        return found

    whole = first_keys(records)
    # The bad line has as many bytes as the good one had: cuts depend on bytes.
    broken = first_keys([*records[:40], b"x" * len(records[40]), *records[41:]])
    missing = {key for keys in whole.values() for key in keys} - {key for keys in broken.values() for key in keys}
    assert len(missing) == 1
    assert {index: [k for k in keys if k not in missing] for index, keys in whole.items()} == broken


def test_nothing_is_left_running_after_a_refusal(bulk, positions, good):
    before = threading.active_count()
    for _ in range(3):
        with pytest.raises(ControlMismatchError):
            bulk.produce(positions, bulk.land("positions", bulk.text(good), records=21))
    assert threading.active_count() == before


def test_gzip_content_that_breaks_off_mid_record_is_one_bad_record(bulk, positions, good):
    content = b"\n".join(good)[:-100]
    manifest = bulk.produce(positions, bulk.land("positions", content, gz=True))
    assert (manifest.records, manifest.error_records) == (19, 1)
