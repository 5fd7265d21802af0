"""Blocks of lines: the good records in order, every bad line named with its number and bytes, and nothing lost."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedline.batch.codec import codec_for
from feedline.batch.json_lines import BadRecord, join_encoded, read_block, sift_block, sift_records
from feedline.errors import RecordTooLargeError, SchemaMismatchError

CODEC = codec_for(
    {
        "type": "record",
        "name": "R",
        "fields": [
            {"name": "id", "type": "long"},
            {"name": "note", "type": ["null", "string"]},
            {"name": "rate", "type": ["null", "double"]},
        ],
    }
)


def ids(rows: Any) -> list[int]:
    return [row["id"] for row in rows.to_pylist()]


def test_the_good_rest_keeps_its_order_and_bad_lines_their_numbers_and_bytes() -> None:
    block = b'{"id":1}\n{"id":"x"}\n{"id":2,"rate":1e-5}\n\n{"id":3,"note":"\\u00"}\r\n{"id":4}'
    records, bad = sift_records(block, CODEC, first_line=11)
    assert ids(CODEC.decode([records.body()], [3])) == [1, 2, 4]
    assert records.lines.tolist() == [11, 13, 16]
    assert [(b.line, b.field, b.raw) for b in bad] == [
        (12, "id", b'{"id":"x"}'),
        (15, None, b'{"id":3,"note":"\\u00"}\r'),
    ]


def test_line_ends_blank_lines_and_white_space_do_not_matter() -> None:
    block = b'\r\n \t\n{"id":1}\r\n\r\n  { "id" :\t2 } \n{"id":3}'
    records, bad = sift_records(block, CODEC)
    assert bad == []
    assert records.lines.tolist() == [3, 5, 6]
    assert ids(read_block(block, CODEC)) == [1, 2, 3]


@pytest.mark.parametrize("block", [b"", b"\n", b" \r\n\t\n"])
def test_a_block_without_a_record_is_no_error(block: bytes) -> None:
    rows, bad = sift_block(block, CODEC)
    assert (rows.num_rows, bad) == (0, [])
    assert rows.schema.equals(CODEC.arrow_schema)


def test_a_record_over_the_limit_is_refused_unparsed_and_the_limit_itself_is_not() -> None:
    line = b'{"id":1,"note":"%s"}' % (b"x" * 100)
    rows, bad = sift_block(line + b"\n" + line + b" \n" + line[:-2] + b'y"}', CODEC, max_record_bytes=len(line))
    assert ids(rows) == [1, 1]
    assert [(b.line, b.error) for b in bad] == [(3, RecordTooLargeError)]
    assert f"{len(line) + 1} bytes, the feed allows {len(line)}" in bad[0].reason


def test_fields_in_any_order_and_missing_nullable_ones_are_taken() -> None:
    block = b'{"rate":0.5,"note":"a","id":1}\n{"note":null,"id":2}\n{"id":3,"rate":2}\n{"rate":null,"id":4}'
    assert read_block(block, CODEC).to_pylist() == [
        {"id": 1, "note": "a", "rate": 0.5},
        {"id": 2, "note": None, "rate": None},
        {"id": 3, "note": None, "rate": 2.0},
        {"id": 4, "note": None, "rate": None},
    ]


def test_read_block_raises_for_the_first_bad_line() -> None:
    with pytest.raises(SchemaMismatchError, match="is not in the schema") as caught:
        read_block(b'{"id":1}\n{"id":2,"more":0}\n{}', CODEC, first_line=5)
    assert (caught.value.where.line, caught.value.where.field) == (6, "more")


def test_nesting_bombs_on_a_small_thread_stack_are_bad_records_not_a_crash() -> None:
    bombs = [
        b"[" * 200_000,
        b'{"id":' * 100_000,
        b'{"id":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"a":[' * 50_000,
    ]
    found: list[list[BadRecord]] = []
    before = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=lambda: found.append(sift_block(b"\n".join(bombs), CODEC)[1]))
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert [b.line for b in found[0]] == [1, 2, 3, 4]


def test_output_that_outgrows_its_json_is_still_whole() -> None:
    many = {"name": "l", "type": {"type": "array", "items": {"type": "record", "name": "I", "fields": [
        {"name": f"f{i}", "type": ["null", "int"]} for i in range(200)
    ]}}}  # fmt: skip
    codec = codec_for({"type": "record", "name": "Wide", "fields": [many]})
    block = b'{"l":[' + b",".join([b"{}"] * 3_000) + b"]}"
    rows, bad = sift_block(b"\n".join([block] * 3), codec)
    assert bad == []
    assert [len(row) for row in rows.column("l").to_pylist()] == [3_000] * 3


def test_bodies_are_cut_and_joined_without_touching_a_record() -> None:
    blocks = [b"\n".join(b'{"id":%d,"note":"n%d"}' % (i, i) for i in range(at, at + 7)) for at in (0, 7, 14)]
    parts = [sift_records(block, CODEC, first_line=1 + 7 * n)[0] for n, block in enumerate(blocks)]
    whole = join_encoded(parts)
    assert whole.lines.tolist() == list(range(1, 22))
    bodies = [whole.body(0, 5), whole.body(5, 5), whole.body(5, 20), whole.body(20)]
    assert ids(CODEC.decode(bodies, [5, 0, 15, 1])) == list(range(21))
    assert len(join_encoded([])) == 0


LINES = st.one_of(
    st.integers(-5, 5).map(lambda i: b'{"id":%d}' % i),
    st.sampled_from(
        [b"", b" ", b"{}", b"null", b'{"id":1.5}', b'{"id":1,"rate":1e400}', b'{"id":7,"rate":12345678901234567890}',
         b'{"id":8,"note":"\xff"}', b'{"\\u0069d":9}', b"[", b'{"id":1,"id":2}', b'{"id":3,"note":"\xe2\x82\xac"}']
    ),
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(LINES, max_size=12), st.sampled_from([b"\n", b"\r\n"]))
def test_a_block_is_judged_line_by_line_whatever_stands_beside_them(lines: list[bytes], end: bytes) -> None:
    rows, bad = sift_block(end.join(lines), CODEC)
    alone = [sift_block(line, CODEC) for line in lines]
    assert rows.to_pylist() == [row for one, _ in alone for row in one.to_pylist()]
    numbered = [(number, b.field, b.reason) for number, (_, found) in enumerate(alone, 1) for b in found]
    assert [(b.line, b.field, b.reason) for b in bad] == numbered
