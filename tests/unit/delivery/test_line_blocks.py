"""Where a file is cut into micro-batches."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedline.producer.line_blocks import Cutting, LineBlock, LineCutter, OverlongLine

MAX_LINE = 20
LINES = st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"x")), max_size=60)


def _pieces(text: bytes, size: int) -> Iterator[bytes]:
    return (text[at : at + size] for at in range(0, len(text), size))


def _cut(text: bytes, *, cutting: Cutting, piece: int = 7, block: int = 16) -> list[LineBlock | OverlongLine]:
    cutter = LineCutter(cutting, block_bytes=block, max_line_bytes=MAX_LINE)
    return list(cutter.cut(_pieces(text, piece)))


def _batches(items: list[LineBlock | OverlongLine]) -> list[tuple[int, int, list[bytes]]]:
    """(batch index, first line, its lines) of each micro-batch."""
    found = []
    for item in items:
        if isinstance(item, LineBlock):
            lines = item.data.split(b"\n")
            line = 0
            for index, count in enumerate(item.batches):
                found.append((item.first_batch + index, item.first_line + line, lines[line : line + count]))
                line += count
    return found


@given(lines=LINES, ended=st.booleans(), batches=st.integers(1, 9), piece=st.integers(1, 40), block=st.integers(1, 99))
def test_every_line_is_in_one_batch_or_reported_overlong(lines, ended, batches, piece, block):
    text = b"\n".join(lines) + (b"\n" if ended and lines else b"")
    items = _cut(text, cutting=Cutting(len(text), batches, 5), piece=piece, block=block)
    seen = {first + i: line for _, first, kept in _batches(items) for i, line in enumerate(kept)}
    overlong = {item.line: item for item in items if isinstance(item, OverlongLine)}
    # A file that ends without a newline has no last empty line.
    expected = {n: line for n, line in enumerate(lines, 1) if line or ended or n < len(lines)}
    assert seen == {n: line for n, line in expected.items() if len(line) <= MAX_LINE}
    assert {n: (o.size, o.head) for n, o in overlong.items()} == {
        n: (len(line), line[:MAX_LINE]) for n, line in expected.items() if len(line) > MAX_LINE
    }


@given(
    lines=LINES,
    batches=st.integers(1, 9),
    size=st.integers(0, 2000),
    one=st.tuples(st.integers(1, 40), st.integers(1, 99)),
    other=st.tuples(st.integers(1, 40), st.integers(1, 99)),
)
def test_the_cut_does_not_depend_on_how_the_file_is_read(lines, batches, size, one, other):
    text = b"".join(line + b"\n" for line in lines)
    cutting = Cutting(size, batches, 5)
    first = _cut(text, cutting=cutting, piece=one[0], block=one[1])
    second = _cut(text, cutting=cutting, piece=other[0], block=other[1])
    assert _batches(first) == _batches(second)


@pytest.mark.parametrize("batches", [1, 2, 7, 80])
def test_batches_of_even_records_have_even_bytes(batches):
    text = b"0123456789\n" * 800
    found = _batches(_cut(text, cutting=Cutting(len(text), batches, 10_000), block=512, piece=512))
    assert len(found) == batches
    counts = [len(lines) for _, _, lines in found]
    assert max(counts) - min(counts) <= 1


def test_a_batch_never_has_more_lines_than_its_limit():
    text = b"x\n" * 1000
    assert [len(lines) for _, _, lines in _batches(_cut(text, cutting=Cutting(len(text), 2, 300)))] == [
        300,
        200,
        300,
        200,
    ]


def test_batch_indexes_count_without_a_gap():
    text = b"".join(b"x" * (i % 27) + b"\n" for i in range(200))
    indexes = [index for index, _, _ in _batches(_cut(text, cutting=Cutting(len(text), 13, 9)))]
    assert indexes == list(range(len(indexes)))


def test_a_line_of_gigabytes_is_passed_without_being_kept():
    def endless() -> Iterator[bytes]:
        yield b"short\n"
        for _ in range(10_000):
            yield b"x" * 1_000
        yield b"\nlast\n"

    cutter = LineCutter(Cutting(10_000_000, 4, 100), block_bytes=2_000, max_line_bytes=MAX_LINE)
    overlong = [item for item in cutter.cut(endless()) if isinstance(item, OverlongLine)]
    assert [(o.line, o.size, len(o.head)) for o in overlong] == [(2, 10_000_000, MAX_LINE)]
    assert cutter.lines == 3
    assert cutter.text_bytes == 10_000_012
