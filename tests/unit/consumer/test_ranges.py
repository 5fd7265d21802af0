"""Which offsets a load takes."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedline.batch.identity import Cycle
from feedline.batch.manifest import DeliveryManifest, PartitionRange
from feedline.consumer.ranges import LoadRange, PartitionSpan, plan_ranges, plan_to_end, with_the_rest
from feedline.errors import ConfigurationError, OffsetsExpiredError

TOPIC = "T"


def _manifest(*partitions: tuple[int, int, int, int]) -> DeliveryManifest:
    """A delivery with (partition, first offset, end offset, bytes) of each partition."""
    return DeliveryManifest(
        delivery_id="positions-20261120-EOD-x",
        feed="positions",
        business_date=date(2026, 11, 20),
        cycle=Cycle.EOD,
        batches=len(partitions),
        records=1,
        source_records=1,
        error_records=0,
        raw_bytes=1,
        control_totals={},
        files=(),
        funds=(),
        partitions=tuple(PartitionRange(p, first, end, 1, 1, size) for p, first, end, size in partitions),
        produced_at=datetime.now(UTC),
    )


def _spans(ranges: tuple[LoadRange, ...]) -> list[tuple[int, int, int]]:
    return sorted((s.partition, s.start, s.end) for r in ranges for s in r.spans)


PARTITIONS = st.dictionaries(
    st.integers(0, 79),
    st.tuples(st.integers(0, 50), st.integers(1, 50), st.integers(0, 10_000)),
    min_size=1,
)


@given(
    held=PARTITIONS,
    done=st.dictionaries(st.integers(0, 79), st.integers(0, 120)),
    gone=st.dictionaries(st.integers(0, 79), st.integers(0, 40)),
    max_ranges=st.integers(1, 100),
)
def test_each_offset_that_is_not_loaded_yet_is_in_exactly_one_range(held, done, gone, max_ranges):
    manifest = _manifest(*((p, first, first + n, size) for p, (first, n, size) in held.items()))
    low = {p: min(offset, held[p][0]) for p, offset in gone.items() if p in held}
    ranges = plan_ranges(manifest, done, low, max_ranges, topic=TOPIC)

    taken = [(s.partition, o) for r in ranges for s in r.spans for o in range(s.start, s.end)]
    assert len(taken) == len(set(taken))
    expected = {
        (p, offset) for p, (first, n, _) in held.items() for offset in range(done.get(p, low.get(p, 0)), first + n)
    }
    assert set(taken) == expected
    assert len(ranges) <= max_ranges
    assert all(r.spans for r in ranges)


def test_a_partition_never_loaded_from_starts_at_its_low_watermark():
    ranges = plan_ranges(_manifest((3, 10, 20, 1)), {}, {3: 7}, 1, topic=TOPIC)
    assert _spans(ranges) == [(3, 7, 20)]


def test_a_delivery_that_is_loaded_needs_no_range():
    assert plan_ranges(_manifest((0, 0, 5, 1), (1, 0, 5, 1)), {0: 5, 1: 9}, {}, 4, topic=TOPIC) == ()


def test_offsets_of_the_delivery_that_left_the_topic_unloaded_are_an_error():
    with pytest.raises(OffsetsExpiredError, match="produce the business date again") as caught:
        plan_ranges(_manifest((2, 10, 20, 1)), {2: 12}, {2: 15}, 1, topic=TOPIC)
    assert (caught.value.where.partition, caught.value.where.offset) == (2, 12)
    with pytest.raises(OffsetsExpiredError):
        plan_ranges(_manifest((2, 10, 20, 1)), {}, {2: 15}, 1, topic=TOPIC)


def test_a_feed_that_was_idle_for_longer_than_the_retention_goes_on(caplog):
    (planned,) = plan_ranges(_manifest((2, 100, 120, 1)), {2: 12}, {2: 90}, 1, topic=TOPIC)
    # The checkpoint moves from where it is; only what the topic still has is read.
    assert _spans((planned,)) == [(2, 12, 120)]
    assert _spans((planned.readable(),)) == [(2, 90, 120)]
    assert "left the topic" in caplog.text


def test_a_plan_to_the_topic_s_end_tells_of_what_left_it_unloaded(caplog):
    (planned,) = plan_to_end("positions", TOPIC, {0: 5, 2: 12}, {0: (5, 9), 1: (7, 9), 2: (90, 120)}, 1)
    assert _spans((planned,)) == [(0, 5, 9), (1, 7, 9), (2, 12, 120)]
    [told] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "positions, T partition 2: offsets 12 to 89 left the topic" in told.getMessage()


def test_a_plan_with_the_rest_reads_each_offset_of_the_topic_that_is_not_loaded_once():
    marks = {0: (0, 30), 1: (0, 0), 2: (5, 40), 3: (0, 9), 4: (0, 7)}
    done = {0: 4, 2: 20, 3: 9}
    planned = plan_ranges(_manifest((0, 0, 10, 1), (2, 5, 20, 1), (4, 0, 2, 1)), done, {}, 2, topic=TOPIC)
    whole = with_the_rest(planned, done, marks)
    assert len(planned) == len(whole) == 2
    assert _spans(whole) == [(0, 4, 30), (2, 20, 40), (4, 0, 7)]


def test_ranges_carry_about_the_same_bytes():
    sizes = [90, 80, 70, 60, 50, 40, 30, 20, 10, 10]
    manifest = _manifest(*((p, 0, 5, size) for p, size in enumerate(sizes)))
    ranges = plan_ranges(manifest, {}, {}, 4, topic=TOPIC)
    carried = [sum(sizes[s.partition] for s in r.spans) for r in ranges]
    assert sum(carried) == sum(sizes)
    assert max(carried) - min(carried) <= 10


def test_a_plan_is_the_same_when_it_is_made_again():
    manifest = _manifest(*((p, 0, 5, 100) for p in range(80)))
    assert plan_ranges(manifest, {}, {}, 7, topic=TOPIC) == plan_ranges(manifest, {}, {}, 7, topic=TOPIC)


def test_a_range_survives_json():
    given_range = LoadRange("positions", TOPIC, (PartitionSpan(0, 3, 9), PartitionSpan(5, 0, 40, 12)))
    assert LoadRange.from_dict(json.loads(json.dumps(given_range.to_dict()))) == given_range


def test_a_range_goes_on_from_where_an_earlier_load_stopped():
    whole = LoadRange("positions", TOPIC, (PartitionSpan(0, 3, 9, 5), PartitionSpan(5, 0, 40)))
    rest = LoadRange("positions", TOPIC, (PartitionSpan(0, 4, 9),))
    assert whole.after(rest) == LoadRange("positions", TOPIC, (PartitionSpan(0, 4, 9, 5),))


@pytest.mark.parametrize("document", [{}, {"feed": "a", "topic": "t", "spans": [[1, 2]]}, {"feed": "a", "spans": 3}])
def test_what_is_no_range_is_refused(document):
    with pytest.raises(ConfigurationError, match="not a load range"):
        LoadRange.from_dict(document)


def test_an_empty_span_and_a_repeated_partition_are_refused():
    with pytest.raises(ConfigurationError):
        PartitionSpan(0, 5, 5)
    with pytest.raises(ConfigurationError, match="twice"):
        LoadRange("positions", TOPIC, (PartitionSpan(0, 0, 1), PartitionSpan(0, 1, 2)))
