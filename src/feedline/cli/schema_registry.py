"""`feedline schema list|show|diff|check|register|rollback`: a feed's schema and its versions."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Any

import click

from feedline.cli.output import INCOMPLETE, format_option, print_json, print_table, say
from feedline.errors import ConfigurationError
from feedline.metadata.diff import schema_diff
from feedline.metadata.evolution import evolve, plan_evolution, roll_back
from feedline.metadata.ldm_files import feed_model
from feedline.metadata.schema_files import read_schema, write_schema
from feedline.services.metadata_state import CurrentFeed, MetadataState
from feedline.settings import load_settings

settings_option = click.option(
    "--settings", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Another settings file."
)
file_argument = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


def _state(settings: Path | None) -> MetadataState:
    return MetadataState(load_settings(settings))


@click.command(
    "list",
    epilog="""\b
Examples:
  feedline schema list
  feedline schema list positions --format json""",
)
@click.argument("feed", required=False)
@settings_option
@format_option
def list_command(*, feed: str | None, settings: Path | None, output_format: str) -> None:
    """The feeds with their latest version; of one FEED every version: who registered it, when and why."""
    state = _state(settings)
    if feed is None:
        latest = state.latest_versions()
        rows = [{"feed": name, "version": latest.get(name)} for name in state.catalog().feeds]
    else:
        history = state.current(feed).history
        rows = [
            {
                "version": one.version,
                "id": one.number,
                "by": one.by or None,
                "at": one.at or None,
                "why": one.what or None,
            }
            for one, _ in history[::-1]
        ]
    if output_format == "json":
        print_json(rows)
    elif rows:
        print_table([name.capitalize() for name in rows[0]], [list(row.values()) for row in rows])


@click.command(
    "show",
    epilog="""\b
Examples:
  feedline schema show positions
  feedline schema show positions --version 2""",
)
@click.argument("feed")
@click.option("--version", "number", default="latest", show_default=True, help="A number, latest or -1.")
@settings_option
def show_command(*, feed: str, number: str, settings: Path | None) -> None:
    """The schema of a version of FEED's records, as JSON."""
    print_json(_version(_state(settings).current(feed), number))


@click.command(
    "diff",
    epilog="""\b
Examples:
  feedline schema diff positions 1
  feedline schema diff positions 1 3""",
)
@click.argument("feed")
@click.argument("before")
@click.argument("after", default="latest")
@settings_option
@format_option
def diff_command(*, feed: str, before: str, after: str, settings: Path | None, output_format: str) -> None:
    """What changed in FEED's schema from the version BEFORE to AFTER."""
    current = _state(settings).current(feed)
    changes = schema_diff(_version(current, before), _version(current, after))
    rows = [{"field": one.path, "change": one.text} for one in changes]
    if output_format == "json":
        print_json(rows)
        return
    print_table(["Field", "Change"], [[row["field"] or "the schema", row["change"]] for row in rows])


@click.command(
    "check",
    epilog="""\b
Examples:
  feedline schema check positions include/schemas/positions.avsc""",
)
@click.argument("feed")
@file_argument
@settings_option
@format_option
def check_command(*, feed: str, file: Path, settings: Path | None, output_format: str) -> None:
    """Whether the schema in FILE may follow the registered one, what it would change, and what to do instead.

    Changes nothing; ends with 4 when it is not compatible.
    """
    state = _state(settings)
    current, schema = state.current(feed), read_schema(file)
    plan = plan_evolution(current.feed, schema, current.history)
    if output_format == "json":
        print_json(plan.document())
    else:
        click.echo(plan.verdict.summary)
        print_table(["Verdict", "Finding"], [[one.severity.value, one.text] for one in plan.verdict.findings])
        for statement in plan.statements:
            click.echo(f"{statement};")
    if not plan.verdict.compatible:
        raise SystemExit(INCOMPLETE)


@click.command(
    "register",
    epilog="""\b
Examples:
  feedline schema register positions new.avsc --why "venues of the new desk"
  feedline schema register positions new.avsc --keep-files""",
)
@click.argument("feed")
@file_argument
@click.option("--why", default="", help="For the history.")
@click.option("--keep-files", is_flag=True, help="Do not write the catalogue's files.")
@settings_option
def register_command(*, feed: str, file: Path, why: str, keep_files: bool, settings: Path | None) -> None:
    """Register the schema in FILE as FEED's next version: checked first, then the tables made ready for it.

    Producers and loaders go on meanwhile. An incompatible schema is refused before anything is changed.
    """
    state = _state(settings)
    current, schema = state.current(feed), read_schema(file)
    with state.warehouse() as connection:
        plan, version = evolve(
            current.feed,
            schema,
            subjects=state.subjects,
            connection=connection,
            by=f"cli:{getpass.getuser()}",
            what=why,
            model=feed_model(current.feed, state.catalog_file, schema),
        )
    written = [] if keep_files else write_schema(state.catalog_file, feed, schema)
    say(f"{feed}: version {version.version}, schema id {version.number}. {plan.verdict.summary}")
    for one in written:
        say(f"wrote {one}")


@click.command(
    "rollback",
    epilog="""\b
Examples:
  feedline schema rollback positions 2""",
)
@click.argument("feed")
@click.argument("version", type=click.IntRange(1))
@settings_option
def rollback_command(*, feed: str, version: int, settings: Path | None) -> None:
    """Make VERSION the latest of FEED again, as a new version. Nothing is deleted: every message stays readable."""
    state = _state(settings)
    current = state.current(feed)
    made = roll_back(current.feed, version, subjects=state.subjects, by=f"cli:{getpass.getuser()}")
    target = next(record for one, record in current.history if one.version == version)
    write_schema(state.catalog_file, feed, dict(target))
    say(f"{feed}: version {made.version} is version {version} again")


def _version(current: CurrentFeed, number: str) -> dict[str, Any]:
    wanted = current.base if number in ("latest", "-1") else int(number) if number.isdecimal() else 0
    for one, record in current.history:
        if one.version == wanted:
            return dict(record)
    raise ConfigurationError(f"there is no version {number}: see `feedline schema list {current.feed.name}`")


COMMANDS = (list_command, show_command, diff_command, check_command, register_command, rollback_command)
