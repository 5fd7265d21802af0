"""Strings of JSON: resolving escapes, and keeping the bytes in one piece."""

# One function a step, comparisons spelled out: numba pays for every call that hands over an array, and for `in`.
# ruff: noqa: C901, PLR0912, PLR1714

from __future__ import annotations

from numba import njit

from feedline.batch.native import copy_bytes, i64, load_u8, store_u8, u8


@njit
def _hex4(at: int) -> int:
    """Four hexadecimal digits; negative when one is none."""
    number = 0
    for k in range(4):
        byte = i64(load_u8(at + k))
        if 48 <= byte <= 57:
            digit = byte - 48
        elif 97 <= byte | 32 <= 102:
            digit = (byte | 32) - 87
        else:
            return -1
        number = number * 16 + digit
    return number


@njit
def unescape(at: int, stop: int, out: int) -> int:
    """Write a string's bytes with its escapes resolved; the address after them, 0 for an escape that is none or
    half of a surrogate pair. Never writes more bytes than it reads."""
    while at < stop:
        byte = load_u8(at)
        if byte != 92:
            store_u8(out, byte)
            at += 1
            out += 1
            continue
        # The scan saw to it that a byte follows the backslash within the string.
        kind = load_u8(at + 1)
        at += 2
        if kind == 117:
            if stop - at < 4:
                return 0
            code = _hex4(at)
            at += 4
            if code < 0 or 0xDC00 <= code < 0xE000:
                return 0
            if 0xD800 <= code < 0xDC00:
                if stop - at < 6 or load_u8(at) != 92 or load_u8(at + 1) != 117:
                    return 0
                second = _hex4(at + 2)
                at += 6
                if second < 0xDC00 or second > 0xDFFF:
                    return 0
                code = 0x10000 + ((code - 0xD800) << 10) + (second - 0xDC00)
            out = _write_utf8(out, code)
            continue
        plain = 0
        if kind == 34 or kind == 92 or kind == 47:
            plain = i64(kind)
        elif kind == 98:
            plain = 8
        elif kind == 102:
            plain = 12
        elif kind == 110:
            plain = 10
        elif kind == 114:
            plain = 13
        elif kind == 116:
            plain = 9
        else:
            return 0
        store_u8(out, u8(plain))
        out += 1
    return out


@njit
def _write_utf8(out: int, code: int) -> int:
    if code < 0x80:
        store_u8(out, u8(code))
        return out + 1
    if code < 0x800:
        store_u8(out, u8(0xC0 | code >> 6))
        store_u8(out + 1, u8(0x80 | code & 0x3F))
        return out + 2
    if code < 0x10000:
        store_u8(out, u8(0xE0 | code >> 12))
        store_u8(out + 1, u8(0x80 | code >> 6 & 0x3F))
        store_u8(out + 2, u8(0x80 | code & 0x3F))
        return out + 3
    store_u8(out, u8(0xF0 | code >> 18))
    store_u8(out + 1, u8(0x80 | code >> 12 & 0x3F))
    store_u8(out + 2, u8(0x80 | code >> 6 & 0x3F))
    store_u8(out + 3, u8(0x80 | code & 0x3F))
    return out + 4


@njit
def move_down(source: int, target: int, count: int) -> None:
    """Move bytes to a lower address, where both may overlap."""
    if target + count <= source:
        copy_bytes(target, source, count)
        return
    for k in range(count):
        store_u8(target + k, load_u8(source + k))
