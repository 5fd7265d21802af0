"""Cutting a stream of JSON texts into its top-level values, never holding much more than one of them."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from feedline.metadata.discovery.policy import DiscoveryPolicy
from feedline.metadata.discovery.reading import NotReadableError, check_size, check_value, exact_decoder, explained

CHUNK = 1 << 18
_SPACE = " \t\r\n"


def decoded_chunks(source: BinaryIO, head: bytes) -> Iterator[str]:
    """The text of a file in UTF-8, UTF-16 or UTF-32, with or without byte-order mark, as JSON may be."""
    decode = codecs.getincrementaldecoder(json.detect_encoding(head[:4]))().decode
    while data := source.read(CHUNK):
        yield decode(data)
    yield decode(b"", True)  # noqa: FBT003


def top_level_values(chunks: Iterator[str], policy: DiscoveryPolicy) -> Iterator[tuple[int, int, Any]]:
    """Each sample with the line where it begins and its length as written: the items of arrays at the top, and whatever
    else stands there.

    Raises NotReadableError at the first place where the text is no JSON: there is no knowing where it goes on.
    """
    window = _Window(chunks, policy)
    while (mark := window.next_mark()) is not None:
        if mark != "[":
            yield window.value()
            continue
        window.skip()
        if window.next_mark() == "]":
            window.skip()
            continue
        more = True
        while more:
            yield window.value()
            mark = window.next_mark()
            if mark not in (",", "]"):
                raise window.broken("the array has no end" if mark is None else "Expecting ',' delimiter")
            more = mark == ","
            window.skip()
            if more:
                window.next_mark()


class _Window:
    """The part of the text that is looked at; what lies behind is let go."""

    def __init__(self, chunks: Iterator[str], policy: DiscoveryPolicy) -> None:
        self._chunks, self._policy = chunks, policy
        self._decoder = exact_decoder()
        self._text, self._at, self._passed, self._line = "", 0, 0, 1

    def next_mark(self) -> str | None:
        """The next character that is no space; None at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _SPACE:
                    return self._text[self._at]
                part = self._text[self._at : self._at + 4096]
                skipped = len(part) - len(part.lstrip(_SPACE))
                self._line += part.count("\n", 0, skipped)
                self._at += skipped
            if not self._more(1):
                return None

    def skip(self) -> None:
        self._at += 1

    def broken(self, reason: str) -> NotReadableError:
        return NotReadableError(f"not JSON: {reason} at character {self._passed + self._at + 1:,}", self._line)

    def value(self) -> tuple[int, int, Any]:
        """The line and the length of the value that begins here, and the value."""
        wanted = CHUNK
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                # It may be only the text read so far that ends too early.
                line = self._line + self._text.count("\n", self._at, error.pos)
                passed, held = self._passed, len(self._text) - self._at
                if held > self._policy.max_document_bytes:
                    check_size(self._text[self._at :], self._policy)
                if self._more(wanted):
                    wanted *= 2
                    continue
                raise explained(error, self._policy, passed, line) from None
            except Exception as error:  # noqa: BLE001  told apart there
                raise explained(error, self._policy, self._passed, self._line) from None
            if end == len(self._text) and self._text[end - 1] not in '}]"' and self._more(1):
                # A number or a word may go on in what has not been read.
                continue
            text, self._at, line = self._text[self._at : end], end, self._line
            self._line += text.count("\n")
            try:
                check_size(text, self._policy)
                check_value(text, value, self._policy)
            except NotReadableError as error:
                raise NotReadableError(str(error), line) from None
            return line, len(text), value

    def _more(self, wanted: int) -> bool:
        """Reads on; whether there was anything."""
        self._passed += self._at
        parts, length = [self._text[self._at :]], 0
        self._at = 0
        while length < wanted and (chunk := next(self._chunks, None)) is not None:
            parts.append(chunk)
            length += len(chunk)
        self._text = "".join(parts)
        if len(self._text) > CHUNK and sum(map(self._text.count, ",[{")) > self._policy.max_values + CHUNK:
            check_size(self._text, self._policy)
        return length > 0
