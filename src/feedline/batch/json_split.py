"""Finding the records within the text of a JSON micro-batch, without parsing them."""

# One function a step, comparisons spelled out: numba pays for every call that hands over an array, and for `in`.
# ruff: noqa: PLR1714, SIM109

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import numpy as np
from numba import njit

from feedline.batch.json_scan import scan_string
from feedline.batch.native import SOURCES, load_u8

_HEAD = re.compile(rb'\s*\{\s*"records"\s*:\s*\[')
_TAIL = re.compile(rb"\]\s*\}\s*\Z")
# A message ends in a bracket, a brace and whatever space a writer put around them.
_TAIL_BYTES = 64

_QUOTE, _COMMA = 34, 44
_OPEN_LIST, _CLOSE_LIST, _OPEN, _CLOSE = 91, 93, 123, 125


def _make(sources: int) -> Any:
    @njit(nogil=True, cache=True)
    def commas(text: int, size: int, found: Any) -> int:
        """Where the commas between the items of an array lie; -1 when brackets or strings do not close."""
        if sources == 0:
            return 0
        at, end, depth, count = text, text + size, 0, 0
        while at < end:
            byte = load_u8(at)
            if byte == _QUOTE:
                at, _ = scan_string(at + 1, end)
                if at == 0:
                    return -1
            elif byte == _OPEN or byte == _OPEN_LIST:
                depth += 1
            elif byte == _CLOSE or byte == _CLOSE_LIST:
                depth -= 1
                if depth < 0:
                    return -1
            elif byte == _COMMA and depth == 0:
                if count < found.shape[0]:
                    found[count] = at - text
                count += 1
            at += 1
        return count if depth == 0 else -1

    return commas


_commas = _make(SOURCES)


def split_records(body: bytes) -> list[bytes] | None:
    """The text of each item of `{"records":[...]}`; None when the body is not of that form."""
    head, tail = _HEAD.match(body), _TAIL.search(body, max(0, len(body) - _TAIL_BYTES))
    if head is None or tail is None or tail.start() < head.end():
        return None
    text = body[head.end() : tail.start()]
    if not text.strip():
        return []
    source = np.frombuffer(text, dtype=np.uint8)
    found = np.empty(len(text) // 128 + 16, dtype=np.int64)
    count = _commas(source.ctypes.data, len(source), found)
    if count > len(found):
        found = np.empty(count, dtype=np.int64)
        _commas(source.ctypes.data, len(source), found)
    if count < 0:
        return None
    bounds = [-1, *found[:count].tolist(), len(text)]
    return [text[start + 1 : stop].strip() for start, stop in pairwise(bounds)]
