"""Blocks through the pool: in order, bounded, with groups whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from feedline.batch.codec import codec_for
from feedline.batch.wire import PREFIX_BYTES, prefix
from feedline.catalog import Feed, load_catalog
from feedline.producer.delivery_blocks import BlockEncoder
from feedline.producer.delivery_pipeline import encoded_blocks
from feedline.producer.line_blocks import LineBlock, OverlongLine

SCHEMA = {
    "type": "record",
    "name": "Entry",
    "businessKeys": ["id"],
    "fields": [{"name": "id", "type": "long"}, {"name": "fund", "type": "string"}],
}
LIMIT = 1 << 20


@pytest.fixture
def feed() -> Feed:
    base = load_catalog().feed("positions")
    batch = replace(base.batch, group_by=None)
    return replace(base, name="entries", schema=SCHEMA, batch=batch, control_totals=("id",), fund_field="fund")


def _block(number: int, funds: str, *batches: int) -> LineBlock:
    """Block `number`, with a record of each fund; batches of it count on from 10 * number."""
    lines = [f'{{"id": {number * 100 + i}, "fund": "{fund}"}}\n' for i, fund in enumerate(funds)]
    return LineBlock(number * 100 + 1, number * 10, batches or (len(lines),), "".join(lines).encode())


def _run(feed: Feed, blocks, *, limit: int = LIMIT, ahead: int = 3):
    with ThreadPoolExecutor(2) as pool:
        yield from encoded_blocks(blocks, BlockEncoder(feed, prefix(1), limit), feed, pool, ahead)


def _ids(batch) -> list[int]:
    return codec_for(SCHEMA).decode([batch.value[PREFIX_BYTES:]]).column("id").to_pylist()


def test_blocks_come_out_in_the_order_they_went_in(feed):
    blocks = [_block(n, "a" * (50 - n)) if n % 7 else OverlongLine(n, b"", 9) for n in range(1, 40)]
    out = list(_run(feed, blocks))
    firsts = [item.line if isinstance(item, OverlongLine) else _ids(item.batches[0])[0] // 100 for item in out]
    assert firsts == list(range(1, 40))


def test_no_more_blocks_are_read_than_may_be_under_way(feed):
    read = 0

    def blocks():
        nonlocal read
        for number in range(50):
            read += 1
            yield _block(number, "abc")

    for taken, _ in enumerate(_run(feed, blocks(), ahead=4), 1):
        assert read - taken < 4


def test_totals_of_a_block_are_exact_and_by_fund(feed):
    (block,) = _run(feed, [_block(3, "abba", 1, 3)])
    assert block.totals.totals == {"id": 300 + 301 + 302 + 303}
    assert {fund: (n, totals["id"]) for fund, (n, totals) in block.totals.funds.items()} == {
        "a": (2, 603),
        "b": (2, 603),
    }


def test_a_batch_too_large_for_a_message_comes_in_parts_that_keep_its_index(feed):
    (block,) = _run(feed, [_block(0, "a" * 100)], limit=100)
    assert [batch.part for batch in block.batches] == list(range(len(block.batches)))
    assert {batch.index for batch in block.batches} == {0}
    assert [i for batch in block.batches for i in _ids(batch)] == list(range(100))
    assert max(len(batch.value) for batch in block.batches) <= 100


def test_a_batch_ends_where_its_last_group_does(feed):
    feed = replace(feed, batch=replace(feed.batch, group_by="fund"))
    blocks = [_block(0, "aabbb", 3, 2), _block(1, "bbc", 1, 2), OverlongLine(150, b"", 9), _block(2, "ccd", 3)]
    out = [item for item in _run(feed, blocks) if not isinstance(item, OverlongLine)]
    batches = [(batch.index, _ids(batch)) for item in out for batch in item.batches]
    assert batches == [
        (0, [0, 1, 2, 3, 4, 100, 101]),
        (11, [102, 200, 201]),
        (20, [202]),
    ]
    assert sum(item.totals.records for item in out if item.totals) == 11


def test_groups_are_whole_whatever_the_blocks(feed):
    feed = replace(feed, batch=replace(feed.batch, group_by="fund"))
    funds = "aaaabbcdddddddeefg"
    for size in range(1, len(funds) + 1):
        parts = [funds[i : i + size] for i in range(0, len(funds), size)]
        blocks = [_block(n, part) for n, part in enumerate(parts)]
        found = [
            set(codec_for(SCHEMA).decode([batch.value[PREFIX_BYTES:]]).column("fund").to_pylist())
            for item in _run(feed, blocks)
            for batch in item.batches
        ]
        assert sorted(fund for group in found for fund in group) == sorted(set(funds))


def test_a_failure_in_the_pool_reaches_the_caller(feed):
    with pytest.raises(Exception, match="does not fit a message"):
        list(_run(feed, [_block(0, "a")], limit=1))
