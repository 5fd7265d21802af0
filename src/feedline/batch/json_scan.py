"""The first step over a line of JSON: where each field's value lies, without converting any.

Fields may come in any order; the order of the last record is tried first. A name that is not the schema's, given
twice or spelled with escapes, and anything that breaks JSON's structure, stops the scan: the line then goes to
`row_check`, which knows the reason. Values' own syntax is checked when they are converted.
"""

# One function a step, comparisons spelled out: numba pays for every call that hands over an array, and for `in`.
# ruff: noqa: C901, PLR0911, PLR0912, PLR0915, PLR0917, PLR1714, SIM109

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from feedline.batch.avro_program import ARRAY, END, OP, PARENT, STRUCT
from feedline.batch.native import load_u8, load_u32, load_u64, trailing_zeros, u64

# Columns of the table of slots, one row a program row.
START: Final = 0  # first byte of the value; of a string, the byte after the quote; of an array, after the bracket
STOP: Final = 1  # the byte after it, or the closing quote; of an array, how many items it has
KIND: Final = 2
EPOCH: Final = 3  # the scan that found it: older ones are of another record or item
AFTER: Final = 4  # of an array, the byte after its bracket
SLOT_COLUMNS: Final = 5

# Kinds; a string's bits add up.
TOKEN: Final = 0
TEXT: Final = 1
HIGH: Final = 2  # a string with bytes over 127
ESCAPED: Final = 4  # a string with a backslash
NULL_VALUE: Final = 8
OBJECT: Final = 16
LIST: Final = 32

_ONES = u64(0x0101010101010101)
_HIGHS = u64(0x8080808080808080)
_QUOTES = u64(0x2222222222222222)
_SLASHES = u64(0x5C5C5C5C5C5C5C5C)
_SPACES = u64(0x2020202020202020)
_NEWLINES = u64(0x0A0A0A0A0A0A0A0A)
_ZERO = u64(0)
_NULL = np.uint32(int.from_bytes(b"null", "little"))

_TAB, _RETURN, _SPACE = 9, 13, 32
_QUOTE, _COMMA, _COLON, _SLASH = 34, 44, 58, 92
_OPEN_LIST, _CLOSE_LIST, _OPEN, _CLOSE = 91, 93, 123, 125


@njit
def find_newline(at: int, end: int) -> int:
    """The address of the next newline, or `end`."""
    while at + 8 <= end:
        word = load_u64(at) ^ _NEWLINES
        hit = (word - _ONES) & ~word & _HIGHS
        if hit != _ZERO:
            return at + int(trailing_zeros(hit) >> 3)
        at += 8
    while at < end and load_u8(at) != 10:
        at += 1
    return at


@njit
def skip_space(at: int, end: int) -> int:
    """The next byte that is no JSON white space; a newline ends the line, so it is not met here."""
    while at < end:
        byte = load_u8(at)
        if byte != _SPACE and byte != _TAB and byte != _RETURN:
            break
        at += 1
    return at


@njit
def scan_string(at: int, end: int) -> tuple[int, int]:
    """From after the opening quote: the closing quote's address and the kind; address 0 when there is none, or a
    control character comes first. Looks at eight bytes at a time (the exact lowest hit of `haszero`, as in
    https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord)."""
    kind = TEXT
    while True:
        if at + 8 <= end:
            word = load_u64(at)
            quote, slash = word ^ _QUOTES, word ^ _SLASHES
            hit = (((quote - _ONES) & ~quote) | ((slash - _ONES) & ~slash) | ((word - _SPACES) & ~word)) & _HIGHS
            if hit == _ZERO:
                if word & _HIGHS != _ZERO:
                    kind |= HIGH
                at += 8
                continue
            before = trailing_zeros(hit) >> 3
            if word & _HIGHS & ((u64(1) << u64(8 * before)) - u64(1)) != _ZERO:
                kind |= HIGH
            at += before
        elif at >= end:
            return 0, 0
        byte = load_u8(at)
        if byte == _QUOTE:
            return at, kind
        if byte < _SPACE:
            return 0, 0
        if byte == _SLASH:
            kind |= ESCAPED
            at += 1
        elif byte > 127:
            kind |= HIGH
        at += 1


@njit
def _scan_array(at: int, end: int) -> tuple[int, int]:
    """From after the bracket: the address after the array's end, 0 when there is none, and how many items it has."""
    at = skip_space(at, end)
    if at < end and load_u8(at) == _CLOSE_LIST:
        return at + 1, 0
    depth, count = 1, 1
    while at < end:
        byte = load_u8(at)
        at += 1
        if byte == _QUOTE:
            at, _ = scan_string(at, end)
            if at == 0:
                return 0, 0
            at += 1
        elif byte == _COMMA:
            if depth == 1:
                count += 1
        elif byte == _OPEN or byte == _OPEN_LIST:
            depth += 1
        elif byte == _CLOSE or byte == _CLOSE_LIST:
            depth -= 1
            if depth == 0:
                return at, count
    return 0, 0


@njit
def _scan_plain(slots: Any, pc: int, at: int, end: int, is_array: bool) -> int:
    """Fill the slot of a value that is no object; the address after it, or 0."""
    byte = load_u8(at)
    if byte == _QUOTE:
        stop, kind = scan_string(at + 1, end)
        slots[pc, START], slots[pc, STOP], slots[pc, KIND] = at + 1, stop, kind
        return stop + 1 if stop != 0 else 0
    if byte == _OPEN_LIST:
        if not is_array:
            return 0
        after, count = _scan_array(at + 1, end)
        slots[pc, START], slots[pc, STOP], slots[pc, KIND], slots[pc, AFTER] = at + 1, count, LIST, after
        return after
    start = at
    while at < end:
        byte = load_u8(at)
        if byte == _COMMA or byte == _CLOSE or byte == _CLOSE_LIST or byte <= _SPACE:
            break
        at += 1
    kind = TOKEN
    if at - start == 4 and load_u32(start) == _NULL:
        kind = NULL_VALUE
    slots[pc, START], slots[pc, STOP], slots[pc, KIND] = start, at, kind
    return at


@njit
def _is_name(names: Any, bounds: Any, pc: int, at: int, end: int) -> bool:
    """Whether the text at an address is a field's name and the closing quote (`names` holds both)."""
    start = bounds[pc]
    length = bounds[pc + 1] - start
    if at + length > end:
        return False
    here = names.ctypes.data + start
    while length >= 8:
        if load_u64(at) != load_u64(here):
            return False
        at += 8
        here += 8
        length -= 8
    while length > 0:
        if load_u8(at) != load_u8(here):
            return False
        at += 1
        here += 1
        length -= 1
    return True


@njit
def _match(ops: Any, names: Any, bounds: Any, guess: int, first: int, stop: int, at: int, end: int) -> int:
    """The field of a record (rows first to stop) whose name is at an address, looking from `guess` on; -1: none."""
    pc = guess
    while True:
        if _is_name(names, bounds, pc, at, end):
            return pc
        pc = ops[pc, END]
        if pc == stop:
            pc = first
        if pc == guess:
            return -1


@njit
def scan_value(
    ops: Any, names: Any, bounds: Any, follows: Any, slots: Any, top: int, epoch: int, at: int, end: int
) -> int:
    """Fill the slots of the value at an address: of row `top`, or of the whole record when `top` is -1.

    follows[pc] is the field that came after field pc the last time, follows[rows + 1 + pc] the one that record pc
    began with. Returns the address after the value, 0 for what is not plainly right.
    """
    rows = ops.shape[0]
    if at >= end:
        return 0
    if top >= 0:
        slots[top, EPOCH] = epoch
        if ops[top, OP] != STRUCT or load_u8(at) != _OPEN:
            return _scan_plain(slots, top, at, end, ops[top, OP] == ARRAY)
        slots[top, KIND] = OBJECT
    elif load_u8(at) != _OPEN:
        return 0
    record = top
    entering = True
    last = -1
    while True:
        # Within an object: after its opening brace, or after a comma.
        stop = rows - 1 if record < 0 else ops[record, END]
        at = skip_space(at + 1, end)
        if at >= end:
            return 0
        byte = load_u8(at)
        if byte == _QUOTE:
            place = rows + 1 + record if entering else last
            guess = follows[place]
            pc = _match(ops, names, bounds, guess, record + 1, stop, at + 1, end)
            if pc < 0 or slots[pc, EPOCH] == epoch:
                return 0
            if pc != guess:
                follows[place] = pc
            slots[pc, EPOCH] = epoch
            at = skip_space(at + 1 + bounds[pc + 1] - bounds[pc], end)
            if at >= end or load_u8(at) != _COLON:
                return 0
            at = skip_space(at + 1, end)
            if at >= end:
                return 0
            op = ops[pc, OP]
            if load_u8(at) == _OPEN:
                if op != STRUCT:
                    return 0
                slots[pc, KIND] = OBJECT
                record = pc
                entering = True
                continue
            at = _scan_plain(slots, pc, at, end, op == ARRAY)
            if at == 0:
                return 0
            last = pc
        elif not (entering and byte == _CLOSE):
            return 0
        # After a value, or at the brace of an empty object: close what ends here.
        while True:
            at = skip_space(at, end)
            if at >= end:
                return 0
            byte = load_u8(at)
            if byte == _COMMA:
                entering = False
                break
            if byte != _CLOSE:
                return 0
            if record == top:
                return at + 1
            at += 1
            last = record
            record = ops[record, PARENT]
