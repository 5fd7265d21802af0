"""`feedline replay`: hold the topic against the tables, put back what is missing, load a delivery anew."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from feedline.catalog import Catalog, Feed, load_catalog
from feedline.cli.feed_options import chosen_feeds
from feedline.cli.output import INCOMPLETE, OK, format_option, print_json, print_table, progress, say
from feedline.errors import ConfigurationError
from feedline.replay.report import ReplayReport
from feedline.replay.run import ReplayOptions
from feedline.replay.run import replay as replay_feed
from feedline.replay.selection import Mode, Selection, parse_offsets
from feedline.settings import load_settings
from feedline.warehouse.connection import open_warehouse
from feedline.warehouse.provision import provision_tables

COLUMNS = ("feed", "offsets", "messages", "deliveries", "to load", "loaded", "records", "taken out", "right")


@click.command(
    epilog="""\b
Examples:
  feedline replay verify --business-date 2026-11-20
  feedline replay repair --business-date 2026-11-20 --feeds positions --dry-run
  feedline replay repair --delivery positions-20261120-EOD-0a1b2c3d4e5f
  feedline replay verify --feeds positions --offsets 3:100-199
  feedline replay repair --feeds positions --since 2026-11-20T18:30-05:00
  feedline replay verify --correlation-id 0b8d2a8e-5d0e-5d5c-9a53-6a51c2d1c0de
  feedline replay repair --business-date 2026-11-02 --from-archive
  feedline replay rebuild --delivery positions-20261120-EOD-0a1b2c3d4e5f --schema IHUB_REBUILD
  feedline replay rebuild --delivery positions-20261120-EOD-0a1b2c3d4e5f --drop-incomplete"""
)
@click.argument("mode", type=click.Choice([mode.value for mode in Mode]))
@click.option("--delivery", "delivery_id", metavar="ID", help="One delivery.")
@click.option("--business-date", type=click.DateTime(["%Y-%m-%d"]), metavar="YYYY-MM-DD", help="Deliveries of a date.")
@click.option("--feeds", metavar="NAME,NAME", help="Only these feeds; without it those that the selection may be of.")
@click.option("--correlation-id", metavar="UUID", help="One micro-batch.")
@click.option("--offsets", multiple=True, metavar="PARTITION:FIRST-LAST", help="Offsets of one feed; repeatable.")
@click.option("--since", metavar="ISO-TIME", help="Messages from this time on, with time zone.")
@click.option("--until", metavar="ISO-TIME", help="Messages before this time, with time zone.")
@click.option("--dry-run", is_flag=True, help="Tell what would be touched, and change nothing.")
@click.option("--schema", metavar="NAME", help="rebuild: into tables of this schema; the feed's own stay as they are.")
@click.option("--from-archive", is_flag=True, help="Produce the delivery or date again from the file archive first.")
@click.option("--drop-incomplete", is_flag=True, help="rebuild: take out a delivery that was never finished.")
@click.option("--json", "as_json", is_flag=True, help="Short for --format json.")
@format_option
@click.pass_context
def replay(
    context: click.Context,
    *,
    mode: str,
    delivery_id: str | None,
    business_date: datetime | None,
    feeds: str | None,
    correlation_id: str | None,
    offsets: tuple[str, ...],
    since: str | None,
    until: str | None,
    dry_run: bool,
    schema: str | None,
    from_archive: bool,
    drop_incomplete: bool,
    as_json: bool,
    output_format: str,
) -> None:
    """Hold what lies on the topic against the tables (verify), load what is missing (repair), or delete and load a
    delivery anew (rebuild).

    Nothing is loaded twice, and the live loads go on undisturbed: their checkpoints and their group's offsets stay
    where they are. Exits with 4 when topic and tables do not agree at the end, with 3 when a service was away.
    """
    options = ReplayOptions(
        mode=Mode(mode),
        dry_run=dry_run,
        schema=schema.upper() if schema else None,
        from_archive=from_archive,
        drop_incomplete=drop_incomplete,
    )
    selection = Selection(
        delivery_id=delivery_id,
        business_date=business_date.date() if business_date else None,
        correlation_id=correlation_id,
        offsets=tuple(map(parse_offsets, offsets)),
        since=_moment(since),
        until=_moment(until),
    )
    settings = load_settings()
    chosen = _feeds(load_catalog(settings.catalog), feeds, selection)
    reports: list[ReplayReport] = []
    with open_warehouse(settings.warehouse) as connection:
        provision_tables(connection, Catalog({feed.name: feed for feed in chosen}))
        for feed in chosen:
            with progress(feed.name, unit="messages") as advance:
                reports.append(replay_feed(settings, connection, feed, selection, options, progress=advance))
    _show(reports, "json" if as_json else output_format)
    context.exit(OK if all(report.right for report in reports) else INCOMPLETE)


def _feeds(catalog: Catalog, names: str | None, selection: Selection) -> list[Feed]:
    chosen = chosen_feeds(catalog, names)
    if names is None and selection.delivery_id:
        # A delivery's id begins with its feed's name.
        chosen = [feed for feed in chosen if selection.delivery_id.startswith(f"{feed.name}-")]
        if not chosen:
            raise ConfigurationError("the delivery's id names no feed: add --feeds", delivery_id=selection.delivery_id)
    if selection.offsets and len(chosen) != 1:
        raise ConfigurationError("offsets are of one feed's topic: name it with --feeds")
    return chosen


def _moment(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        raise ConfigurationError(f"{text!r} is no point in time: write 2026-11-20T18:30-05:00") from None


def _show(reports: Sequence[ReplayReport], output_format: str) -> None:
    if output_format == "json":
        print_json([report.to_dict() for report in reports])
        return
    print_table(COLUMNS, [_cells(report) for report in reports])
    for report in reports:
        for line in report.lines():
            say(line)


def _cells(report: ReplayReport) -> tuple[Any, ...]:
    return (
        report.feed,
        report.spans.offsets,
        report.messages,
        len(report.deliveries),
        report.to_load,
        report.changed.batches,
        report.changed.records,
        report.changed.deleted_rows,
        report.right,
    )
