"""The kernel that turns lines of JSON into Avro records, any schema's, in one go and without Arrow between.

It writes a record only when every byte of its line is of the usual kind and fits the schema; any other line it leaves
out and reports, and `row_check` decides on it. So it needs to be exact in what it accepts and nowhere else.
"""

# One function a step, comparisons spelled out: numba pays for every call that hands over an array, and for `in`.
# ruff: noqa: C901, PLR0911, PLR0912, PLR0915, PLR0917, PLR1714, SIM109

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from feedline.batch.avro_encode import symbol_of, write_decimal, write_fixed_decimal
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
    LONG,
    NOT_NULL,
    NULL,
    NULL_FIRST,
    OP,
    PARENT,
    RECORD_END,
    SIZE,
    STRING,
    STRUCT,
    TIMESTAMP_MICROS,
    TIMESTAMP_MILLIS,
    A,
    B,
)
from feedline.batch.json_scan import (
    AFTER,
    EPOCH,
    ESCAPED,
    HIGH,
    KIND,
    LIST,
    NULL_VALUE,
    OBJECT,
    SLOT_COLUMNS,
    START,
    STOP,
    TEXT,
    TOKEN,
    find_newline,
    scan_value,
    skip_space,
)
from feedline.batch.json_text import move_down, unescape
from feedline.batch.json_values import (
    parse_boolean,
    parse_date,
    parse_decimal,
    parse_double,
    parse_integer,
    parse_timestamp,
)
from feedline.batch.native import (
    SOURCES,
    copy_bytes,
    load_u8,
    store_f32,
    store_f64,
    store_u8,
    u8,
    valid_utf8,
    write_varint,
)

# Columns of the table of lines, one row a line that is not blank.
LINE: Final = 0  # its number within the block, from 0
LINE_START: Final = 1  # its first byte in the block, white space left out
LINE_STOP: Final = 2
RECORD_STOP: Final = 3  # where its Avro ends in the output
GOOD: Final = 4  # 1: written; 0: left to the row-wise check
LINE_COLUMNS: Final = 5

# Columns of the state that a call takes up from the one before when the output had to grow.
NEXT_BYTE: Final = 0
NEXT_LINE: Final = 1
RECORDS: Final = 2
WRITTEN: Final = 3
EPOCHS: Final = 4
STATE_COLUMNS: Final = 5

# Bytes that one value may take besides a text's own; the output always has so many left.
ROOM: Final = 64

_FAILED = 0
_FULL = -1
_INTEGERS_IN_32 = 2**31


@njit
def _write_text(start: int, stop: int, kind: int, at: int, limit: int) -> int:
    """A string as Avro; 0 when it is not valid, -1 when the output has no room for it."""
    length = stop - start
    if at + length + ROOM > limit:
        return _FULL
    if kind & HIGH != 0 and not valid_utf8(start, stop):
        return _FAILED
    if kind & ESCAPED == 0:
        at = write_varint(at, length)
        copy_bytes(at, start, length)
        return at + length
    # The length is known only after: leave room for the longest varint, then close the gap.
    text = at + 10
    end = unescape(start, stop, text)
    if end == 0:
        return _FAILED
    at = write_varint(at, end - text)
    move_down(text, at, end - text)
    return at + end - text


@njit
def _write_number(op: int, a: int, b: int, size: int, start: int, stop: int, text: bool, at: int) -> int:
    """A number, boolean, date or timestamp as Avro; 0 when it is not plainly one."""
    if op == DECIMAL or op == DECIMAL_FIXED:
        low, high, right = parse_decimal(start, stop, a, b)
        if not right:
            return _FAILED
        return write_decimal(at, low, high) if op == DECIMAL else write_fixed_decimal(at, low, high, size)
    if text:
        if op == DATE:
            number, right = parse_date(start, stop)
        elif op == TIMESTAMP_MICROS or op == TIMESTAMP_MILLIS:
            number, right = parse_timestamp(start, stop)
            if op == TIMESTAMP_MILLIS:
                right = right and number % 1000 == 0
                number //= 1000
        else:
            return _FAILED
        return write_varint(at, number) if right else _FAILED
    if op == INT or op == LONG:
        number, right = parse_integer(start, stop)
        if not right or (op == INT and not -_INTEGERS_IN_32 <= number < _INTEGERS_IN_32):
            return _FAILED
        return write_varint(at, number)
    if op == BOOLEAN:
        truth = parse_boolean(start, stop)
        if truth < 0:
            return _FAILED
        store_u8(at, u8(truth))
        return at + 1
    if op != DOUBLE and op != FLOAT:
        return _FAILED
    value, right = parse_double(start, stop)
    if not right:
        return _FAILED
    if op == DOUBLE:
        store_f64(at, value)
        return at + 8
    if not np.isfinite(np.float32(value)):
        return _FAILED
    store_f32(at, np.float32(value))
    return at + 4


@njit
def _write_value(
    op: int, a: int, b: int, size: int, kind: int, start: int, stop: int, texts: int, ends: int, at: int, limit: int
) -> int:
    """A leaf's value as Avro; 0 when it does not plainly fit, -1 when the output has no room for it.

    Takes the columns of a row and a slot one by one: to hand arrays to a call costs more than most values do.
    """
    if op == STRING:
        return _write_text(start, stop, kind, at, limit) if kind & TEXT != 0 else _FAILED
    if op == ENUM:
        if kind != TEXT:
            return _FAILED
        symbol = symbol_of(texts, ends, a, b, start, stop - start)
        return write_varint(at, symbol) if symbol >= 0 else _FAILED
    if op == BYTES or op == FIXED:
        if kind != TEXT or (op == FIXED and stop - start != size):
            return _FAILED
        if op == BYTES:
            return _write_text(start, stop, kind, at, limit)
        copy_bytes(at, start, size)
        return at + size
    if kind != TEXT and kind != TOKEN:
        return _FAILED
    return _write_number(op, a, b, size, start, stop, kind == TEXT, at)


@njit
def _write_record(
    program: Any, follows: Any, slots: Any, frames: Any, state: Any, start: int, stop: int, at: int, limit: int
) -> int:
    """One line as an Avro record; the address after it, 0 when the line is not plainly right, -1 when out of room."""
    ops, texts, ends, names, bounds, optional = program
    state[EPOCHS] += 1
    frames[0, 2] = state[EPOCHS]
    if scan_value(ops, names, bounds, follows, slots, -1, state[EPOCHS], start, stop) != stop:
        return _FAILED
    pc = 0
    while True:
        op = ops[pc, OP]
        if op == RECORD_END:
            return at
        frame = ops[pc, FRAME]
        item = -1
        if op == ARRAY_END:
            # frames: where the next item is looked for, items left, epoch of the item's slots.
            cursor = skip_space(frames[frame, 0], stop)
            if cursor >= stop:
                return _FAILED
            frames[frame, 1] -= 1
            if frames[frame, 1] == 0:
                if cursor + 1 != slots[ops[pc, PARENT], AFTER] or load_u8(cursor) != 93:
                    return _FAILED
                store_u8(at, u8(0))
                at += 1
                pc += 1
                continue
            if load_u8(cursor) != 44:
                return _FAILED
            item = ops[pc, PARENT] + 1
            cursor += 1
        else:
            if at + ROOM + ops[pc, SIZE] > limit:
                return _FULL
            given = slots[pc, EPOCH] == frames[frame, 2]
            if not given or slots[pc, KIND] == NULL_VALUE:
                if ops[pc, NULL] == NOT_NULL or not (given or optional[pc]):
                    return _FAILED
                store_u8(at, u8(0 if ops[pc, NULL] == NULL_FIRST else 2))
                at += 1
                pc = ops[pc, END]
                continue
            if ops[pc, NULL] != NOT_NULL:
                store_u8(at, u8(2 if ops[pc, NULL] == NULL_FIRST else 0))
                at += 1
            if op == STRUCT:
                if slots[pc, KIND] != OBJECT:
                    return _FAILED
                pc += 1
                continue
            if op != ARRAY:
                at = _write_value(
                    op,
                    ops[pc, A],
                    ops[pc, B],
                    ops[pc, SIZE],
                    slots[pc, KIND],
                    slots[pc, START],
                    slots[pc, STOP],
                    texts.ctypes.data,
                    ends.ctypes.data,
                    at,
                    limit,
                )
                if at <= 0:
                    return at
                pc += 1
                continue
            if slots[pc, KIND] != LIST:
                return _FAILED
            at = write_varint(at, slots[pc, STOP])
            if slots[pc, STOP] == 0:
                pc = ops[pc, END]
                continue
            frame = ops[pc, A]
            frames[frame, 1] = slots[pc, STOP]
            item = pc + 1
            cursor = slots[pc, START]
        # Scan the array's next item, then write it.
        state[EPOCHS] += 1
        frames[frame, 2] = state[EPOCHS]
        cursor = skip_space(cursor, stop)
        after = scan_value(ops, names, bounds, follows, slots, item, state[EPOCHS], cursor, stop)
        if after == 0:
            return _FAILED
        frames[frame, 0] = after
        pc = item


def _make(sources: int) -> Any:
    @njit(nogil=True, cache=True)
    def transcode(
        program: Any,
        frame_count: int,
        follows: Any,
        block: int,
        size: int,
        most_line: int,
        out: int,
        room: int,
        lines: Any,
        state: Any,
    ) -> bool:
        """Take lines from the block until it ends (True) or the output is full (False: call again with more)."""
        if sources == 0:
            return True
        slots = np.zeros((program[0].shape[0], SLOT_COLUMNS), dtype=np.int64)
        frames = np.zeros((frame_count, 3), dtype=np.int64)
        state[EPOCHS] = 0
        end = block + size
        limit = out + room
        at = out + state[WRITTEN]
        here = block + state[NEXT_BYTE]
        while here < end:
            stop = find_newline(here, end)
            after = stop + 1
            start = skip_space(here, stop)
            while stop > start and (load_u8(stop - 1) == 32 or load_u8(stop - 1) == 13 or load_u8(stop - 1) == 9):
                stop -= 1
            if start < stop:
                written = _FAILED
                if stop - start <= most_line:
                    written = _write_record(program, follows, slots, frames, state, start, stop, at, limit)
                if written == _FULL:
                    return False
                record = state[RECORDS]
                if written != _FAILED:
                    at = written
                lines[record, LINE] = state[NEXT_LINE]
                lines[record, LINE_START] = start - block
                lines[record, LINE_STOP] = stop - block
                lines[record, RECORD_STOP] = at - out
                lines[record, GOOD] = 1 if written != _FAILED else 0
                state[RECORDS] += 1
            state[WRITTEN] = at - out
            state[NEXT_LINE] += 1
            state[NEXT_BYTE] = after - block
            here = after
        return True

    return transcode


transcode = _make(SOURCES)
