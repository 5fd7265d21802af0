"""`feedline delivery`: what came, what was loaded, what failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime

import click

from feedline import cycle
from feedline.batch.identity import Cycle
from feedline.catalog import Feed, load_catalog
from feedline.cli.feed_options import business_date_option, chosen_feeds, feeds_option
from feedline.cli.output import INCOMPLETE, OK, format_option, print_json, print_table, say
from feedline.consumer.error_counts import errors_by_delivery
from feedline.cycle_intraday import announced_deliveries
from feedline.errors import UnknownFeedError
from feedline.redrive.states import ErrorState, ErrorStates
from feedline.redrive.stored_error import Selection, read_errors
from feedline.settings import Settings, load_settings
from feedline.warehouse.connection import open_warehouse
from feedline.warehouse.status import MISSING, DeliveryStatus, delivery_status

COLUMNS = (
    "feed",
    "cycle",
    "status",
    "files",
    "source records",
    "messages",
    "loaded",
    "errors",
    "redriven",
    "balanced",
    "raw MB",
    "seconds",
)


# The error code of a message that is no feed's.
STRAY = UnknownFeedError.__name__


@click.group()
def delivery() -> None:
    """Look at deliveries."""


@delivery.command()
@business_date_option
@feeds_option
@format_option
@click.pass_context
def status(context: click.Context, business_date: datetime, feeds: str | None, output_format: str) -> None:
    """Show what came of a business date: of each feed every intraday delivery, then the end of day.

    A delivery is balanced when every source record is in its table or on the error topic. Who had errors sent again
    is told below the table, and messages on the feeds' topics that are no feed's; JSON has the control totals of the
    rows in the table too. Exits with 4 when a delivery of the date is missing, unchecked, failed or not balanced, or
    a message of it, or of no date, is no feed's.

    \b
    Examples:
      feedline delivery status --business-date 2026-11-20
      feedline delivery status --business-date 2026-11-20 --feeds positions,tax_lots --format json
    """
    settings = load_settings()
    chosen = chosen_feeds(load_catalog(settings.catalog), feeds)
    rows = statuses(settings, chosen, business_date.date())
    show_statuses(rows, business_date.date(), output_format)
    strays = open_strays(settings, chosen, business_date.date())
    for topic, count in strays.items():
        say(f"{topic}: {count} messages are no feed's: `feedline errors list --each --code {STRAY}`")
    context.exit(OK if all(row.complete for row in rows) and not strays else INCOMPLETE)


def statuses(
    settings: Settings, feeds: Sequence[Feed], business_date: date, *, intraday: bool = True
) -> list[DeliveryStatus]:
    """Of each feed what its tables, its topic and its error topic say about the date, or about its end of day alone."""
    errors: dict[str, dict[str, int]] = {}
    for error_topic in {feed.topic.error_topic for feed in feeds}:
        errors |= errors_by_delivery(settings.kafka, error_topic)
    with open_warehouse(settings.warehouse) as connection:
        # What was not validated since it was produced is known from its manifest on the topic alone.
        asked = None if intraday else Cycle.EOD
        announced = [m for feed in feeds for m in announced_deliveries(settings, feed, business_date, asked).values()]
        found = delivery_status(connection, feeds, business_date, announced=announced, errors_on_topic=errors)
        missing = {row.feed for row in found if row.status == MISSING}
        ended = [
            m for f in feeds if f.name in missing and (m := cycle.delivered(settings, f, business_date)) is not None
        ]
        if ended:
            announced += ended
            found = delivery_status(connection, feeds, business_date, announced=announced, errors_on_topic=errors)
    return [row for row in found if intraday or row.cycle == Cycle.EOD]


def open_strays(settings: Settings, feeds: Sequence[Feed], business_date: date) -> dict[str, int]:
    """By topic of the feeds, how many messages of the date, or of no date, loads have found to be no feed's; without
    those that were dismissed, or loaded since."""
    counts: Counter[str] = Counter()
    with open_warehouse(settings.warehouse) as connection:
        states = ErrorStates(connection)
        for topic in dict.fromkeys(feed.topic for feed in feeds):
            for error in read_errors(settings.kafka, topic.error_topic, Selection(error_code=STRAY)):
                of_date = error.delivery is None or error.delivery.business_date == business_date
                counts[topic.name] += of_date and states.state(error) is ErrorState.OPEN
    return dict(+counts)


def show_statuses(rows: Sequence[DeliveryStatus], business_date: date, output_format: str) -> None:
    """The statuses on standard output; under a table, on standard error, what is wrong and what to do."""
    if output_format == "json":
        print_json([row.to_dict() for row in rows])
        return
    print_table(COLUMNS, [_cells(row) for row in rows], title=f"Deliveries of {business_date}")
    for row in rows:
        for one in row.redrives:
            told = f"{one.records} sent again at {one.at:%Y-%m-%d %H:%M %Z} by {one.requested_by}, {one.how}"
            say(f"{row.delivery_id}: {told}")
        for trouble in _troubles(row):
            say(f"{row.delivery_id or row.feed}: {trouble}")


def _cells(row: DeliveryStatus) -> tuple[object, ...]:
    return (
        row.feed,
        row.cycle,
        row.status,
        row.files,
        row.source_records,
        row.messages,
        row.loaded,
        row.errors,
        row.redriven,
        row.balanced,
        row.raw_bytes / 1e6,
        row.seconds,
    )


def _troubles(row: DeliveryStatus) -> list[str]:
    if row.delivery_id is None:
        return ["no end of day of this date is known: produce it, then load it"]
    told = []
    if row.source_records != row.loaded + row.errors:
        told.append(f"{row.source_records} source records, but {row.loaded} loaded and {row.errors} refused: load it")
    if row.errors != row.error_topic_records:
        told.append(
            f"{row.errors} records were refused, but {row.error_topic_records} lie on the error topic: they may have "
            "passed its retention; otherwise produce the delivery again"
        )
    if not told and not row.complete:
        told.append(f"its validation is {row.status}: run `feedline load`, which validates, and see what it says")
    return told
