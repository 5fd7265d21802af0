"""`feedline errors`: what was refused, and working it off."""

from __future__ import annotations

import getpass
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from feedline.catalog import Catalog, load_catalog
from feedline.cli.error_view import error_document, print_error
from feedline.cli.feed_options import chosen_feeds, feeds_option
from feedline.cli.output import INCOMPLETE, OK, Command, format_option, print_json, print_table, progress, say
from feedline.errors import ConfigurationError
from feedline.redrive.correction_file import export_line
from feedline.redrive.plan import RedrivePlan, errors_of
from feedline.redrive.run import Settled, check, send, settle
from feedline.redrive.states import ErrorState, ErrorStates
from feedline.redrive.stored_error import Selection, StoredError
from feedline.settings import Settings, load_settings
from feedline.warehouse.connection import Session, open_warehouse
from feedline.warehouse.error_books import dismiss as dismiss_errors

STATES = [state.value for state in ErrorState]


def selection_options(command: Command) -> Command:
    """Adds the options that say which errors are meant, for `_selection`."""
    options = (
        feeds_option,
        click.option(
            "--business-date",
            type=click.DateTime(["%Y-%m-%d"]),
            metavar="YYYY-MM-DD",
            help="Only those of deliveries of this business date.",
        ),
        click.option("--delivery", metavar="ID", help="Only those of this delivery."),
        click.option("--id", "ids", multiple=True, metavar="ID", help="Only this error; may be given more than once."),
        click.option("--code", metavar="CODE", help="Only those with this error code, as SchemaMismatchError."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def errors() -> None:
    """Look at refused records, correct them, and send them again."""


@errors.command("list")
@selection_options
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option("--each", is_flag=True, help="A line for each error instead of counts.")
@format_option
def list_command(*, state: str | None, each: bool, output_format: str, **chosen: Any) -> None:
    """Count what lies on the error topics, by feed, delivery, reason and state.

    \b
    Examples:
      feedline errors list
      feedline errors list --business-date 2026-11-20 --feeds positions --state open
      feedline errors list --delivery positions-20261120-EOD-1f0c4d5e6a7b --each --format json
    """
    settings, catalog, selection = _asked(chosen)
    with open_warehouse(settings.warehouse) as connection:
        found = _in_state(settings, catalog, selection, ErrorStates(connection), state)
        if each:
            _print_each(list(found), output_format)
        else:
            _print_counts(found, output_format)


@errors.command("show")
@click.argument("error_id")
@format_option
def show_command(*, error_id: str, output_format: str) -> None:
    """Show one error: its headers, what is wrong, and its bytes with the culprit marked.

    \b
    Examples:
      feedline errors show 2b7c0f6e-6c1d-5f0e-8a55-0d7a3a4bb0f1
    """
    settings, catalog, selection = _asked({"ids": (error_id,)})
    error = next(errors_of(settings, catalog, selection), None)
    if error is None:
        raise ConfigurationError(
            "no error with this id on the error topics: `feedline errors list --each` shows them",
            correlation_id=error_id,
        )
    with open_warehouse(settings.warehouse) as connection:
        states = ErrorStates(connection)
        state, dismissal, redrives = states.state(error), states.dismissal(error), states.redrives(error)
    if output_format == "json":
        print_json({**error_document(error, state), "dismissal": dismissal, "redrives": redrives})
        return
    print_error(error, state, dismissal, redrives)


@errors.command("export")
@selection_options
@click.option("--state", type=click.Choice(STATES), default="open", show_default=True, help="Only those in this state.")
@click.option(
    "--file", "path", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The file to write."
)
def export_command(*, state: str, path: Path, **chosen: Any) -> None:
    """Write errors to a file of JSON Lines, to be corrected and given to `feedline errors redrive`.

    Correct `record` in each line (or `records`, of a refused micro-batch) and take out the lines that you leave as
    they are. A file that is there already is not written over.

    \b
    Examples:
      feedline errors export --business-date 2026-11-20 --feeds positions --file corrected.jsonl
    """
    settings, catalog, selection = _asked(chosen)
    count = 0
    with open_warehouse(settings.warehouse) as connection, progress("exporting", unit="errors") as advance:
        found = _in_state(settings, catalog, selection, ErrorStates(connection), state)
        try:
            with path.open("x", encoding="utf-8", newline="\n") as file:
                for error, _ in found:
                    file.write(export_line(error) + "\n")
                    count += 1
                    advance(1)
        except OSError as error_:
            raise ConfigurationError(f"the file cannot be written: {error_}", file=str(path)) from error_
    say(f"{count} errors are in {path}")


@errors.command("redrive")
@click.option(
    "--file", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A file of corrections."
)
@click.option("--as-is", is_flag=True, help="Send the chosen errors with their own bytes, by the schema as it is now.")
@selection_options
@click.option("--dry-run", is_flag=True, help="Check, tell what would be sent, and change nothing.")
@click.option("--by", default=getpass.getuser, help="Who wants it; without it the user of this machine.")
@format_option
def redrive_command(
    *, path: Path | None, as_is: bool, dry_run: bool, by: str, output_format: str, **chosen: Any
) -> None:
    """Send corrected errors again, load them and validate their deliveries.

    Everything is checked before anything is sent; a correction that does not fit is refused with its line and field.
    Running it again, or twice at once, changes nothing more. Who had it sent, and when, is recorded: `feedline errors
    show` and `feedline delivery status` tell it. Exits with 4 when an error stays open or a delivery
    fails its validation.

    \b
    Examples:
      feedline errors redrive --file corrected.jsonl --dry-run
      feedline errors redrive --file corrected.jsonl
      feedline errors redrive --as-is --delivery positions-20261120-EOD-1f0c4d5e6a7b
    """
    settings, catalog, selection = _asked(chosen)
    if (path is None) != as_is:
        raise click.UsageError("give --file with corrections, or --as-is with what to send as it is")
    if as_is and selection == Selection():
        raise click.UsageError(
            "say which errors to send as they are: --delivery, --business-date, --feeds, --id, --code"
        )
    if path is not None and selection != Selection():
        raise click.UsageError("a file says itself which errors it corrects: leave out the other options")
    with open_warehouse(settings.warehouse) as connection:
        plan = check(settings, connection, catalog, selection if path is None else path)
        for refusal in plan.refused:
            say(f"stays open: {refusal}")
        settled: list[Settled] = []
        if not dry_run:
            sent = send(settings, connection, catalog, plan, requested_by=by)
            with progress("loading", len(sent), unit="deliveries") as advance:
                for one in sent:
                    settled.append(settle(settings, connection, catalog.feed(one.delivery.feed), one))
                    advance(1)
    _show_redrive(plan, settled, output_format, dry_run=dry_run)
    good = not plan.refused and all(one.report.passed for one in settled)
    click.get_current_context().exit(OK if good else INCOMPLETE)


@errors.command("dismiss")
@selection_options
@click.option("--reason", required=True, help="Why it is to stay out of the tables.")
@click.option("--by", default=getpass.getuser, help="Who decides; without it the user of this machine.")
def dismiss_command(*, reason: str, by: str, **chosen: Any) -> None:
    """Record that errors are to stay out of the tables, and why.

    They still count as errors in their delivery's books, but nobody needs to look at them again. A dismissed line that
    is corrected later all the same, by a file that names it, is redriven.

    \b
    Examples:
      feedline errors dismiss --id 2b7c0f6e-6c1d-5f0e-8a55-0d7a3a4bb0f1 --reason "test record of the custodian"
    """
    settings, catalog, selection = _asked(chosen)
    if selection == Selection():
        raise click.UsageError("say which errors to dismiss: --id, --delivery, --business-date, --feeds, --code")
    with open_warehouse(settings.warehouse) as connection:
        chosen_errors = list(_in_state(settings, catalog, selection, ErrorStates(connection), ErrorState.OPEN.value))
        done = 0
        for name in dict.fromkeys(error.feed for error, _ in chosen_errors):
            named = [(e.error_id, e.delivery_id, e.records) for e, _ in chosen_errors if e.feed == name]
            feed = catalog.feeds.get(name, name)
            done += dismiss_errors(Session(connection, feed=name), feed, named, reason=reason, by=by)
    say(f"{done} errors are dismissed")


def _asked(chosen: dict[str, Any]) -> tuple[Settings, Catalog, Selection]:
    """Settings, catalogue, and what the options of `selection_options` mean; raises UnknownFeedError."""
    settings = load_settings()
    catalog = load_catalog(settings.catalog)
    feeds: str | None = chosen.get("feeds")
    day: datetime | None = chosen.get("business_date")
    selection = Selection(
        feeds=None if feeds is None else frozenset(feed.name for feed in chosen_feeds(catalog, feeds)),
        business_date=None if day is None else day.date(),
        delivery_id=chosen.get("delivery"),
        error_ids=frozenset(chosen["ids"]) if chosen.get("ids") else None,
        error_code=chosen.get("code"),
    )
    return settings, catalog, selection


def _in_state(
    settings: Settings, catalog: Catalog, selection: Selection, states: ErrorStates, state: str | None
) -> Iterator[tuple[StoredError, ErrorState]]:
    for error in errors_of(settings, catalog, selection):
        found = states.state(error)
        if state is None or found == state:
            yield error, found


def _print_counts(found: Iterator[tuple[StoredError, ErrorState]], output_format: str) -> None:
    columns = ("feed", "business date", "delivery", "error code", "field", "state", "errors", "records")
    counts: Counter[tuple[str | None, ...]] = Counter()
    records: Counter[tuple[str | None, ...]] = Counter()
    for error, state in found:
        day = None if error.delivery is None else error.delivery.business_date.isoformat()
        key = (error.feed, day, error.delivery_id, error.error_code, error.field_path, state.value)
        counts[key] += 1
        records[key] += error.records
    rows = [(*key, counts[key], records[key]) for key in sorted(counts, key=lambda key: [part or "" for part in key])]
    if output_format == "json":
        print_json([dict(zip((name.replace(" ", "_") for name in columns), row, strict=True)) for row in rows])
        return
    print_table(columns, rows, title="Errors")


def _print_each(found: list[tuple[StoredError, ErrorState]], output_format: str) -> None:
    if output_format == "json":
        print_json([error_document(error, state) for error, state in found])
        return
    columns = ("id", "feed", "file", "line", "field", "state", "reason")
    rows = [(e.error_id, e.feed, e.source_file, e.line, e.field_path, state, e.reason) for e, state in found]
    print_table(columns, rows, title="Errors")


def _show_redrive(plan: RedrivePlan, settled: list[Settled], output_format: str, *, dry_run: bool) -> None:
    outcome = {one.delivery.delivery_id: one for one in settled}
    rows = []
    for delivery in plan.deliveries():
        sent = [error for error in plan.errors.values() if error.delivery == delivery]
        before = [error for error in plan.redriven.values() if error.delivery == delivery]
        done = outcome.get(delivery.delivery_id)
        told = "dry run" if done is None else "COMPLETE" if done.report.passed else "FAILED"
        loaded = None if done is None else done.loaded_records
        rows.append((delivery.feed, delivery.delivery_id, len(sent), len(before), loaded, told))
    columns = ("feed", "delivery", "to send" if dry_run else "sent", "redriven before", "records loaded", "delivery is")
    if output_format == "json":
        names = ("feed", "delivery_id", "errors", "redriven_before", "records_loaded", "status")
        refused = [{"id": one.error_id, "field": one.field_path, "reason": one.reason} for one in plan.refused]
        print_json({"deliveries": [dict(zip(names, row, strict=True)) for row in rows], "refused": refused})
        return
    print_table(columns, rows, title="Redrive")
    for done in settled:
        for failure in done.report.failures:
            say(f"{done.delivery.delivery_id}: {failure}")
