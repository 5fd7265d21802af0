"""Blocks of JSON Lines to records, many at a time: the good ones encoded, the bad ones named.

A line is what ends with a newline, or the last of a block without one; a carriage return before the newline and
white space around a record do not matter; a blank line is no record. What a record may be is said in `row_check`:
the kernel here takes the usual spellings of it, and hands any other line to that module for the verdict.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from feedline.batch import json_kernel
from feedline.batch.codec import RecordCodec, avro_long
from feedline.batch.json_encode import transcode_lines
from feedline.batch.row_check import check_record, encode_record
from feedline.errors import RecordTooLargeError, SchemaMismatchError


@dataclass(frozen=True, slots=True)
class EncodedRecords:
    """Records as Avro, end to end: record i is `data[ends[i]:ends[i + 1]]`; lines[i] is its line in the file."""

    data: bytes = dataclasses.field(repr=False)
    ends: NDArray[np.int64] = dataclasses.field(repr=False)
    lines: NDArray[np.int64] = dataclasses.field(repr=False)

    def __len__(self) -> int:
        return len(self.lines)

    def body(self, start: int = 0, stop: int | None = None, *, prefix: bytes = b"") -> bytes:
        """`prefix`, then records start to stop as the body of the batch schema."""
        stop = len(self) if stop is None else min(stop, len(self))
        if start >= stop:
            return prefix + b"\0"
        items = memoryview(self.data)[self.ends[start] : self.ends[stop]]
        return b"".join((prefix, avro_long(stop - start), items, b"\0"))


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A line that is no record: its number in the file, the field if one is to blame, why, and its bytes.

    `error` is the class of the error that a producer of that single record would have been given.
    """

    line: int
    field: str | None
    reason: str
    raw: bytes = dataclasses.field(repr=False)
    error: type[SchemaMismatchError | RecordTooLargeError] = SchemaMismatchError


def sift_records(
    block: bytes, codec: RecordCodec, *, first_line: int = 1, max_record_bytes: int | None = None
) -> tuple[EncodedRecords, list[BadRecord]]:
    """The good records of a block in order, encoded, and the bad ones. The block begins and ends between lines."""
    limit = len(block) if max_record_bytes is None else max_record_bytes
    data, lines = transcode_lines(block, codec, limit)
    good = lines[:, json_kernel.GOOD] == 1
    if good.all():
        ends = np.concatenate(([0], lines[:, json_kernel.RECORD_STOP]))
        return EncodedRecords(data, ends, lines[:, json_kernel.LINE] + first_line), []
    parts: list[bytes | memoryview] = []
    sizes = np.diff(lines[:, json_kernel.RECORD_STOP], prepend=0)
    bad: list[BadRecord] = []
    view, done = memoryview(data), 0
    for record in np.flatnonzero(~good):
        line, start, stop, written, _ = (int(value) for value in lines[record])
        raw = _whole_line(block, start)
        try:
            if stop - start > limit:
                raise RecordTooLargeError(f"the record has {stop - start} bytes, the feed allows {limit}")  # noqa: TRY301
            # The line with its white space, so that a character's position in the reason is that in the line.
            body = encode_record(check_record(raw.removesuffix(b"\r"), codec), codec)
        except (SchemaMismatchError, RecordTooLargeError) as error:
            bad.append(BadRecord(first_line + line, error.where.field, error.reason, raw, type(error)))
            continue
        parts += [view[done:written], body]
        done = written
        sizes[record] = len(body)
        good[record] = True
    data = b"".join([*parts, view[done:]])
    ends = np.concatenate(([0], np.cumsum(sizes[good])))
    return EncodedRecords(data, ends, lines[good, json_kernel.LINE] + first_line), bad


def sift_block(
    block: bytes, codec: RecordCodec, *, first_line: int = 1, max_record_bytes: int | None = None
) -> tuple[pa.RecordBatch, list[BadRecord]]:
    """The good records of a block in order as columns, and the bad ones."""
    records, bad = sift_records(block, codec, first_line=first_line, max_record_bytes=max_record_bytes)
    return codec.decode([records.body()], [len(records)]), bad


def read_block(block: bytes, codec: RecordCodec, *, first_line: int = 1) -> pa.RecordBatch:
    """The records of a block as columns; raises SchemaMismatchError for the first bad one, with line and field."""
    rows, bad = sift_block(block, codec, first_line=first_line)
    if bad:
        raise SchemaMismatchError(bad[0].reason, line=bad[0].line, field=bad[0].field)
    return rows


def encode_json(record: bytes, codec: RecordCodec) -> bytes:
    """One JSON record as Avro, an item for `join_records`; raises SchemaMismatchError with the field's path."""
    data, lines = transcode_lines(record, codec, len(record))
    if len(lines) == 1 and lines[0, json_kernel.GOOD] == 1:
        return data
    return encode_record(check_record(record, codec), codec)


def _whole_line(block: bytes, inside: int) -> bytes:
    """The line around a byte, without its newline."""
    end = block.find(b"\n", inside)
    return block[block.rfind(b"\n", 0, inside) + 1 : end if end >= 0 else len(block)]


def join_encoded(parts: Sequence[EncodedRecords]) -> EncodedRecords:
    """The records of several blocks of one file, in order."""
    shifts = np.cumsum([0, *(len(part.data) for part in parts)])
    ends = [part.ends[1:] + shift for part, shift in zip(parts, shifts[:-1], strict=True)]
    return EncodedRecords(
        b"".join(part.data for part in parts),
        np.concatenate([np.zeros(1, dtype=np.int64), *ends]),
        np.concatenate([np.zeros(0, dtype=np.int64), *(part.lines for part in parts)]),
    )
