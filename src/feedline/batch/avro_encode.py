"""The kernel that writes rows of an Arrow record batch as Avro records, any schema's, straight from Arrow's buffers.

It is given the batch as a C Data Interface `struct ArrowArray` (https://arrow.apache.org/docs/format/
CDataInterface.html), finds the buffers of every node itself, and honours offsets, so slices need no copy.
"""

# One function a step, comparisons spelled out: numba pays for every call that hands over an array, and for `in`.
# ruff: noqa: C901, PLR0912, PLR0915, PLR0917, PLR1714, SIM109

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from feedline.batch.avro_program import (
    ARRAY,
    ARRAY_END,
    BOOLEAN,
    BYTES,
    CHILD,
    DATE,
    DECIMAL,
    DECIMAL_FIXED,
    DOUBLE,
    END,
    ENUM,
    FIXED,
    FLOAT,
    FRAME,
    INT,
    NOT_NULL,
    NULL,
    NULL_FIRST,
    OP,
    PARENT,
    RECORD_END,
    SIZE,
    STRING,
    STRUCT,
    A,
    B,
)
from feedline.batch.native import (
    SOURCES,
    bit,
    copy_bytes,
    i64,
    leading_zeros,
    load_i32,
    load_i64,
    load_u8,
    load_u64,
    store_i64,
    store_u8,
    store_u64,
    swap_bytes,
    u8,
    u64,
    write_varint,
)

# Columns of the table of addresses, one row a program row.
_ARROW = 0  # struct ArrowArray
_BASE = 1  # what is added to a row of the frame to index the buffers
_VALID = 2  # validity bitmap, 0 when every value is valid
_VALUES = 3  # values, or 32-bit offsets
_DATA = 4  # bytes that the offsets point into
_TABLE_COLUMNS = 5

# Offsets within struct ArrowArray.
_NULL_COUNT = 8
_OFFSET = 16
_BUFFERS = 40
_CHILDREN = 48

# What the kernel answers in place of a length; the row and program row are in `place`.
NULL_IN_REQUIRED: Final = -1
UNKNOWN_SYMBOL: Final = -2

# Bytes that stores of whole words may write past the last value.
SLACK: Final = 64
# Most bytes of one value apart from a string's own: union index, ten-byte varint and an array's end, or a decimal.
_MOST = 20


@njit(inline="always")
def write_decimal(at: int, low: Any, high: int) -> int:
    """A 128-bit integer as Avro `bytes`: its length, then the fewest big-endian two's complement bytes."""
    signed = i64(low)
    if high == signed >> 63:
        size = (72 - leading_zeros(u64(signed ^ (signed >> 63)))) >> 3
        store_u8(at, u8(size << 1))
        store_u64(at + 1, swap_bytes(low << u64(64 - 8 * size)))
        return at + 1 + int(size)
    top = ((136 - leading_zeros(u64(high ^ (high >> 63)))) >> 3) - 8
    store_u8(at, u8((top + 8) << 1))
    store_u64(at + 1, swap_bytes(u64(high) << u64(64 - 8 * top)))
    store_u64(at + 1 + top, swap_bytes(low))
    return at + 9 + int(top)


@njit(inline="always")
def write_fixed_decimal(at: int, low: Any, high: int, size: int) -> int:
    """A 128-bit integer that fits in `size` bytes as that many big-endian two's complement bytes."""
    while size > 16:
        store_u8(at, u8(high >> 63))
        at += 1
        size -= 1
    if size > 8:
        store_u64(at, swap_bytes(u64(high) << u64(128 - 8 * size)))
        store_u64(at + size - 8, swap_bytes(low))
    else:
        store_u64(at, swap_bytes(low << u64(64 - 8 * size)))
    return at + size


@njit
def symbol_of(texts: int, ends: int, first: int, count: int, at: int, length: int) -> int:
    """Which of an enum's symbols the text at an address is; -1: none. `texts` and `ends` are addresses."""
    for index in range(count):
        start = load_i64(ends + 8 * (first + index))
        if load_i64(ends + 8 * (first + index + 1)) - start == length:
            same = True
            for k in range(length):
                if load_u8(texts + start + k) != load_u8(at + k):
                    same = False
                    break
            if same:
                return index
    return -1


@njit
def _bind(ops: Any, root: int, table: Any) -> None:
    """Fill the table of addresses from the exported arrays."""
    for pc in range(ops.shape[0]):
        if ops[pc, OP] == ARRAY_END or ops[pc, OP] == RECORD_END:
            continue
        parent = ops[pc, PARENT]
        above = root if parent < 0 else table[parent, _ARROW]
        arrow = load_i64(load_i64(above + _CHILDREN) + 8 * ops[pc, CHILD])
        buffers = load_i64(arrow + _BUFFERS)
        base = load_i64(arrow + _OFFSET)
        if parent < 0:
            base += load_i64(root + _OFFSET)
        elif ops[parent, OP] == STRUCT:
            base += table[parent, _BASE]
        table[pc, _ARROW] = arrow
        table[pc, _BASE] = base
        table[pc, _VALID] = 0 if load_i64(arrow + _NULL_COUNT) == 0 else load_i64(buffers)
        if ops[pc, OP] != STRUCT:
            table[pc, _VALUES] = load_i64(buffers + 8)
        if ops[pc, OP] == STRING or ops[pc, OP] == BYTES or ops[pc, OP] == ENUM:
            table[pc, _DATA] = load_i64(buffers + 16)


@njit
def _most_bytes(ops: Any, table: Any, frames: int, start: int, stop: int) -> int:
    """No fewer bytes than rows start to stop take: a constant a value and the strings' own bytes."""
    low = np.zeros(frames, dtype=np.int64)
    high = np.zeros(frames, dtype=np.int64)
    low[0], high[0] = start, stop
    total = 0
    for pc in range(ops.shape[0]):
        op = ops[pc, OP]
        first, last = low[ops[pc, FRAME]], high[ops[pc, FRAME]]
        if op == ARRAY_END or op == RECORD_END or first >= last:
            continue
        total += (last - first) * (_MOST + ops[pc, SIZE])
        if op == STRING or op == BYTES or op == ARRAY:
            offsets = table[pc, _VALUES] + 4 * table[pc, _BASE]
            begin, end = load_i32(offsets + 4 * first), load_i32(offsets + 4 * last)
            if op == ARRAY:
                low[ops[pc, A]], high[ops[pc, A]] = begin, end
            else:
                total += end - begin
    return total


def _make(sources: int) -> tuple[Any, Any]:
    @njit(nogil=True, cache=True)
    def bind(ops: Any, frames: int, root: int, table: Any, start: int, stop: int) -> int:
        if sources == 0:
            return 0
        _bind(ops, root, table)
        return _most_bytes(ops, table, frames, start, stop)

    @njit(nogil=True, cache=True)
    def encode(
        ops: Any, texts: Any, ends: Any, frames: int, table: Any, start: int, stop: int, out: int, place: Any
    ) -> int:
        if sources == 0:
            return 0
        row_of = np.zeros(frames, dtype=np.int64)
        last_of = np.zeros(frames, dtype=np.int64)
        at = out
        pc = 0
        row_of[0], last_of[0] = start, stop
        if start >= stop:
            return 0
        while True:
            op = ops[pc, OP]
            frame = ops[pc, FRAME]
            if op == RECORD_END:
                row_of[0] += 1
                if row_of[0] == stop:
                    return at - out
                pc = 0
                continue
            if op == ARRAY_END:
                row_of[frame] += 1
                if row_of[frame] < last_of[frame]:
                    pc = ops[pc, PARENT] + 1
                else:
                    store_u8(at, u8(0))
                    at += 1
                    pc += 1
                continue
            index = table[pc, _BASE] + row_of[frame]
            null = ops[pc, NULL]
            valid = table[pc, _VALID]
            if valid != 0 and not bit(valid, index):
                if null == NOT_NULL:
                    place[0], place[1] = row_of[0], pc
                    return NULL_IN_REQUIRED
                store_u8(at, u8(0 if null == NULL_FIRST else 2))
                at += 1
                pc = ops[pc, END]
                continue
            if null != NOT_NULL:
                store_u8(at, u8(2 if null == NULL_FIRST else 0))
                at += 1
            values = table[pc, _VALUES]
            if op == STRING or op == BYTES:
                begin = i64(load_i32(values + 4 * index))
                length = i64(load_i32(values + 4 * index + 4)) - begin
                at = write_varint(at, length)
                copy_bytes(at, table[pc, _DATA] + begin, length)
                at += length
            elif op == DECIMAL:
                at = write_decimal(at, load_u64(values + 16 * index), load_i64(values + 16 * index + 8))
            elif op == INT or op == DATE:
                at = write_varint(at, i64(load_i32(values + 4 * index)))
            elif op == ENUM:
                begin = i64(load_i32(values + 4 * index))
                length = i64(load_i32(values + 4 * index + 4)) - begin
                symbol = symbol_of(
                    texts.ctypes.data, ends.ctypes.data, ops[pc, A], ops[pc, B], table[pc, _DATA] + begin, length
                )
                if symbol < 0:
                    place[0], place[1] = row_of[0], pc
                    return UNKNOWN_SYMBOL
                at = write_varint(at, symbol)
            elif op == BOOLEAN:
                store_u8(at, u8(bit(values, index)))
                at += 1
            elif op == DOUBLE:
                store_i64(at, load_i64(values + 8 * index))
                at += 8
            elif op == FLOAT:
                copy_bytes(at, values + 4 * index, 4)
                at += 4
            elif op == FIXED:
                copy_bytes(at, values + ops[pc, SIZE] * index, ops[pc, SIZE])
                at += ops[pc, SIZE]
            elif op == DECIMAL_FIXED:
                low, high = load_u64(values + 16 * index), load_i64(values + 16 * index + 8)
                at = write_fixed_decimal(at, low, high, ops[pc, SIZE])
            elif op == ARRAY:
                begin = i64(load_i32(values + 4 * index))
                count = i64(load_i32(values + 4 * index + 4)) - begin
                at = write_varint(at, count)
                if count == 0:
                    pc = ops[pc, END]
                    continue
                row_of[ops[pc, A]], last_of[ops[pc, A]] = begin, begin + count
            elif op != STRUCT:  # LONG and the timestamps
                at = write_varint(at, load_i64(values + 8 * index))
            pc += 1

    return bind, encode


bind, encode = _make(SOURCES)
TABLE_COLUMNS: Final = _TABLE_COLUMNS
