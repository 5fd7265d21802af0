"""What of a delivery has been acknowledged, for the manifest that ends it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from feedline.batch.control_totals import BatchTotals, RunningTotals, add_totals, zero_totals
from feedline.batch.headers import MANIFEST, BatchHeaders
from feedline.batch.identity import Delivery, correlation_id
from feedline.batch.manifest import DeliveryManifest, PartitionRange
from feedline.catalog import Feed
from feedline.errors import ControlMismatchError

# A manifest is no batch of the delivery: it has this index, and no source.
MANIFEST_INDEX = -1


class DeliveryKey(NamedTuple):
    """Names a delivery of a producer's."""

    feed: str
    delivery_id: str


@dataclass(slots=True)
class _Span:
    first: int
    last: int
    batches: int = 0
    records: int = 0
    bytes: int = 0


@dataclass(slots=True)
class SessionTally:
    """One delivery as far as it is acknowledged; `failed` counts records whose batch was not."""

    delivery: Delivery
    batches: int = 0
    failed: int = 0
    raw: int = 0
    running: RunningTotals = field(default_factory=RunningTotals)
    _spans: dict[int, _Span] = field(default_factory=dict)

    def acknowledged(self, partition: int, offset: int, totals: BatchTotals, size: int, raw: int) -> None:
        """A batch of about `size` compressed bytes, made of `raw` bytes as given, lies there."""
        span = self._spans.setdefault(partition, _Span(offset, offset))
        span.first, span.last = min(span.first, offset), max(span.last, offset)
        span.batches += 1
        span.records += totals.records
        span.bytes += size
        self.batches += 1
        self.raw += raw
        self.running.add(totals)

    def manifest(self, feed: Feed, expected: int | None) -> DeliveryManifest:
        """The manifest of what is acknowledged.

        Raises ControlMismatchError when that is not `expected` records, or, with None, when a record failed.
        """
        records = self.running.records
        if self.failed if expected is None else records != expected:
            promised = records + self.failed if expected is None else expected
            raise ControlMismatchError(
                f"{records} of {promised} records are acknowledged: produce the others again, then complete the "
                "delivery, saying how many records it has",
                feed=feed.name,
                delivery_id=self.delivery.delivery_id,
            )
        return DeliveryManifest(
            delivery_id=self.delivery.delivery_id,
            feed=feed.name,
            business_date=self.delivery.business_date,
            cycle=self.delivery.cycle,
            batches=self.batches,
            records=records,
            source_records=records,
            error_records=0,
            raw_bytes=self.raw,
            control_totals=add_totals((zero_totals(feed.control_totals), self.running.totals)),
            files=(),
            funds=self.running.funds(),
            partitions=tuple(
                PartitionRange(number, span.first, span.last + 1, span.batches, span.records, span.bytes)
                for number, span in sorted(self._spans.items())
            ),
            produced_at=datetime.now(UTC),
        )


def manifest_headers(manifest: DeliveryManifest) -> BatchHeaders:
    """The headers of a manifest's message."""
    return BatchHeaders(
        correlation_id=correlation_id(manifest.delivery_id, "manifest", MANIFEST_INDEX),
        feed=manifest.feed,
        business_date=manifest.business_date,
        cycle=manifest.cycle,
        delivery_id=manifest.delivery_id,
        batch_index=MANIFEST_INDEX,
        record_count=0,
        source_file="",
        content_type=MANIFEST,
    )
