"""How many messages a delivery becomes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedline.catalog import load_catalog
from feedline.producer.delivery_plan import LEAST_BYTES, Sample, plan_cuttings

FEED = load_catalog().feed("positions")
PARTITIONS = FEED.topic.partitions
# Records of 8 kB that shrink to an eighth, as the catalogue's 128 KiB a message would have them: 1 MiB of text.
USUAL = Sample(ratio=1 / 8, line_bytes=8_000)


def _batches(sizes, sample=USUAL, feed=FEED):
    return [cutting.batches for cutting in plan_cuttings(feed, sizes, sample).values()]


def test_a_large_delivery_has_as_many_messages_for_every_partition():
    (batches,) = _batches({"a": 91 * 1024 * 1024})
    assert batches % PARTITIONS == 0
    assert batches >= 91


def test_messages_do_not_exceed_the_target():
    sizes = {"a": 500 * 1024 * 1024}
    (batches,) = _batches(sizes)
    assert sizes["a"] * USUAL.ratio / batches <= FEED.batch.target_bytes


def test_a_delivery_worth_it_reaches_every_partition():
    """39 full messages would leave half of the partitions empty."""
    (batches,) = _batches({"a": 39 * 1024 * 1024})
    assert batches % PARTITIONS == 0


def test_a_small_delivery_is_not_ground_to_dust():
    assert _batches({"a": 20_000}) == [1]
    (batches,) = _batches({"a": 150_000})
    assert 150_000 * USUAL.ratio / batches >= LEAST_BYTES


def test_an_empty_file_is_planned_too():
    assert _batches({"a": 0}) == [1]


@given(sizes=st.dictionaries(st.text("0123456789abcdef", min_size=4, max_size=4), st.integers(0, 10**9), min_size=1))
def test_the_files_of_a_delivery_share_its_messages_by_size(sizes):
    plan = plan_cuttings(FEED, sizes, USUAL)
    total = sum(sizes.values())
    batches = sum(cutting.batches for cutting in plan.values())
    for sha256, cutting in plan.items():
        assert cutting.batches >= 1
        assert abs(cutting.batches - batches * sizes[sha256] / max(total, 1)) <= 1 + len(sizes)


@given(sizes=st.dictionaries(st.text("0123456789abcdef", min_size=4, max_size=4), st.integers(0, 10**9), min_size=2))
def test_the_order_of_the_files_does_not_matter(sizes):
    assert plan_cuttings(FEED, sizes, USUAL) == plan_cuttings(FEED, dict(reversed(sizes.items())), USUAL)


@pytest.mark.parametrize(("rule", "least"), [({"max_records": 10}, 1_250), ({"target_bytes": 16_384}, 763)])
def test_each_bound_of_the_batch_rule_is_kept(rule, least):
    feed = replace(FEED, batch=replace(FEED.batch, **rule))
    (batches,) = _batches({"a": 100_000_000}, feed=feed)
    assert batches >= least


def test_records_that_compress_well_do_not_make_messages_the_topic_refuses():
    (batches,) = _batches({"a": 400_000_000}, Sample(ratio=0.001, line_bytes=100_000))
    assert 400_000_000 / batches <= FEED.topic.max_message_bytes / 2
