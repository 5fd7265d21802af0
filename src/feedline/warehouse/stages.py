"""When each feed first reached a stage of a business date."""

# Names in these statements are constants, values written by `literal`.
# ruff: noqa: S608

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime

from feedline.batch.identity import Cycle
from feedline.batch.manifest import DeliveryManifest
from feedline.catalog import Stage
from feedline.warehouse.connection import Session
from feedline.warehouse.names import DELIVERY, FEED_STAGE, LOAD_LEDGER, literal
from feedline.warehouse.own_ids import count_elsewhere

_COLUMNS = "FEED, BUSINESS_DATE, CYCLE, STAGE, REACHED_AT, DELIVERY_ID, RECORDED_AT"


def record_stage(
    session: Session,
    feed: str,
    business_date: date,
    stage: Stage,
    at: datetime,
    *,
    cycle: Cycle = Cycle.EOD,
    delivery_id: str | None = None,
) -> None:
    """Writes when a stage was reached, unless that is known.

    Two that write at once may both: the earliest row holds, so readers take the minimum.
    """
    session.execute(
        f"INSERT INTO {FEED_STAGE} ({_COLUMNS}) SELECT {literal(feed)}, {literal(business_date)}, "
        f"{literal(cycle.value)}, {literal(stage.value)}, {literal(at)}, {literal(delivery_id)}, "
        f"{literal(datetime.now(UTC))} WHERE NOT EXISTS ({_known(feed, business_date, cycle, stage)})",
        doing="cannot record that a stage was reached",
    )


def record_complete(session: Session, manifest: DeliveryManifest, validated_at: datetime) -> None:
    """Writes that a delivery was loaded, when its last micro-batch was, and validated; unless an earlier one was."""
    known = (manifest.feed, manifest.business_date)
    [(last_load,)] = session.execute(
        f"SELECT MAX(LOADED_AT) FROM {LOAD_LEDGER} WHERE FEED = {literal(manifest.feed)} "
        f"AND DELIVERY_ID = {literal(manifest.delivery_id)} AND STATUS = 'LOADED'",
        doing="cannot read the ledger",
    )
    for stage, at in ((Stage.LOADED, last_load or validated_at), (Stage.VALIDATED, validated_at)):
        record_stage(session, *known, stage, at, cycle=manifest.cycle, delivery_id=manifest.delivery_id)


def stages_reached(
    session: Session, business_date: date, *, cycle: Cycle = Cycle.EOD
) -> dict[str, dict[Stage, datetime]]:
    """By feed, the stages that are known to be reached and when first.

    A delivery that was validated without an entry of its arrival had arrived when it was produced, at the latest.
    """
    of_date = f"BUSINESS_DATE = {literal(business_date)} AND CYCLE = {literal(cycle.value)}"
    rows = session.execute(
        f"SELECT FEED, STAGE, MIN(REACHED_AT) FROM {FEED_STAGE} WHERE {of_date} GROUP BY FEED, STAGE "
        f"UNION ALL SELECT FEED, {literal(Stage.ARRIVED.value)}, MIN(PRODUCED_AT) FROM {DELIVERY} WHERE {of_date} "
        "GROUP BY FEED "
        f"UNION ALL SELECT FEED, {literal(Stage.VALIDATED.value)}, MIN(VALIDATED_AT) FROM {DELIVERY} WHERE {of_date} "
        "AND STATUS = 'COMPLETE' GROUP BY FEED",
        doing="cannot read which stages were reached",
    )
    found: dict[str, dict[Stage, datetime]] = defaultdict(dict)
    for feed, stage, at in rows:
        known = found[feed].get(Stage(stage))
        found[feed][Stage(stage)] = at if known is None else min(known, at)
    return dict(found)


def last_load(session: Session, manifest: DeliveryManifest) -> datetime | None:
    """When the last micro-batch of a delivery was loaded, or None while some are not."""
    [(batches, at)] = session.execute(
        f"SELECT COUNT(*), MAX(LOADED_AT) FROM {LOAD_LEDGER} WHERE FEED = {literal(manifest.feed)} "
        f"AND DELIVERY_ID = {literal(manifest.delivery_id)} AND STATUS = 'LOADED'",
        doing="cannot read the ledger",
    )
    missing = manifest.batches - int(batches)
    whole = missing <= 0 or missing <= count_elsewhere(session, manifest.feed, manifest.delivery_id)
    return (at or manifest.produced_at) if whole else None


def last_intraday_load(session: Session, feed: str, business_date: date) -> datetime | None:
    """When something of a feed's day was loaded last that came before its end."""
    [(at,)] = session.execute(
        f"SELECT MAX(LOADED_AT) FROM {LOAD_LEDGER} WHERE FEED = {literal(feed)} AND STATUS = 'LOADED' "
        f"AND BUSINESS_DATE = {literal(business_date)} AND CYCLE = {literal(Cycle.INTRADAY.value)}",
        doing="cannot read the ledger",
    )
    return at if isinstance(at, datetime) else None


def _known(feed: str, business_date: date, cycle: Cycle, stage: Stage) -> str:
    return (
        f"SELECT 1 FROM {FEED_STAGE} WHERE FEED = {literal(feed)} AND BUSINESS_DATE = {literal(business_date)} "
        f"AND CYCLE = {literal(cycle.value)} AND STAGE = {literal(stage.value)}"
    )
