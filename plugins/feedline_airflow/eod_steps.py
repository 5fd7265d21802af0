"""The steps of `ihub_eod`, most of them for one feed; any of them may be tried again at any time.

Between the steps go ranges, counts and ids. Manifests stay on the topic, records on the topic and in the warehouse.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowSkipException

from feedline_airflow.announcement import announce, announced
from feedline_airflow.run_options import run_options
from feedline_airflow.task_settings import task_settings

if TYPE_CHECKING:
    from feedline.catalog import Feed

logger = logging.getLogger(__name__)

# One load for this much uncompressed source: a small feed costs one task, a large one is spread over workers.
RANGE_BYTES = 64 * 1024 * 1024
MAX_RANGES = 8


def choose_feeds() -> list[str]:
    """The task groups of the feeds to process; the others are skipped. Raises UnknownFeedError."""
    options = run_options(get_current_context())
    feeds = [_feed(name).name for name in options.feeds]
    logger.info(
        "Business date %s, %d feeds%s: %s",
        options.business_date,
        len(feeds),
        ", dry run" if options.dry_run else "",
        ", ".join(feeds),
    )
    return feeds


def produce(feed: str) -> dict[str, str]:
    """Produces the delivery, unless all of it lies on the topic already, and announces it to the steps that follow.

    In a dry run it reports and skips the steps that follow.
    """
    from feedline import cycle
    from feedline_airflow.dry_run import report_delivery
    from feedline_airflow.produce_progress import ProduceProgress

    options, settings, known = run_options(get_current_context()), task_settings(), _feed(feed)
    source = cycle.find_delivery(settings, known, options.business_date)
    manifest = cycle.standing(settings, known, source)
    if options.dry_run:
        report_delivery(settings, known, source, manifest)
        raise AirflowSkipException("dry run: nothing was changed")
    if manifest is not None:
        cycle.archive(settings, source)
        logger.info("Delivery %s is on the topic already, produced at %s", manifest.delivery_id, manifest.produced_at)
        return announce(manifest)
    manifest = cycle.produce_source(settings, known, source, progress=ProduceProgress(source.control.records, logger))
    logger.info(
        "Produced delivery %s: %d of %d records in %d messages, %.1f MB; %d bad records are on %s",
        manifest.delivery_id,
        manifest.records,
        manifest.source_records,
        manifest.batches,
        manifest.raw_bytes / 1e6,
        manifest.error_records,
        known.topic.error_topic,
    )
    return announce(manifest)


def plan_ranges(feed: str, delivery: dict[str, str]) -> list[dict[str, Any]]:
    """The ranges that are still to load, each with the name that its task goes by; none when all is loaded."""
    from feedline import cycle
    from feedline_airflow.warehouse_hook import WarehouseHook

    settings, known = task_settings(), _feed(feed)
    manifest = announced(settings, known, delivery)
    wanted = min(MAX_RANGES, 1 + manifest.raw_bytes // RANGE_BYTES)
    with WarehouseHook().session() as connection:
        ranges = cycle.plan(settings, connection, known, manifest, max_ranges=wanted)
    parts = [
        {"name": f"{feed} {number}/{len(ranges)}", "range": planned.to_dict()}
        for number, planned in enumerate(ranges, 1)
    ]
    for part, planned in zip(parts, ranges, strict=True):
        logger.info("%s: %d offsets of %d partitions", part["name"], planned.offsets, len(planned.spans))
    if not parts:
        logger.info("Delivery %s is loaded already", manifest.delivery_id)
    return parts


def load(feed: str, part: dict[str, Any]) -> None:
    """Loads one range; what an earlier try or another run has loaded of it is left as it is."""
    from feedline import cycle
    from feedline.consumer.ranges import LoadRange
    from feedline_airflow.warehouse_hook import WarehouseHook

    with WarehouseHook().session() as connection:
        result = cycle.load(task_settings(), connection, _feed(feed), LoadRange.from_dict(part["range"]))
    logger.info(
        "%s: %d records of %d messages are in the table; %d messages were there already, %d cannot be decoded",
        part["name"],
        result.records,
        result.batches,
        result.duplicate_batches,
        result.error_batches,
    )


def validate(feed: str, delivery: dict[str, str]) -> dict[str, Any]:
    """Holds the tables against the manifest; the counts of a delivery that passed. Raises ValidationFailedError.

    So does it for intraday deliveries of the date that were closed after the last pass, and raises for them once the
    end of day is validated: without them the day is not whole. A failed one fails one run, and `feedline delivery
    status` from then on.

    A run of the schedule also holds the delivery against the feed's freshness limit; a run by hand or of a backfill is
    about data that may be as old as it likes.
    """
    from feedline.cycle_intraday import validate_closed
    from feedline.monitoring.watch import record_arrival
    from feedline.warehouse.validate import validate_delivery
    from feedline_airflow.sla_steps import SCHEDULED, watch_after_validation
    from feedline_airflow.warehouse_hook import WarehouseHook

    known, settings = _feed(feed), task_settings()
    manifest = announced(settings, known, delivery)
    scheduled = get_current_context()["dag_run"].run_type == SCHEDULED
    with WarehouseHook().session() as connection:
        record_arrival(settings, connection, manifest)
        report = validate_delivery(
            connection, known, manifest, fresh_within=known.sla.fresh_within if scheduled else None
        )
        reports = [report, *validate_closed(settings, connection, known, manifest.business_date)]
    watch_after_validation()
    for failure in [failure for one in reports for failure in one.failures]:
        logger.error("%s", failure)
    for one in reports:
        one.raise_for_failures()
    logger.info(
        "%s: all %d checks passed: %d source records = %d loaded + %d in the error topic",
        manifest.delivery_id,
        len(report.checks),
        manifest.source_records,
        manifest.records,
        manifest.error_records,
    )
    return {
        "delivery_id": manifest.delivery_id,
        "business_date": manifest.business_date.isoformat(),
        "source_records": manifest.source_records,
        "records": manifest.records,
        "error_records": manifest.error_records,
        "produced_at": manifest.produced_at.isoformat(),
    }


def publish(summary: dict[str, Any]) -> None:
    """Tells everything that waits for this task's asset that the delivery is complete."""
    context = get_current_context()
    for asset in context["task"].outlets:
        context["outlet_events"][asset].extra = summary
        logger.info("%s: %s of %s is complete", asset.uri, summary["delivery_id"], summary["business_date"])


def _feed(name: str) -> Feed:
    from feedline.catalog import load_catalog
    from feedline.settings import load_settings

    return load_catalog(load_settings().catalog).feed(name)
