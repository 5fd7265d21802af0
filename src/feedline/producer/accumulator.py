"""Open micro-batches: records gather by lane until a rule closes their batch. Knows nothing of Kafka, never waits.

A batch is closed when it is as large as the feed's target (estimated, see `CompressionEstimate`), has `max_records`, or
when its oldest record is `max_age_s` old. With `group_by`, a full batch stays open until the field's value changes, so
that a business group is not split; its age and the topic's limit on a message close it even so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from feedline.producer.feed_record import Lane, Report
from feedline.producer.row_encoder import EncodedRecord

# Custody records shrink to about an eighth; what a feed is taken for until its first batch is measured.
USUAL_RATIO = 1 / 8
# Compressing a batch a second time costs about a twentieth of encoding it; records of a feed are alike.
MEASURE_EVERY = 16
# Lanes that a program opens and leaves (a header that differs on every record) must not gather for their whole age.
MAX_OPEN = 256

_ZSTD = pa.Codec("zstd", compression_level=1)


@dataclass(slots=True)
class CompressionEstimate:
    """Compressed bytes a byte of a feed's messages, measured on one batch in `MEASURE_EVERY`."""

    ratio: float = USUAL_RATIO
    _batches: int = 0

    def learn(self, value: bytes) -> None:
        if self._batches % MEASURE_EVERY == 0:
            self.ratio = max(len(_ZSTD.compress(value)) / len(value), 1e-3)
        self._batches += 1


@dataclass(slots=True)
class OpenBatch:
    """A micro-batch that still takes records; `due` is when its age closes it."""

    lane: Lane
    due: float
    traceparent: str | None = None
    records: list[EncodedRecord] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    bytes: int = 0
    group: Any = None


class Accumulator:
    """The open batches of a producer; the caller serialises calls.

    clock: seconds, monotonic; message_bytes: the most that a message on a lane's topic may have.
    """

    def __init__(self, clock: Callable[[], float], message_bytes: Callable[[Lane], int]) -> None:
        self._clock = clock
        self._message_bytes = message_bytes
        self._open: dict[Lane, OpenBatch] = {}
        self._estimates: dict[str, CompressionEstimate] = {}

    @property
    def empty(self) -> bool:
        return not self._open

    def estimate(self, feed: str) -> CompressionEstimate:
        found = self._estimates.get(feed)
        if found is None:
            found = self._estimates[feed] = CompressionEstimate()
        return found

    def add(
        self, lane: Lane, record: EncodedRecord, report: Report | None, traceparent: str | None
    ) -> tuple[list[OpenBatch], bool]:
        """Takes a record; returns the batches that this closes, and whether it opened one."""
        closed = []
        batch = self._open.get(lane)
        group_by = lane.feed.batch.group_by
        if batch is not None:
            ends_group = group_by is not None and record.group != batch.group and self._full(batch)
            if ends_group or batch.bytes + record.size > self._message_bytes(lane):
                closed.append(self._open.pop(lane))
                batch = None
        opened = batch is None
        if batch is None:
            if len(self._open) >= MAX_OPEN:
                closed.append(self._open.pop(next(iter(self._open))))
            batch = OpenBatch(lane, self._clock() + lane.feed.batch.max_age_s, traceparent)
            self._open[lane] = batch
        batch.records.append(record)
        batch.bytes += record.size
        batch.group = record.group
        if report is not None:
            batch.reports.append(report)
        if lane.correlation_id is not None or (group_by is None and self._full(batch)):
            closed.append(self._open.pop(lane))
        return closed, opened

    def close_due(self) -> list[OpenBatch]:
        """The batches whose age is up."""
        now = self._clock()
        return self._take([lane for lane, batch in self._open.items() if batch.due <= now])

    def close_all(self) -> list[OpenBatch]:
        return self._take(list(self._open))

    def seconds_to_next(self) -> float | None:
        """How long until the next batch is due; None when there is none."""
        if not self._open:
            return None
        return max(0.0, min(batch.due for batch in self._open.values()) - self._clock())

    def _take(self, lanes: Iterable[Lane]) -> list[OpenBatch]:
        return [self._open.pop(lane) for lane in lanes]

    def _full(self, batch: OpenBatch) -> bool:
        rule = batch.lane.feed.batch
        return (
            len(batch.records) >= rule.max_records
            or batch.bytes * self.estimate(batch.lane.feed.name).ratio >= rule.target_bytes
        )
