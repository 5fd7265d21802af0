"""`feedline load`: from the topic into the tables, then validated."""

from __future__ import annotations

from datetime import date, datetime

import click
from snowflake.connector import SnowflakeConnection

from feedline import cycle
from feedline.catalog import Catalog, Feed, load_catalog
from feedline.cli.delivery import show_statuses, statuses
from feedline.cli.feed_options import business_date_option, chosen_feeds, feeds_option
from feedline.cli.output import INCOMPLETE, OK, format_option, progress, say
from feedline.cycle_intraday import validate_closed
from feedline.settings import Settings, load_settings
from feedline.warehouse.connection import open_warehouse
from feedline.warehouse.provision import provision_tables
from feedline.warehouse.validate import validate_delivery


@click.command()
@business_date_option
@feeds_option
@format_option
@click.pass_context
def load(context: click.Context, business_date: datetime, feeds: str | None, output_format: str) -> None:
    """Load the deliveries of a business date into their tables and validate them.

    Everything of a feed up to the end of its delivery is loaded, from where its last load ended. Intraday deliveries
    whose messages are loaded are validated too, unless they are COMPLETE. Running it again changes nothing. Exits with
    4 when a feed has no delivery or one fails its validation, with 3 when a service was away.

    \b
    Examples:
      feedline load --business-date 2026-11-20
      feedline load --business-date 2026-11-20 --feeds positions --format json
    """
    settings = load_settings()
    chosen = chosen_feeds(load_catalog(settings.catalog), feeds)
    with open_warehouse(settings.warehouse) as connection:
        passed = True
        provision_tables(connection, Catalog({feed.name: feed for feed in chosen}))
        for feed in chosen:
            _load_feed(settings, connection, feed, business_date.date())
            passed = _validate_closed(settings, connection, feed, business_date.date()) and passed
    rows = statuses(settings, chosen, business_date.date(), intraday=False)
    show_statuses(rows, business_date.date(), output_format)
    context.exit(OK if passed and all(row.complete for row in rows) else INCOMPLETE)


def _load_feed(settings: Settings, connection: SnowflakeConnection, feed: Feed, business_date: date) -> None:
    manifest = cycle.delivered(settings, feed, business_date)
    if manifest is None:
        say(f"{feed.name}: no delivery of {business_date} on the topic: produce it first")
        return
    ranges = cycle.plan(settings, connection, feed, manifest)
    with progress(feed.name, sum(one.offsets for one in ranges), unit="offsets") as advance:
        for one in ranges:
            cycle.load(settings, connection, feed, one)
            advance(one.offsets)
    report = validate_delivery(connection, feed, manifest)
    for check in report.failures:
        say(f"{feed.name}: {check}")


def _validate_closed(settings: Settings, connection: SnowflakeConnection, feed: Feed, business_date: date) -> bool:
    reports = validate_closed(settings, connection, feed, business_date, failed=True)
    for report in reports:
        say(f"{report.delivery_id}: {'COMPLETE' if report.passed else 'FAILED'}")
        for check in report.failures:
            say(f"{report.delivery_id}: {check}")
    return all(report.passed for report in reports)
