"""The kernel that reads Avro arrays of records into Arrow buffers, any schema's, trusting no byte of them.

It runs twice over the same bodies: `fill` False walks and checks everything (bounds, varints, union and enum indices,
UTF-8, decimals' precision, block counts and sizes) and counts rows and bytes, so that memory is sized by
what is there and never by what a length claims; `fill` True stores the values. The bytes must not change between.
"""

# One function a step, comparisons spelled out: numba pays for every call that hands over an array, and for `in`.
# ruff: noqa: C901, PLR0911, PLR0912, PLR0915, PLR0917, PLR1714, SIM109

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from feedline.batch.avro_program import (
    ARRAY,
    ARRAY_END,
    BOOLEAN,
    BYTES,
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
    copy_bytes,
    i64,
    load_u8,
    read_varint,
    store_i32,
    store_i64,
    store_u8,
    u8,
    u64,
    valid_utf8,
)

# Columns of the table of output addresses, one row a program row; 0: there is none, or the column is not wanted.
VALID: Final = 0
VALUES: Final = 1  # values, or 32-bit offsets
DATA: Final = 2
TABLE_COLUMNS: Final = 3

# What the kernel answers; the body, the record in it and the program row are in `place`.
OK: Final = 0
TRUNCATED: Final = 1
BAD_UNION: Final = 2
BAD_ENUM: Final = 3
BAD_UTF8: Final = 4
BAD_DECIMAL: Final = 5
BAD_COUNT: Final = 6
BAD_BLOCK_SIZE: Final = 7
OUT_OF_RANGE: Final = 8
TRAILING: Final = 9
WRONG_COUNT: Final = 10
BAD_BOOLEAN: Final = 11
TOO_LARGE: Final = 12
BAD_LENGTH: Final = 13

_LARGEST_OFFSET = 2**31 - 1


@njit(inline="always")
def _read_decimal(at: int, size: int) -> tuple[int, int]:
    """Low and high word of big-endian two's complement bytes, 1 to 16 of them."""
    high = i64(np.int8(load_u8(at))) >> 63
    low = u64(high)
    for k in range(size):
        high = (high << 8) | i64(low >> u64(56))
        low = (low << u64(8)) | u64(load_u8(at + k))
    return i64(low), high


@njit(inline="always")
def _within(low: int, high: int, limits: Any, precision: int) -> bool:
    """Whether a 128-bit integer's magnitude is below ten to the precision."""
    bottom, top = u64(low), u64(high)
    if high < 0:
        bottom = ~bottom + u64(1)
        top = ~top + u64(1 if bottom == u64(0) else 0)
    return bool(top < limits[precision, 1] or (top == limits[precision, 1] and bottom < limits[precision, 0]))


@njit(inline="always")
def _block(at: int, end: int, least: int) -> tuple[int, int, int, int]:
    """An array block's head: its items, where it must end (0 when it does not say), the address after, the error."""
    count, at = read_varint(at, end)
    if at == 0:
        return 0, 0, 0, TRUNCATED
    stop = i64(0)
    if count < 0:
        size, at = read_varint(at, end)
        if at == 0:
            return 0, 0, 0, TRUNCATED
        if size < 0 or size > end - at:
            return 0, 0, 0, BAD_BLOCK_SIZE
        count = -count
        stop = at + size
    # The least negative long stays negative; no item takes fewer than `least` bytes.
    if count < 0 or count > (end - at) // least:
        return 0, 0, 0, BAD_COUNT
    return count, stop, at, OK


@njit(inline="always")
def _set_bit(bitmap: int, index: int) -> None:
    store_u8(bitmap + (index >> 3), u8(load_u8(bitmap + (index >> 3)) | u8(1 << (index & 7))))


@njit
def _fill_null(ops: Any, table: Any, pc: int, row_of: Any, filled: Any) -> None:
    """Give a null node, and every node inside it that shares its rows, an empty value."""
    frame = ops[pc, FRAME]
    row = row_of[frame]
    for inner in range(pc, ops[pc, END]):
        op = ops[inner, OP]
        values = table[inner, VALUES]
        if values != 0 and ops[inner, FRAME] == frame:
            if op == STRING or op == BYTES or op == ENUM:
                store_i32(values + 4 * (row + 1), np.int32(filled[inner]))
            elif op == ARRAY:
                store_i32(values + 4 * (row + 1), np.int32(row_of[ops[inner, A]]))


def _make(sources: int) -> Any:
    @njit(nogil=True, cache=True)
    def decode(
        ops: Any,
        texts: Any,
        ends: Any,
        limits: Any,
        bodies: Any,
        counts: Any,
        least: int,
        fill: bool,
        table: Any,
        row_of: Any,
        filled: Any,
        place: Any,
    ) -> int:
        if sources == 0:
            return OK
        frames = row_of.shape[0]
        left_of = np.zeros(frames, dtype=np.int64)
        stop_of = np.zeros(frames, dtype=np.int64)
        for body in range(bodies.shape[0]):
            at, end = bodies[body, 0], bodies[body, 1]
            first = row_of[0]
            place[0], place[1], place[2] = body, 0, -1
            left_of[0], stop_of[0], at, error = _block(at, end, least)
            if error != OK:
                return error
            pc = 0 if left_of[0] > 0 else -1
            while pc >= 0:
                op = ops[pc, OP]
                frame = ops[pc, FRAME]
                place[2] = pc
                if op == RECORD_END or op == ARRAY_END:
                    row_of[frame] += 1
                    left_of[frame] -= 1
                    above = ops[pc, PARENT]
                    if left_of[frame] == 0:
                        if stop_of[frame] != 0 and at != stop_of[frame]:
                            return BAD_BLOCK_SIZE
                        item = least if op == RECORD_END else ops[above, B]
                        left_of[frame], stop_of[frame], at, error = _block(at, end, item)
                        if error != OK:
                            return error
                    if left_of[frame] > 0:
                        pc = above + 1
                    elif op == RECORD_END:
                        pc = -1
                    else:
                        if fill and table[above, VALUES] != 0:
                            where = table[above, VALUES] + 4 * (row_of[ops[above, FRAME]] + 1)
                            store_i32(where, np.int32(row_of[frame]))
                        pc += 1
                    place[1] = row_of[0] - first
                    continue
                row = row_of[frame]
                if ops[pc, NULL] != NOT_NULL:
                    branch, at = read_varint(at, end)
                    if at == 0:
                        return TRUNCATED
                    if branch != 0 and branch != 1:
                        return BAD_UNION
                    if (branch == 0) == (ops[pc, NULL] == NULL_FIRST):
                        if fill:
                            _fill_null(ops, table, pc, row_of, filled)
                        pc = ops[pc, END]
                        continue
                    if fill and table[pc, VALID] != 0:
                        _set_bit(table[pc, VALID], row)
                values = table[pc, VALUES]
                if op == STRUCT:
                    pc += 1
                elif op == STRING or op == BYTES:
                    length, at = read_varint(at, end)
                    if at == 0:
                        return TRUNCATED
                    if length < 0:
                        return BAD_LENGTH
                    if length > end - at:
                        return TRUNCATED
                    if not fill:
                        if op == STRING and not valid_utf8(at, at + length):
                            return BAD_UTF8
                        filled[pc] += length
                    elif values != 0:
                        copy_bytes(table[pc, DATA] + filled[pc], at, length)
                        filled[pc] += length
                        store_i32(values + 4 * (row + 1), np.int32(filled[pc]))
                    at += length
                    pc += 1
                elif op == DECIMAL or op == DECIMAL_FIXED:
                    size = ops[pc, SIZE]
                    if op == DECIMAL:
                        size, at = read_varint(at, end)
                        if at == 0:
                            return TRUNCATED
                    if size < 0:
                        return BAD_LENGTH
                    if size > end - at:
                        return TRUNCATED
                    if size == 0:
                        return BAD_DECIMAL
                    # Longer than it need be is legal: what precedes the last 16 bytes must repeat the sign.
                    while size > 16:
                        sign = u8(255 if load_u8(at + 1) > 127 else 0)
                        if load_u8(at) != sign:
                            return BAD_DECIMAL
                        at += 1
                        size -= 1
                    low, high = _read_decimal(at, size)
                    if not fill:
                        if not _within(low, high, limits, ops[pc, A]):
                            return BAD_DECIMAL
                    elif values != 0:
                        store_i64(values + 16 * row, low)
                        store_i64(values + 16 * row + 8, high)
                    at += size
                    pc += 1
                elif op == BOOLEAN:
                    if at >= end:
                        return TRUNCATED
                    byte = load_u8(at)
                    if byte > 1:
                        return BAD_BOOLEAN
                    if fill and values != 0 and byte == 1:
                        _set_bit(values, row)
                    at += 1
                    pc += 1
                elif op == FLOAT or op == DOUBLE or op == FIXED:
                    size = 4 if op == FLOAT else 8 if op == DOUBLE else ops[pc, SIZE]
                    if size > end - at:
                        return TRUNCATED
                    if fill and values != 0:
                        copy_bytes(values + size * row, at, size)
                    at += size
                    pc += 1
                elif op == ARRAY:
                    inner = ops[pc, A]
                    left_of[inner], stop_of[inner], at, error = _block(at, end, ops[pc, B])
                    if error != OK:
                        return error
                    if left_of[inner] > 0:
                        pc += 1
                        continue
                    if fill and values != 0:
                        store_i32(values + 4 * (row + 1), np.int32(row_of[inner]))
                    pc = ops[pc, END]
                else:
                    number, at = read_varint(at, end)
                    if at == 0:
                        return TRUNCATED
                    if op == ENUM:
                        if number < 0 or number >= ops[pc, B]:
                            return BAD_ENUM
                        start = ends[ops[pc, A] + number]
                        length = ends[ops[pc, A] + number + 1] - start
                        if fill and values != 0:
                            for k in range(length):
                                store_u8(table[pc, DATA] + filled[pc] + k, texts[start + k])
                            store_i32(values + 4 * (row + 1), np.int32(filled[pc] + length))
                        filled[pc] += length
                    elif op == INT or op == DATE:
                        if number != i64(np.int32(number)):
                            return OUT_OF_RANGE
                        if fill and values != 0:
                            store_i32(values + 4 * row, np.int32(number))
                    elif fill and values != 0:
                        store_i64(values + 8 * row, number)
                    pc += 1
            if at != end:
                return TRAILING
            if counts[body] >= 0 and row_of[0] - first != counts[body]:
                return WRONG_COUNT
        for pc in range(ops.shape[0]):
            place[2] = pc
            if filled[pc] > _LARGEST_OFFSET or row_of[ops[pc, FRAME]] > _LARGEST_OFFSET:
                return TOO_LARGE
        return OK

    return decode


decode = _make(SOURCES)
