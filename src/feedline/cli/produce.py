"""`feedline produce`: from the landing folder to the topic."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

import click
from confluent_kafka import KafkaException

from feedline import cycle
from feedline.batch.identity import Cycle
from feedline.batch.manifest import DeliveryManifest
from feedline.catalog import Feed, load_catalog
from feedline.cli.feed_options import business_date_option, chosen_feeds, feeds_option
from feedline.cli.output import FAILED, OK, exit_code, format_option, print_json, print_table, progress, report_error
from feedline.errors import RetriableError, TerminalError
from feedline.kafka.admin import admin_client, ensure_topics
from feedline.kafka.errors import translate
from feedline.settings import Settings, load_settings

METADATA_SECONDS = 30.0
SYSLOG_CRITICAL = 2

PRODUCED = "produced"
ALREADY_THERE = "already on the topic"
REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Produced:
    """What became of one feed; `reason` says why it was refused."""

    feed: str
    status: str
    delivery_id: str | None = None
    files: int = 0
    source_records: int = 0
    records: int = 0
    error_records: int = 0
    messages: int = 0
    raw_bytes: int = 0
    seconds: float = 0.0
    reason: str | None = None
    exit_code: int = OK


@click.command(
    epilog="""\b
Examples:
  feedline produce --business-date 2026-11-20
  feedline produce --business-date 2026-11-20 --feeds positions,tax_lots
  feedline produce --business-date 2026-11-20 --landing /data/landing --format json"""
)
@business_date_option
@feeds_option
@click.option(
    "--landing",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with the files, DATE/FEED/ inside it.  [default: that of the settings]",
)
@click.option(
    "--cycle",
    "cycle_name",
    type=click.Choice([Cycle.EOD.value]),
    default=Cycle.EOD.value,
    show_default=True,
    help="The cycle that the files belong to.",
)
@click.option("--again", is_flag=True, help="Produce a delivery that is on its topic already, too.")
@format_option
@click.pass_context
def produce(
    context: click.Context,
    *,
    business_date: datetime,
    feeds: str | None,
    landing: Path | None,
    cycle_name: str,
    again: bool,
    output_format: str,
) -> None:
    """Send the files of a business date to their topic, with a manifest for every delivery that is whole.

    Bad records go to the error topic and the rest is produced. A feed whose files cannot be trusted is refused, and
    the others are produced; the exit code is then that of the first feed refused. Producing a delivery again is
    harmless: its messages have the same ids, and are loaded once.
    """
    settings = load_settings()
    # librdkafka would tell every attempt to connect on standard error; what it ends with is told once, as an error.
    quiet = {"log_level": SYSLOG_CRITICAL, **settings.kafka}
    settings = replace(settings, kafka=quiet, landing=landing or settings.landing)
    chosen = chosen_feeds(load_catalog(settings.catalog), feeds)
    _ensure_topics(settings, chosen)
    outcomes = [_produce(settings, feed, business_date.date(), Cycle(cycle_name), again=again) for feed in chosen]
    _show(outcomes, business_date.date(), output_format)
    context.exit(next((one.exit_code for one in outcomes if one.exit_code != OK), OK))


def _ensure_topics(settings: Settings, feeds: Sequence[Feed]) -> None:
    """Creates what is missing. Topics that exist are left alone: a producer need not have the right to alter them."""
    admin = admin_client(settings.acting_as("provisioning").kafka)
    try:
        there = admin.list_topics(timeout=METADATA_SECONDS).topics
    except KafkaException as error:
        raise translate(error) from error
    topics = {feed.topic.name: feed.topic for feed in feeds}
    missing = [topic for topic in topics.values() if not {topic.name, topic.error_topic} <= set(there)]
    if missing:
        ensure_topics(admin, missing, settings.replication_factor)


def _produce(settings: Settings, feed: Feed, business_date: date, cycle_of: Cycle, *, again: bool) -> Produced:
    started = time.monotonic()
    try:
        source = cycle.find_delivery(settings, feed, business_date, cycle_of)
        control = source.control
        manifest = None if again else cycle.standing(settings, feed, source)
        if manifest is not None:
            cycle.archive(settings, source)
            return _outcome(manifest, ALREADY_THERE, started)
        with progress(feed.name, control.records, unit="records") as advance:
            done = 0

            def follow(records: int, _size: int) -> None:
                nonlocal done
                advance(records - done)
                done = records

            manifest = cycle.produce_source(settings, feed, source, progress=follow)
        return _outcome(manifest, PRODUCED, started)
    except RetriableError:
        # A service that is away is away for the next feed as well.
        raise
    except TerminalError as error:
        report_error(error)
        return Produced(
            feed.name,
            REFUSED,
            seconds=time.monotonic() - started,
            reason=str(error),
            exit_code=exit_code(error) or FAILED,
        )


def _outcome(manifest: DeliveryManifest, status: str, started: float) -> Produced:
    return Produced(
        feed=manifest.feed,
        status=status,
        delivery_id=manifest.delivery_id,
        files=len(manifest.files),
        source_records=manifest.source_records,
        records=manifest.records,
        error_records=manifest.error_records,
        messages=manifest.batches,
        raw_bytes=manifest.raw_bytes,
        seconds=time.monotonic() - started,
    )


def _show(outcomes: Sequence[Produced], business_date: date, output_format: str) -> None:
    if output_format == "json":
        print_json({"business_date": business_date, "feeds": outcomes})
        return
    columns = ("feed", "files", "source records", "messages", "produced", "errors", "raw MB", "seconds", "status")
    rows = [
        (
            o.feed,
            o.files,
            o.source_records,
            o.messages,
            o.records,
            o.error_records,
            o.raw_bytes / 1e6,
            o.seconds,
            o.status,
        )
        for o in outcomes
    ]
    print_table(columns, rows, title=f"Deliveries of {business_date}")
