"""What came of a business date: per feed what was announced, what is in the tables, what is on the error topic."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from snowflake.connector import SnowflakeConnection

from feedline.batch.identity import Cycle
from feedline.batch.manifest import DeliveryManifest
from feedline.catalog import Feed
from feedline.warehouse.connection import Session
from feedline.warehouse.deliveries import COMPLETE, DeliveryRow, deliveries_of, is_validated
from feedline.warehouse.error_books import RedriveRequest, redrive_requests
from feedline.warehouse.ledger import loaded_batches
from feedline.warehouse.validate import DeliveryRows

MISSING = "MISSING"
UNCHECKED = "UNCHECKED"


@dataclass(frozen=True, slots=True)
class DeliveryStatus:
    """One delivery, or a feed that has none (status MISSING, all counts 0).

    status: COMPLETE and FAILED as it was last validated, UNCHECKED when it was not since it was produced. errors:
    records that the manifest and the ledger say were refused and that are not in the table; error_topic_records:
    distinct ones of those that lie on the error topic; redriven: those that were refused and are in the table since,
    `redrives` who had them sent again. control_totals: of the rows in the table now, corrected ones included, exact, as
    text by field.
    seconds: from the last acknowledged message to the last decoded one.
    """

    feed: str
    delivery_id: str | None = None
    status: str = MISSING
    files: int = 0
    source_records: int = 0
    messages: int = 0
    loaded: int = 0
    errors: int = 0
    error_topic_records: int = 0
    redriven: int = 0
    raw_bytes: int = 0
    seconds: float | None = None
    cycle: str = Cycle.EOD.value
    control_totals: Mapping[str, str] = field(default_factory=dict)
    redrives: tuple[RedriveRequest, ...] = ()

    @property
    def balanced(self) -> bool:
        """Whether every source record is in the table or on the error topic."""
        return (
            self.delivery_id is not None
            and self.source_records == self.loaded + self.errors
            and self.errors == self.error_topic_records
        )

    @property
    def complete(self) -> bool:
        return self.balanced and self.status == COMPLETE

    def to_dict(self) -> dict[str, Any]:
        fields = {name: getattr(self, name) for name in self.__slots__}
        redrives = [
            {"requested_by": one.requested_by, "at": one.at.isoformat(), "how": one.how, "records": one.records}
            for one in self.redrives
        ]
        return {**fields, "redrives": redrives, "balanced": self.balanced}


def delivery_status(
    connection: SnowflakeConnection,
    feeds: Collection[Feed],
    business_date: date,
    *,
    announced: Collection[DeliveryManifest] = (),
    errors_on_topic: Mapping[str, Mapping[str, int]] | None = None,
) -> list[DeliveryStatus]:
    """Of each feed, in the order of `feeds`, the date's intraday deliveries as they were produced, then the latest of
    its end of day.

    A feed without an end of day has a row that says MISSING in its place. announced: manifests found on the topics, for
    deliveries that were not validated since they were produced. errors_on_topic: as
    `consumer.error_counts.errors_by_delivery` finds them. Raises WarehouseUnavailableError.
    """
    session = Session(connection)
    rows = {(row.feed, row.delivery_id): row for row in deliveries_of(session, business_date)}
    known = {key: _Announced.of_row(row) for key, row in rows.items()}
    for manifest in announced:
        key = (manifest.feed, manifest.delivery_id)
        if not is_validated(rows.get(key), manifest):
            known[key] = _Announced.of_manifest(manifest)
    in_order = sorted(known.values(), key=lambda one: (one.produced_at, one.delivery_id))
    on_topic = errors_on_topic or {}
    found = []
    for feed in feeds:
        of_feed = [one for one in in_order if one.feed == feed.name]
        last = [one for one in of_feed if one.cycle == Cycle.EOD][-1:]
        shown = [*(one for one in of_feed if one.cycle != Cycle.EOD), *last]
        found += [_status(session, feed, one, on_topic.get(one.delivery_id, {})) for one in shown]
        found += [] if last else [DeliveryStatus(feed.name)]
    return found


@dataclass(frozen=True, slots=True)
class _Announced:
    feed: str
    cycle: str
    delivery_id: str
    status: str
    files: int
    source_records: int
    batches: int
    error_records: int
    raw_bytes: int
    produced_at: datetime

    @classmethod
    def of_manifest(cls, manifest: DeliveryManifest) -> _Announced:
        return cls(
            manifest.feed,
            manifest.cycle.value,
            manifest.delivery_id,
            UNCHECKED,
            len(manifest.files),
            manifest.source_records,
            manifest.batches,
            manifest.error_records,
            manifest.raw_bytes,
            manifest.produced_at,
        )

    @classmethod
    def of_row(cls, row: DeliveryRow) -> _Announced:
        return cls(
            row.feed,
            row.cycle,
            row.delivery_id,
            row.status,
            row.source_files,
            row.source_records,
            row.batches,
            row.error_records,
            row.raw_bytes,
            row.produced_at,
        )


def _status(session: Session, feed: Feed, announced: _Announced, on_error_topic: Mapping[str, int]) -> DeliveryStatus:
    rows = DeliveryRows(session, feed, announced.delivery_id)
    loaded, last_load = rows.loaded()
    errors = rows.errors
    loaded_ids = loaded_batches(session, feed.name, {announced.delivery_id}) if on_error_topic else {}
    return DeliveryStatus(
        feed=feed.name,
        delivery_id=announced.delivery_id,
        status=announced.status,
        files=announced.files,
        source_records=announced.source_records,
        messages=announced.batches,
        loaded=loaded,
        errors=announced.error_records - errors.corrected_records + errors.refused_records,
        error_topic_records=sum(records for error, records in on_error_topic.items() if error not in loaded_ids),
        redriven=errors.corrected_records + errors.recovered_records,
        raw_bytes=announced.raw_bytes,
        seconds=max(0.0, (last_load - announced.produced_at).total_seconds()) if last_load else None,
        cycle=announced.cycle,
        control_totals={path: format(total, "f") for path, total in rows.totals("", corrected=True)[""][1].items()},
        redrives=tuple(redrive_requests(session, feed.name, delivery_id=announced.delivery_id)),
    )
