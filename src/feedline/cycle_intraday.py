"""The steps of an intraday pass: take what has come since the last one, all the way into the tables.

A pass ends nothing: it may run at any time, any number of times, and beside another one or beside the end of day.
What is on the topic is loaded from the feed's checkpoints on, whether the manifest that ends its delivery is there or
not, so that records which a program produces one by one are in the table before their delivery is closed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from snowflake.connector import SnowflakeConnection

from feedline.batch.identity import Cycle
from feedline.batch.manifest import DeliveryManifest
from feedline.catalog import Feed
from feedline.consumer.manifests import find_manifests
from feedline.consumer.range_reader import read_range
from feedline.consumer.ranges import LoadRange, plan_to_end
from feedline.cycle import check_same_topic, is_kept, produce_source
from feedline.errors import (
    ControlMismatchError,
    ErrorLimitExceededError,
    RecordTooLargeError,
    SchemaMismatchError,
    SourceChangedError,
)
from feedline.kafka.admin import admin_client, partition_count, watermarks
from feedline.producer.delivery import BulkPolicy
from feedline.producer.intraday_files import LandedDelivery
from feedline.settings import Settings
from feedline.warehouse.connection import Session
from feedline.warehouse.deliveries import COMPLETE, DeliveryRow, deliveries_of, is_validated
from feedline.warehouse.ledger import read_checkpoints
from feedline.warehouse.partial import loaded_deliveries, never_validated, validate_partial
from feedline.warehouse.report import ValidationReport
from feedline.warehouse.validate import validate_delivery

logger = logging.getLogger(__name__)

EXCHANGE_TIMEZONE = ZoneInfo("America/New_York")
# Nothing of a business date is produced earlier; senders in Asia begin the evening before.
DAY_BEGINS_BEFORE = timedelta(hours=12)
# So long ago what was left open is looked for: over a long weekend, and within what topics keep.
LOOK_BACK = timedelta(days=4)
# One task for so many unread offsets of the topic, up to the most.
OFFSETS_A_RANGE = 2_000
MAX_RANGES = 4
# What a delivery's own content is to blame for.
UNUSABLE = (
    ControlMismatchError,
    ErrorLimitExceededError,
    RecordTooLargeError,
    SchemaMismatchError,
    SourceChangedError,
)


@dataclass(frozen=True, slots=True)
class DaySoFar:
    """What is in a feed's table of the day's intraday deliveries.

    complete: deliveries that hold against their manifest; open: those whose manifest has not come, or not all of
    whose messages are loaded; records: rows of both; reports: of the checks made now.
    """

    feed: str
    business_date: date
    complete: int
    open: int
    records: int
    reports: tuple[ValidationReport, ...]

    def raise_for_failures(self) -> None:
        """Raises ValidationFailedError for the first delivery that failed a check."""
        for report in self.reports:
            report.raise_for_failures()


@dataclass(frozen=True, slots=True)
class LeftOpen:
    """An intraday delivery of an earlier business date that was never validated; manifest: None when nobody has closed
    it, or its topic no longer says so."""

    delivery_id: str
    business_date: date
    manifest: DeliveryManifest | None


def day_begins(business_date: date) -> datetime:
    """From when on the topic can hold something of a business date."""
    return datetime.combine(business_date, time(), EXCHANGE_TIMEZONE) - DAY_BEGINS_BEFORE


def announced_deliveries(
    settings: Settings, feed: Feed, business_date: date, cycle: Cycle | None = Cycle.INTRADAY
) -> dict[str, DeliveryManifest]:
    """The day's deliveries of this cycle (None: of both) that are closed on the topic, by their ids."""
    return find_manifests(
        settings.kafka,
        feed.topic.name,
        feed=feed.name,
        business_date=business_date,
        cycle=cycle,
        since=day_begins(business_date),
    )


def produce_landed(
    settings: Settings,
    feed: Feed,
    landed: Iterable[LandedDelivery],
    announced: Mapping[str, DeliveryManifest],
    *,
    policy: BulkPolicy | None = None,
) -> tuple[tuple[DeliveryManifest, ...], tuple[str, ...]]:
    """Produces the landed deliveries that are not on the topic yet; their manifests, and why others were refused.

    A delivery that cannot be used holds up no other one. Raises what `produce_delivery` raises for other reasons than
    the delivery's own content.
    """
    produced, refused = [], []
    for delivery in landed:
        if delivery.source is None:
            refused.append(delivery.refused)
            continue
        known = announced.get(delivery.source.control.delivery.delivery_id)
        if known is not None and is_kept(settings, feed, known):
            continue
        try:
            produced.append(produce_source(settings, feed, delivery.source, policy=policy))
        except UNUSABLE as error:
            refused.append(str(error))
    return tuple(produced), tuple(refused)


def plan_what_is_there(
    settings: Settings, connection: SnowflakeConnection, feed: Feed, *, max_ranges: int = MAX_RANGES
) -> tuple[LoadRange, ...]:
    """The ranges from the feed's checkpoints to the topic's end now; empty when all of it is loaded.

    Raises ConfigurationError when the checkpoints are beyond the topic's end.
    """
    topic = feed.topic.name
    checkpoints = read_checkpoints(connection, feed.name, topic)
    marks = watermarks(settings.kafka, topic, range(partition_count(admin_client(settings.kafka), topic)))
    check_same_topic(feed, checkpoints, marks)
    unread = sum(high - max(low, checkpoints.get(partition, low)) for partition, (low, high) in marks.items())
    wanted = min(max_ranges, 1 + unread // OFFSETS_A_RANGE)
    return plan_to_end(feed.name, topic, checkpoints, marks, wanted)


def positions(settings: Settings, connection: SnowflakeConnection, feed: Feed) -> dict[int, int]:
    """The next offset to load of every partition; what lies there or after has not been loaded."""
    topic = feed.topic.name
    checkpoints = read_checkpoints(connection, feed.name, topic)
    marks = watermarks(settings.kafka, topic, range(partition_count(admin_client(settings.kafka), topic)))
    return {partition: max(low, checkpoints.get(partition, low)) for partition, (low, _) in marks.items()}


def has_unloaded(settings: Settings, feed: Feed, places: Mapping[int, int]) -> bool:
    """Whether a micro-batch of the feed lies at or after these positions; reads until it finds one."""
    marks = watermarks(settings.kafka, feed.topic.name, places)
    ranges = plan_to_end(feed.name, feed.topic.name, places, marks, 1)
    for part in ranges:
        batches = read_range(settings.kafka, part.readable(), on_corrupt=lambda _message, _error: None)
        try:
            return next(batches, None) is not None
        finally:
            batches.close()
    return False


def unchecked(
    session: Session, business_date: date, announced: Mapping[str, DeliveryManifest], *, failed: bool = False
) -> list[DeliveryManifest]:
    """Of the day's intraday deliveries that are closed on the topic, those not validated since.

    failed: those too that were, and failed.
    """
    rows = _rows(session, business_date, complete=failed)
    return [
        manifest
        for _, manifest in sorted(announced.items())
        if not is_validated(rows.get((manifest.feed, manifest.delivery_id)), manifest)
    ]


def _rows(session: Session, business_date: date, *, complete: bool) -> dict[tuple[str, str], DeliveryRow]:
    """What was validated of a date, by feed and delivery, since those of two feeds may have one id.

    complete: only what was found COMPLETE.
    """
    rows = deliveries_of(session, business_date)
    return {(row.feed, row.delivery_id): row for row in rows if row.status == COMPLETE or not complete}


def validate_closed(
    settings: Settings, connection: SnowflakeConnection, feed: Feed, business_date: date, *, failed: bool = False
) -> tuple[ValidationReport, ...]:
    """Validates the day's intraday deliveries that were closed after the last pass; failed: those too that have failed.

    One whose messages are not all loaded is left to the next pass, and logged as a warning.
    """
    announced = announced_deliveries(settings, feed, business_date)
    session = Session(connection, feed=feed.name)
    return _validate_loaded(connection, feed, unchecked(session, business_date, announced, failed=failed))


def left_open(settings: Settings, connection: SnowflakeConnection, feed: Feed, before: date) -> list[LeftOpen]:
    """The intraday deliveries of business dates before this one that loads have met and no validation has.

    The end of a date validates what is closed by then. What is closed later starts a pass of its own, unless nobody
    watches the topic just then. The topic is asked for dates only that have such a delivery.
    """
    opened = never_validated(Session(connection, feed=feed.name), feed, since=before - LOOK_BACK, before=before)
    announced = {day: announced_deliveries(settings, feed, day) for day in {day for day, _ in opened}}
    return [LeftOpen(delivery_id, day, announced[day].get(delivery_id)) for day, delivery_id in opened]


def validate_left_open(
    settings: Settings, connection: SnowflakeConnection, feed: Feed, before: date
) -> tuple[ValidationReport, ...]:
    """Validates what was left open of earlier business dates and is closed now; the rest is logged as warnings."""
    opened = left_open(settings, connection, feed, before)
    for one in opened:
        if one.manifest is None:
            logger.warning(
                "%s of %s has records in the table that the _CURRENT views do not show: no manifest on the topic "
                "closes it. Have its program complete it; `feedline replay verify --feeds %s --delivery %s` tells what "
                "there is of it",
                *(one.delivery_id, one.business_date, feed.name, one.delivery_id),
            )
    return _validate_loaded(connection, feed, [one.manifest for one in opened if one.manifest is not None])


def _validate_loaded(
    connection: SnowflakeConnection, feed: Feed, manifests: Iterable[DeliveryManifest]
) -> tuple[ValidationReport, ...]:
    checkpoints = read_checkpoints(connection, feed.name, feed.topic.name)
    reports = []
    for manifest in manifests:
        if _is_loaded(manifest, checkpoints):
            reports.append(validate_delivery(connection, feed, manifest))
        else:
            logger.warning(
                "%s is on the topic and not all of it is loaded: trigger `ihub_intraday` for %s",
                *(manifest.delivery_id, manifest.business_date),
            )
    return tuple(reports)


def validate_day_so_far(
    settings: Settings, connection: SnowflakeConnection, feed: Feed, business_date: date
) -> DaySoFar:
    """Checks what is loaded of the day's intraday deliveries; those that are whole become COMPLETE.

    A delivery that was found COMPLETE before and was not produced again since is not looked at again.
    """
    session = Session(connection, feed=feed.name)
    loaded = loaded_deliveries(session, feed, business_date, Cycle.INTRADAY)
    announced = announced_deliveries(settings, feed, business_date)
    done = _rows(session, business_date, complete=True)
    checkpoints = read_checkpoints(connection, feed.name, feed.topic.name)
    complete, reports = 0, []
    for delivery_id in sorted(loaded.keys() | announced.keys()):
        manifest = announced.get(delivery_id)
        if is_validated(done.get((feed.name, delivery_id)), manifest):
            complete += 1
        elif manifest is not None and _is_loaded(manifest, checkpoints):
            report = validate_delivery(connection, feed, manifest)
            complete += report.passed
            reports.append(report)
        elif delivery_id in loaded:
            reports.append(validate_partial(connection, feed, delivery_id))
    known = loaded.keys() | announced.keys()
    return DaySoFar(feed.name, business_date, complete, len(known) - complete, sum(loaded.values()), tuple(reports))


def _is_loaded(manifest: DeliveryManifest, checkpoints: Mapping[int, int]) -> bool:
    return all(checkpoints.get(held.partition, 0) >= held.end_offset for held in manifest.partitions)
