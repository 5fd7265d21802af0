"""Which offsets of a topic a load takes, cut into ranges that several loaders can take side by side."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from feedline.batch.manifest import DeliveryManifest, PartitionRange
from feedline.errors import ConfigurationError, OffsetsExpiredError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PartitionSpan:
    """Offsets `start` to `end - 1` of one partition.

    readable_from: below this offset the span is known to be gone from the topic, with nothing in it that had to be
    loaded. The span still starts at its checkpoint, so that the checkpoint moves over the gap.
    """

    partition: int
    start: int
    end: int
    readable_from: int = 0

    def __post_init__(self) -> None:
        if self.partition < 0 or not 0 <= self.start < self.end or self.readable_from > self.end:
            raise ConfigurationError(
                f"a span of offsets {self.start} to {self.end} holds nothing", partition=self.partition
            )


@dataclass(frozen=True, slots=True)
class LoadRange:
    """The spans that one load takes: every batch of `feed` in them, of whatever delivery; partitions differ."""

    feed: str
    topic: str
    spans: tuple[PartitionSpan, ...]

    def __post_init__(self) -> None:
        if len({span.partition for span in self.spans}) != len(self.spans):
            raise ConfigurationError("a load range names a partition twice", feed=self.feed, topic=self.topic)

    @property
    def offsets(self) -> int:
        """Offsets in the range; more than the messages of the feed when the topic carries others."""
        return sum(span.end - span.start for span in self.spans)

    def readable(self) -> LoadRange:
        """The part of the range that the topic still has: what a reader asks for."""
        cut = ((s.partition, max(s.start, s.readable_from), s.end) for s in self.spans)
        return LoadRange(self.feed, self.topic, tuple(PartitionSpan(p, a, b) for p, a, b in cut if a < b))

    def after(self, rest: LoadRange) -> LoadRange:
        """This range from where `rest` of it begins: spans that `rest` lacks are done and left out."""
        starts = {span.partition: span.start for span in rest.spans}
        left = (replace(span, start=starts[span.partition]) for span in self.spans if span.partition in starts)
        return LoadRange(self.feed, self.topic, tuple(left))

    def to_dict(self) -> dict[str, Any]:
        """As JSON that is small enough for XCom: four integers a partition."""
        return {
            "feed": self.feed,
            "topic": self.topic,
            "spans": [[span.partition, span.start, span.end, span.readable_from] for span in self.spans],
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> LoadRange:
        """The range of `to_dict`; raises ConfigurationError when it is none."""
        try:
            spans = tuple(PartitionSpan(*(int(number) for number in span)) for span in document["spans"])
            return cls(str(document["feed"]), str(document["topic"]), spans)
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(f"not a load range: {error!r}") from error


def plan_ranges(
    manifest: DeliveryManifest,
    checkpoints: Mapping[int, int],
    low_watermarks: Mapping[int, int],
    max_ranges: int,
    *,
    topic: str,
) -> tuple[LoadRange, ...]:
    """The ranges that bring a feed's tables up to the end of a delivery; empty when they are there already.

    checkpoints: next offset to load, by partition, of the feed's consumer group (`feedline.<feed>`); a partition never
    loaded from is absent and starts at its low watermark. Partitions are dealt to at most `max_ranges` ranges so
    that their bytes are even; a partition is never split, since its checkpoint moves once, by one loader.

    Raises OffsetsExpiredError when offsets of this delivery that were not loaded are below the low watermark. A
    checkpoint below it alone is no loss: a feed that was idle for longer than the retention is in that state.
    """
    if max_ranges < 1:
        raise ConfigurationError(f"max_ranges is {max_ranges}: use at least 1", feed=manifest.feed)
    weighed: list[tuple[int, PartitionSpan]] = []
    for held in manifest.partitions:
        span = _span(manifest, held, checkpoints.get(held.partition), low_watermarks.get(held.partition, 0), topic)
        if span is not None:
            # At least 1: a group with nothing would be a range with nothing.
            weighed.append((max(held.bytes, 1), span))
    return tuple(
        LoadRange(manifest.feed, topic, tuple(sorted(spans, key=lambda span: span.partition)))
        for spans in _deal(weighed, max_ranges)
    )


def plan_to_end(
    feed: str,
    topic: str,
    checkpoints: Mapping[int, int],
    watermarks: Mapping[int, tuple[int, int]],
    max_ranges: int,
) -> tuple[LoadRange, ...]:
    """The ranges from a feed's checkpoints to the topic's end, whatever deliveries lie there; empty at the end.

    watermarks: of every partition the first offset and the one after the last. Dealt as `plan_ranges` does, by
    offsets. What left the topic before it was loaded is passed over and logged as an error: nothing else tells of it
    when no manifest closes its delivery.
    """
    if max_ranges < 1:
        raise ConfigurationError(f"max_ranges is {max_ranges}: use at least 1", feed=feed)
    spans = _to_end(feed, topic, checkpoints, watermarks)
    weighed = [(span.end - max(span.start, span.readable_from), span) for span in spans]
    return tuple(
        LoadRange(feed, topic, tuple(sorted(dealt, key=lambda span: span.partition)))
        for dealt in _deal(weighed, max_ranges)
    )


def with_the_rest(
    ranges: Sequence[LoadRange], checkpoints: Mapping[int, int], watermarks: Mapping[int, tuple[int, int]]
) -> tuple[LoadRange, ...]:
    """Planned ranges of a feed, so that together they reach the topic's end, and in every partition.

    watermarks: of every partition, as `plan_to_end` has them. What is added in other partitions goes to the last range.
    """
    feed, topic = ranges[0].feed, ranges[0].topic
    planned = {span.partition for one in ranges for span in one.spans}
    ends = {partition: high for partition, (_, high) in watermarks.items()}
    others = {partition: marks for partition, marks in watermarks.items() if partition not in planned}
    further = [
        replace(one, spans=tuple(replace(s, end=max(s.end, ends.get(s.partition, 0))) for s in one.spans))
        for one in ranges
    ]
    added = tuple(_to_end(feed, topic, checkpoints, others))
    spans = tuple(sorted((*further[-1].spans, *added), key=lambda span: span.partition))
    return (*further[:-1], replace(further[-1], spans=spans))


def _to_end(
    feed: str, topic: str, checkpoints: Mapping[int, int], watermarks: Mapping[int, tuple[int, int]]
) -> Iterator[PartitionSpan]:
    for partition, (low, high) in watermarks.items():
        start = checkpoints.get(partition, low)
        if start < low:
            logger.error(
                "%s, %s partition %d: offsets %d to %d left the topic before they were loaded; have what lay there and "
                "is not in the tables sent again",
                *(feed, topic, partition, start, low - 1),
            )
        if start < high:
            yield PartitionSpan(partition, start, high, readable_from=low)


def _span(
    manifest: DeliveryManifest, held: PartitionRange, checkpoint: int | None, low: int, topic: str
) -> PartitionSpan | None:
    if checkpoint is not None and checkpoint >= held.end_offset:
        return None
    if max(checkpoint or 0, held.first_offset) < low:
        raise OffsetsExpiredError(
            f"the topic starts at offset {low} now, and the delivery's from {held.first_offset} were never loaded: "
            "produce the business date again from the file archive, then load it",
            feed=manifest.feed,
            delivery_id=manifest.delivery_id,
            topic=topic,
            partition=held.partition,
            offset=checkpoint if checkpoint is not None else held.first_offset,
        )
    if checkpoint is None:
        return PartitionSpan(held.partition, low, held.end_offset)
    if checkpoint < low:
        logger.warning(
            "feed %s, %s partition %d: offsets %d to %d left the topic before a load reached them; any delivery "
            "that lay there and was not loaded has to be produced again",
            manifest.feed,
            topic,
            held.partition,
            checkpoint,
            low - 1,
        )
    return PartitionSpan(held.partition, checkpoint, held.end_offset, readable_from=max(low, 0))


def _deal(weighed: list[tuple[int, PartitionSpan]], groups: int) -> list[list[PartitionSpan]]:
    """Largest first to the lightest group; ties by partition and group number, so a plan is the same when repeated."""
    loads = [0] * min(groups, len(weighed))
    dealt: list[list[PartitionSpan]] = [[] for _ in loads]
    for weight, span in sorted(weighed, key=lambda item: (-item[0], item[1].partition)):
        lightest = loads.index(min(loads))
        loads[lightest] += weight
        dealt[lightest].append(span)
    return dealt
