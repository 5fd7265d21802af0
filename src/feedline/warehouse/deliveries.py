"""The delivery table: what a manifest announced, and whether it arrived whole."""

# Names in these statements are checked by `quoted`, values written by `literal`.
# ruff: noqa: S608

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from feedline.batch.manifest import DeliveryManifest, from_document, to_document
from feedline.catalog import Feed
from feedline.warehouse.connection import Session
from feedline.warehouse.ledger import begin_in_turn
from feedline.warehouse.names import DELIVERY, literal
from feedline.warehouse.stages import record_complete

COMPLETE = "COMPLETE"
FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A delivery as it was last validated."""

    delivery_id: str
    feed: str
    business_date: date
    cycle: str
    status: str
    source_files: int
    source_records: int
    batches: int
    records: int
    error_records: int
    raw_bytes: int
    loaded_records: int
    produced_at: datetime
    validated_at: datetime


def is_validated(row: DeliveryRow | None, manifest: DeliveryManifest | None) -> bool:
    """Whether a delivery was validated, well or not, since it was produced last; manifest: its last one on the topic,
    None when the topic has none."""
    return row is not None and (manifest is None or row.produced_at >= manifest.produced_at)


_READ = (
    "DELIVERY_ID, FEED, BUSINESS_DATE, CYCLE, STATUS, SOURCE_FILES, SOURCE_RECORDS, BATCHES, RECORDS, ERROR_RECORDS, "
    "RAW_BYTES, LOADED_RECORDS, PRODUCED_AT, VALIDATED_AT"
)


def deliveries_of(session: Session, business_date: date) -> list[DeliveryRow]:
    """All validated deliveries of a business date, the latest produced last."""
    rows = session.execute(
        f"SELECT {_READ} FROM {DELIVERY} WHERE BUSINESS_DATE = {literal(business_date)} "
        "ORDER BY PRODUCED_AT, DELIVERY_ID",
        doing="cannot read the deliveries",
    )
    return [DeliveryRow(*row) for row in rows]


def announced_manifest(session: Session, feed: str, delivery_id: str) -> DeliveryManifest | None:
    """The manifest that a delivery was last validated against, or None when it never was."""
    rows = session.execute(
        f"SELECT MANIFEST FROM {DELIVERY} WHERE DELIVERY_ID = {literal(delivery_id)} AND FEED = {literal(feed)}",
        doing="cannot read the delivery's manifest",
    )
    if not rows:
        return None
    document = json.loads(rows[0][0])
    dated = {
        "businessDate": date.fromisoformat(document["businessDate"]),
        "producedAt": datetime.fromisoformat(document["producedAt"]),
    }
    return from_document(document | dated)


def mark_delivery(
    session: Session,
    feed: Feed,
    manifest: DeliveryManifest,
    *,
    status: str,
    loaded_records: int,
    report: dict[str, Any],
) -> None:
    """Writes the delivery's one row, new or again. In the feed's turn, so that two validations do not make two rows.

    A program may give the deliveries of several feeds one id: each has a row.
    """
    now = datetime.now(UTC)
    values: dict[str, str | int | date | datetime] = {
        "FEED": manifest.feed,
        "BUSINESS_DATE": manifest.business_date,
        "CYCLE": manifest.cycle.value,
        "STATUS": status,
        "SOURCE_FILES": len(manifest.files),
        "SOURCE_RECORDS": manifest.source_records,
        "BATCHES": manifest.batches,
        "RECORDS": manifest.records,
        "ERROR_RECORDS": manifest.error_records,
        "RAW_BYTES": manifest.raw_bytes,
        "LOADED_RECORDS": loaded_records,
        "PRODUCED_AT": manifest.produced_at,
        "VALIDATED_AT": now,
        "MANIFEST": json.dumps(to_document(manifest), default=str),
        "REPORT": json.dumps(report),
    }
    this = literal(manifest.delivery_id)
    begin_in_turn(session, feed)
    try:
        assignments = ", ".join(f"{name} = {literal(value)}" for name, value in values.items())
        changed = session.affected(
            f"UPDATE {DELIVERY} SET {assignments} WHERE DELIVERY_ID = {this} AND FEED = {literal(feed.name)}",
            doing="cannot mark the delivery",
        )
        if not changed:
            written = ", ".join(literal(value) for value in values.values())
            session.execute(
                f"INSERT INTO {DELIVERY} (DELIVERY_ID, {', '.join(values)}) SELECT {this}, {written}",
                doing="cannot mark the delivery",
            )
        if status == COMPLETE:
            record_complete(session, manifest, now)
        session.execute("COMMIT", doing="the delivery's status was not confirmed")
    except BaseException:
        session.rollback()
        raise
