"""Blocks of lines in, encoded blocks out, in file order, with a bounded number of them under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from functools import partial
from typing import TypeVar

from feedline.catalog import Feed
from feedline.producer.delivery_blocks import BlockEncoder, EncodedBlock, WholeGroups
from feedline.producer.line_blocks import LineBlock, OverlongLine

T = TypeVar("T")
Item = EncodedBlock | OverlongLine


def encoded_blocks(
    blocks: Iterable[LineBlock | OverlongLine], encoder: BlockEncoder, feed: Feed, pool: Executor, ahead: int
) -> Iterator[Item]:
    """One file's blocks, parsed and encoded by the pool; at most `ahead` are read before the first is taken."""
    if feed.batch.group_by is None:
        yield from _ahead(blocks, encoder.encode, pool, ahead)
        return
    # A micro-batch ends where its last group does, which may be in a later block: only parsing is out of order.
    groups = WholeGroups(feed.batch.group_by)
    for parsed in _ahead(blocks, encoder.parse, pool, ahead):
        if isinstance(parsed, OverlongLine):
            yield parsed
            continue
        encoded = [batch for draft in groups.add(parsed) for batch in encoder.messages(draft)]
        yield EncodedBlock(encoded, parsed.totals, parsed.bad)
    rest = [batch for draft in groups.end() for batch in encoder.messages(draft)]
    yield EncodedBlock(rest, None, ())


def _ahead(
    blocks: Iterable[LineBlock | OverlongLine], work: Callable[[LineBlock], T], pool: Executor, ahead: int
) -> Iterator[T | OverlongLine]:
    waiting: deque[Callable[[], T | OverlongLine]] = deque()
    for block in blocks:
        waiting.append(partial(_same, block) if isinstance(block, OverlongLine) else pool.submit(work, block).result)
        if len(waiting) >= ahead:
            yield waiting.popleft()()
    while waiting:
        yield waiting.popleft()()


def _same(line: OverlongLine) -> OverlongLine:
    return line
