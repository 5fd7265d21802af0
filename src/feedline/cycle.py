"""The steps of a cycle, each joining two rooms: what the command line and the Airflow tasks call.

Each step can be repeated at any time, by several callers at once: producing again sends the same correlation ids, a
plan begins at the checkpoints, and a load that finds its work done changes nothing.
"""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Mapping
from datetime import date, datetime

from snowflake.connector import SnowflakeConnection

from feedline.archive import archived, archived_deliveries, keep
from feedline.batch.control_file import control_path
from feedline.batch.identity import Cycle
from feedline.batch.manifest import DeliveryManifest, standing_one
from feedline.catalog import Feed
from feedline.consumer.group_offsets import follow_checkpoints
from feedline.consumer.manifests import find_manifest, find_manifests
from feedline.consumer.range_reader import read_range
from feedline.consumer.ranges import LoadRange, plan_ranges, with_the_rest
from feedline.errors import ConfigurationError, LostRaceError, TerminalError
from feedline.kafka.admin import admin_client, partition_count, watermarks
from feedline.kafka.registry import registry_client, writer_schema
from feedline.producer.delivery import BulkPolicy, Progress, produce_delivery
from feedline.producer.error_report import error_reporter
from feedline.producer.source_files import DeliverySource, find_source
from feedline.settings import Settings
from feedline.strays import find_strays, reads_all
from feedline.warehouse.ledger import read_checkpoints
from feedline.warehouse.load import LoadPolicy, LoadResult, load_batches, remaining

logger = logging.getLogger(__name__)

MAX_RANGES = 4
# Another loader that won needs about the time of one transaction to finish; seconds, doubled each time, with jitter.
LOST_RACE_ATTEMPTS = 5
LOST_RACE_WAIT = 0.5


def produce(
    settings: Settings,
    feed: Feed,
    business_date: date,
    cycle: Cycle = Cycle.EOD,
    *,
    policy: BulkPolicy | None = None,
    progress: Progress | None = None,
) -> DeliveryManifest:
    """Produces the delivery of the date, from the landing folder or, when that no longer has it, from the archive.

    See `produce_delivery` for what it raises.
    """
    source = find_delivery(settings, feed, business_date, cycle)
    return produce_source(settings, feed, source, policy=policy, progress=progress)


def find_delivery(
    settings: Settings,
    feed: Feed,
    business_date: date,
    cycle: Cycle = Cycle.EOD,
) -> DeliverySource:
    """The files to produce: those in the landing folder, or when no control file is there, the archived ones.

    Raises ControlMismatchError when neither has them.
    """
    if os.path.lexists(control_path(settings.landing, feed.name, business_date)):
        return find_source(settings.landing, feed.name, business_date, cycle)
    kept = archived_deliveries(settings.archive_folder, feed.name, business_date)
    if not any(source.control.cycle is cycle for source in kept):
        # The reader of the error wants to know where the sender should have put them.
        return find_source(settings.landing, feed.name, business_date, cycle)
    source = archived(settings.archive_folder, feed.name, business_date, cycle)
    logger.warning(
        "%s of %s is not in %s: taking delivery %s from the archive %s",
        feed.name,
        business_date,
        settings.landing,
        source.control.delivery.delivery_id,
        settings.archive_folder,
    )
    return source


def produce_source(
    settings: Settings,
    feed: Feed,
    source: DeliverySource,
    *,
    policy: BulkPolicy | None = None,
    progress: Progress | None = None,
    produced_at: datetime | None = None,
) -> DeliveryManifest:
    """Produces a delivery's files, then archives them; see `produce_delivery` for `produced_at` and what it raises."""
    manifest = produce_delivery(
        feed,
        source,
        kafka=settings.acting_as("producer").kafka,
        registry=settings.registry,
        policy=policy or BulkPolicy(),
        progress=progress,
        produced_at=produced_at,
    )
    archive(settings, source)
    return manifest


def archive(settings: Settings, source: DeliverySource) -> bool:
    """Keeps a produced delivery's files; whether they are in the archive now.

    That they are not does not undo what was produced, nor hold up its load: it is logged as a warning, and every later
    attempt to produce the delivery tries again.
    """
    try:
        if keep(settings.archive_folder, source):
            logger.info("archived %s in %s", source.control.delivery.delivery_id, settings.archive_folder)
    except TerminalError as error:
        logger.warning(
            "the delivery is on its topic, but its date cannot be produced again from the archive: %s", error
        )
        return False
    return True


def delivered(
    settings: Settings,
    feed: Feed,
    business_date: date,
    cycle: Cycle = Cycle.EOD,
    *,
    delivery_id: str | None = None,
) -> DeliveryManifest | None:
    """The manifest on the topic of the delivery of that id, or else of the one that stands for the date; or None.

    Raises BrokerUnavailableError.
    """
    topic = feed.topic.name
    if delivery_id is None:
        found = find_manifests(settings.kafka, topic, feed=feed.name, business_date=business_date, cycle=cycle)
        return standing_one(found.values())
    return find_manifest(
        settings.kafka, topic, feed=feed.name, business_date=business_date, cycle=cycle, delivery_id=delivery_id
    )


def standing(settings: Settings, feed: Feed, source: DeliverySource) -> DeliveryManifest | None:
    """The manifest of a delivery that need not be produced: all of it is on its topic, and an end of day is the one
    that stands for its date. One whose sender goes back to it, after another one, is produced again.

    Raises BrokerUnavailableError.
    """
    own, cycle = source.control.delivery, source.control.cycle
    sought = None if cycle is Cycle.EOD else own.delivery_id
    last = delivered(settings, feed, own.business_date, cycle, delivery_id=sought)
    if last is None or last.delivery_id != own.delivery_id or not is_kept(settings, feed, last):
        return None
    return last


def is_kept(settings: Settings, feed: Feed, manifest: DeliveryManifest) -> bool:
    """Whether all of a delivery is still on its topic."""
    marks = watermarks(settings.kafka, feed.topic.name, [held.partition for held in manifest.partitions])
    return all(
        marks[held.partition][0] <= held.first_offset and held.end_offset <= marks[held.partition][1]
        for held in manifest.partitions
    )


def plan(
    settings: Settings,
    connection: SnowflakeConnection,
    feed: Feed,
    manifest: DeliveryManifest,
    *,
    max_ranges: int = MAX_RANGES,
) -> tuple[LoadRange, ...]:
    """The ranges to load for a delivery; empty when it is loaded.

    Those of one feed of each topic go on to the topic's end, for what lies there and is no feed's (`feedline.strays`).
    Raises OffsetsExpiredError, and ConfigurationError when the checkpoints are beyond the topic's end.
    """
    topic = feed.topic.name
    checkpoints = read_checkpoints(connection, feed.name, topic)
    marks = watermarks(settings.kafka, topic, [held.partition for held in manifest.partitions])
    check_same_topic(feed, checkpoints, marks)
    lows = {partition: low for partition, (low, _) in marks.items()}
    ranges = plan_ranges(manifest, checkpoints, lows, max_ranges, topic=topic)
    if ranges and reads_all(settings, feed):
        marks = watermarks(settings.kafka, topic, range(partition_count(admin_client(settings.kafka), topic)))
        ranges = with_the_rest(ranges, checkpoints, marks)
    return ranges


def check_same_topic(feed: Feed, checkpoints: Mapping[int, int], marks: Mapping[int, tuple[int, int]]) -> None:
    """Raises ConfigurationError when checkpoints are beyond the topic's end, as after it was deleted and made anew."""
    for partition, (_, high) in marks.items():
        if checkpoints.get(partition, 0) > high:
            # Without this every delivery on the new topic would look loaded until its offsets pass the old ones.
            raise ConfigurationError(
                f"the warehouse has loaded the partition up to offset {checkpoints[partition]}, and it ends at {high}: "
                "the topic was made anew; delete its rows of CONTROL.CONSUMER_CHECKPOINT, then plan again",
                feed=feed.name,
                topic=feed.topic.name,
                partition=partition,
                offset=checkpoints[partition],
            )


def load(
    settings: Settings,
    connection: SnowflakeConnection,
    feed: Feed,
    load_range: LoadRange,
    *,
    policy: LoadPolicy | None = None,
) -> LoadResult:
    """Loads a range from the topic into the feed's tables, then lets the group's offsets follow.

    When another loader wins a race, what is left is looked up and loaded, a few times; the result counts what all
    attempts loaded, and nothing of what the other one did. Raises what `load_batches` and `read_range` raise.
    """
    settings = settings.acting_as("loader")
    result = LoadResult(feed.name, load_range.topic)
    for attempt in range(1, LOST_RACE_ATTEMPTS + 1):
        try:
            _load_once(settings, connection, feed, load_range, policy=policy or LoadPolicy(), result=result)
        except LostRaceError as error:
            if attempt == LOST_RACE_ATTEMPTS:
                raise
            pause = LOST_RACE_WAIT * 2**attempt * random.uniform(0.5, 1)  # noqa: S311
            logger.info("%s; looking again in %.1f s", error, pause)
            time.sleep(pause)
        else:
            follow_checkpoints(settings.kafka, feed.name, load_range.topic, result.checkpoints)
            return result
    raise AssertionError("the last attempt returns or raises")


def _load_once(
    settings: Settings,
    connection: SnowflakeConnection,
    feed: Feed,
    load_range: LoadRange,
    *,
    policy: LoadPolicy,
    result: LoadResult,
) -> None:
    registry = registry_client(settings.registry)
    rest = load_range.after(remaining(connection, feed, load_range))
    with error_reporter(settings.kafka, feed) as reporter:
        strays = find_strays(settings, feed)
        batches = read_range(
            settings.kafka,
            rest.readable(),
            on_corrupt=reporter.forward,
            on_read=lambda messages: reporter.forward_strays(strays(messages)),
        )
        try:
            load_batches(
                connection,
                feed,
                rest,
                batches,
                lambda schema_id: writer_schema(registry, schema_id),
                on_bad_batch=reporter.refuse,
                policy=policy,
                result=result,
            )
        finally:
            batches.close()
