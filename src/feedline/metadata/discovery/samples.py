"""The documents of sample files, one after the other, in bounded memory.

A file may be JSON Lines, one document, an array of documents, or several of these one behind the other, in UTF-8 or
UTF-16, gzip too; what it is shows in its first bytes, not in its name. The items of an array at the top are samples.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from feedline.errors import ConfigurationError
from feedline.metadata.discovery.policy import DiscoveryPolicy
from feedline.metadata.discovery.reading import NotReadableError, exact_decoder, parse_document
from feedline.metadata.discovery.text import decoded_chunks, top_level_values

GZIP = b"\x1f\x8b"
UTF8_MARK = b"\xef\xbb\xbf"
# What is looked at to tell JSON Lines from one document over many lines.
HEAD_BYTES = 1 << 18
HEAD_LINES = 20
# A gzip file is let grow this far whatever its ratio.
FREE_BYTES = 64 << 20

Advance = Callable[[float], None]


class Sample(NamedTuple):
    """value: the document, numbers with a fraction as NumberText; size: its length as written; line: of the file, where
    it begins, or its number among the texts."""

    value: Any
    size: int = 0
    file: str | None = None
    line: int | None = None


class Refused(NamedTuple):
    """A sample that could not be read."""

    file: str | None
    line: int
    reason: str


def samples_of(
    *paths: Path | str, policy: DiscoveryPolicy | None = None, advance: Advance | None = None
) -> Iterator[Sample | Refused]:
    """The samples of files; a broken line comes as Refused, and the rest of the file is read.

    advance: called with the bytes of the files read since its last call. Raises ConfigurationError for a file that
    cannot be read, or is no JSON from a place on where there is no next line to go on at.
    """
    rules = policy or DiscoveryPolicy()
    for path in map(Path, paths):
        yield from _of_file(path, rules, advance or (lambda _: None))


def samples_of_texts(
    texts: Iterable[bytes | str], *, policy: DiscoveryPolicy | None = None, source: str | None = None
) -> Iterator[Sample | Refused]:
    """The samples of texts that are one document each, as a topic's messages are; source: what a report calls them."""
    rules = policy or DiscoveryPolicy()
    decoder = exact_decoder()
    for number, text in enumerate(texts, 1):
        yield from _document(text if isinstance(text, bytes) else text.encode(), decoder, rules, source, number)


def as_samples(samples: Iterable[Any]) -> Iterator[Sample | Refused]:
    """Samples as they are, and plain documents of a program as one sample each."""
    for one in samples:
        if isinstance(one, Sample | Refused):
            yield one
        elif isinstance(one, Mapping):
            yield Sample(dict(one))
        else:
            raise ConfigurationError(f"a sample is a JSON object, not {type(one).__name__}")


def _of_file(path: Path, policy: DiscoveryPolicy, advance: Advance) -> Iterator[Sample | Refused]:
    try:
        with _opened(path, policy, advance) as source:
            head = source.peek(HEAD_BYTES)[:HEAD_BYTES]
            if _is_lines(head, policy):
                yield from _lines(source, path.name, policy)
            else:
                for line, size, value in top_level_values(decoded_chunks(source, head), policy):
                    yield Sample(value, size, path.name, line)
    except NotReadableError as error:
        raise ConfigurationError(f"the sample cannot be read: {error}", file=str(path), line=error.line) from error
    except UnicodeDecodeError as error:
        encoding = error.encoding.upper()
        raise ConfigurationError(f"the sample is not {encoding}: {error.reason}", file=str(path)) from error
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigurationError(f"the sample cannot be read: {error}", file=str(path)) from error


@contextmanager
def _opened(path: Path, policy: DiscoveryPolicy, advance: Advance) -> Iterator[io.BufferedReader[Any]]:
    with path.open("rb", buffering=0) as raw:
        counted = io.BufferedReader(_Counted(raw, advance), HEAD_BYTES)
        if counted.peek(2)[:2] != GZIP:
            yield counted
            return
        limit = max(FREE_BYTES, policy.max_expansion * path.stat().st_size)
        with gzip.GzipFile(fileobj=counted) as unpacked:
            yield io.BufferedReader(_Bounded(unpacked, limit, policy.max_expansion), HEAD_BYTES)


class _Counted(io.RawIOBase):
    """A file that tells how much of it was read."""

    def __init__(self, raw: BinaryIO | io.FileIO, advance: Advance) -> None:
        self._raw, self._advance = raw, advance

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._raw.read(len(buffer)) or b""
        buffer[: len(data)] = data
        self._advance(len(data))
        return len(data)


class _Bounded(io.RawIOBase):
    """An unpacked file that may not grow for ever."""

    def __init__(self, raw: gzip.GzipFile, limit: int, ratio: int) -> None:
        self._raw, self._left, self._ratio = raw, limit, ratio

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._raw.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise NotReadableError(f"it unpacks to more than {self._ratio} times its size: samples do not")
        buffer[: len(data)] = data
        return len(data)


def _is_lines(head: bytes, policy: DiscoveryPolicy) -> bool:
    """Whether it is JSON Lines, where a broken line is one broken sample and not the end: one of the first lines is an
    object by itself, and the first is not the beginning of something longer."""
    if b"\0" in head[:4]:
        return False
    lines = head.removeprefix(UTF8_MARK).splitlines(keepends=True)
    if len(head) >= HEAD_BYTES:
        lines = lines[:-1]
    filled = [line.strip() for line in lines[:HEAD_LINES] if line.strip()]
    if not filled or filled[0] == b"{" or filled[0].startswith(b"["):
        return False
    decoder = exact_decoder()
    for line in filled:
        found = next(_document(line, decoder, policy, None, 0), None) if line.startswith(b"{") else None
        if isinstance(found, Sample):
            return True
    return sum(line.startswith(b"{") and line.endswith(b"}") for line in filled) > 1


def _lines(source: BinaryIO, name: str, policy: DiscoveryPolicy) -> Iterator[Sample | Refused]:
    decoder = exact_decoder()
    limit = policy.max_document_bytes
    number = 0
    while line := source.readline(limit + 1):
        number += 1
        if len(line) > limit and not line.endswith(b"\n"):
            while (rest := source.readline(HEAD_BYTES)) and not rest.endswith(b"\n"):
                pass
            yield Refused(name, number, f"it is over {limit:,} bytes: one sample is one record of a feed")
        elif not line.isspace():
            yield from _document(line, decoder, policy, name, number)


def _document(
    line: bytes, decoder: json.JSONDecoder, policy: DiscoveryPolicy, name: str | None, number: int
) -> Iterator[Sample | Refused]:
    try:
        value = parse_document(line.removeprefix(UTF8_MARK).decode(), decoder, policy)
    except UnicodeDecodeError as error:
        yield Refused(name, number, f"not UTF-8: byte {error.start + 1} is {line[error.start]:#04x}")
        return
    except NotReadableError as error:
        yield Refused(name, number, str(error))
        return
    if isinstance(value, list):
        size = len(line) // max(1, len(value))
        yield from (Sample(one, size, name, number) for one in value)
    else:
        yield Sample(value, len(line), name, number)
