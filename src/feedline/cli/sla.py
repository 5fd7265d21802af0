"""`feedline sla`: each feed of a business date against its promises."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import click
from rich.text import Text

from feedline.catalog import EXCHANGE_TIMEZONE, Feed, Stage, load_catalog
from feedline.cli.feed_options import business_date_option, chosen_feeds, feeds_option
from feedline.cli.output import INCOMPLETE, OK, format_option, print_json, print_table, say
from feedline.monitoring.alert import Alert, minutes
from feedline.monitoring.alert_book import alerts_of
from feedline.monitoring.intraday import Late, late_deliveries
from feedline.monitoring.sla import StageVerdict, Standing
from feedline.monitoring.topic_answers import TopicAnswers
from feedline.monitoring.watch import observe, verdicts
from feedline.settings import load_settings
from feedline.warehouse.connection import Session, open_warehouse

COLUMNS = ("feed", *(column for stage in Stage for column in (stage.value, "by")))


@click.command()
@business_date_option
@feeds_option
@format_option
@click.pass_context
def sla(context: click.Context, business_date: datetime, feeds: str | None, output_format: str) -> None:
    """Show when each feed arrived, was loaded and validated, and by when it should have been.

    Times are New York's, with the days after the business date as +1. What is late is red and says by how much. Under
    the table stands what came during the day and is not loaded in time, and the alerts that were made. Only looks: it
    sends nothing. Exits with 4 when something is late, or a topic did not answer.

    \b
    Examples:
      feedline sla --business-date 2026-11-20
      feedline sla --business-date 2026-11-20 --feeds positions --format json
    """
    settings, now, day = load_settings(), datetime.now(UTC), business_date.date()
    chosen = chosen_feeds(load_catalog(settings.catalog), feeds)
    with open_warehouse(settings.warehouse) as connection:
        answers = TopicAnswers()
        times = observe(settings, connection, chosen, day, now=now, record=False, answers=answers)
        late = [
            (feed, one)
            for feed in chosen
            for one in late_deliveries(settings, connection, feed, day, now=now, answers=answers)
        ]
        alerts = alerts_of(Session(connection), day)
    found = verdicts(chosen, day, times, now)
    if output_format == "json":
        print_json(
            {
                "feeds": [_document(of_feed) for of_feed in found],
                "intraday": [_late_document(*one, now) for one in late],
                "alerts": [_told(*one) for one in alerts],
            }
        )
    else:
        print_table(COLUMNS, [_cells(of_feed) for of_feed in found], title=f"Promises for {day}, New York time")
        for feed, one in late:
            came, due = clock(one.arrived, day), clock(one.due, day)
            say(f"{feed.name}: {one.name} came at {came} and is not loaded, {minutes(now - one.due)} late (by {due})")
        for alert, status in alerts:
            say(f"{alert.subject} ({status})")
    silent = {feed.name: silence for feed in chosen if (silence := answers.silence_of(feed)) is not None}
    for name, silence in silent.items():
        say(f"{name}: files and tables alone were looked at, since the topic does not answer: {silence.reason}")
    in_time = not (late or silent) and all(verdict.in_time for of_feed in found for verdict in of_feed)
    context.exit(OK if in_time else INCOMPLETE)


def _cells(of_feed: tuple[StageVerdict, ...]) -> list[object]:
    cells: list[object] = [of_feed[0].feed]
    for verdict in of_feed:
        cells += [_reached(verdict), clock(verdict.due, verdict.business_date)]
    return cells


def _reached(verdict: StageVerdict) -> object:
    at = clock(verdict.reached, verdict.business_date)
    if verdict.in_time:
        return at
    told = f"{at}, {minutes(verdict.late)} late" if at else f"missing, {minutes(verdict.late)} late"
    return Text(told, style="bold red" if verdict.standing is Standing.MISSING else "red")


def clock(moment: datetime | None, business_date: date) -> str | None:
    """`18:00`, or `+1 02:00` for the day after the business date, as the catalogue writes it."""
    if moment is None:
        return None
    local = moment.astimezone(ZoneInfo(EXCHANGE_TIMEZONE))
    days = (local.date() - business_date).days
    return f"{days:+d} {local:%H:%M}" if days else f"{local:%H:%M}"


def _document(of_feed: tuple[StageVerdict, ...]) -> dict[str, object]:
    stages = {
        verdict.stage.value: {
            "standing": verdict.standing.value,
            "due": verdict.due,
            "reached": verdict.reached,
            "lateSeconds": int(verdict.late.total_seconds()),
        }
        for verdict in of_feed
    }
    return {"feed": of_feed[0].feed, "businessDate": of_feed[0].business_date, **stages}


def _late_document(feed: Feed, late: Late, now: datetime) -> dict[str, object]:
    seconds = int((now - late.due).total_seconds())
    return {"feed": feed.name, "name": late.name, "arrived": late.arrived, "due": late.due, "lateSeconds": seconds}


def _told(alert: Alert, status: str) -> dict[str, object]:
    return {**alert.to_dict(), "status": status}
