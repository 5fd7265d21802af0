"""`feedline provision plan|apply|drift|destroy`: the declared state of cluster, registry and warehouse."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.text import Text

from feedline.catalog import load_catalog
from feedline.cli.output import INCOMPLETE, format_option, print_json, print_table, progress, say
from feedline.errors import FeedlineError, LostRaceError
from feedline.provisioning import audit
from feedline.provisioning.apply import apply
from feedline.provisioning.books import default_books
from feedline.provisioning.desired import read_desired
from feedline.provisioning.drift import drift
from feedline.provisioning.installation import Installation
from feedline.provisioning.plan import Allow, Plan, Risk
from feedline.provisioning.state import ALL_PARTS, Part
from feedline.settings import load_settings

_COLOURS = {Risk.SAFE: "green", Risk.CAUTION: "yellow", Risk.IRREVERSIBLE: "red"}
_SHOWN = 60

Command = TypeVar("Command", bound=Callable[..., Any])


def _options(command: Command) -> Command:
    for option in (
        click.option(
            "--part",
            "parts",
            type=click.Choice([part.value for part in Part]),
            multiple=True,
            help="Only this part; may be given several times.",
        ),
        click.option(
            "--file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="The declared state; provisioning.yaml beside the catalogue when left out.",
        ),
        click.option(
            "--settings", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Another settings file."
        ),
    ):
        command = option(command)
    return command


_journal = click.option(
    "--journal",
    type=click.Path(dir_okay=False, path_type=Path),
    default=lambda: default_books().journal,
    show_default="in $FEEDLINE_PROVISION_BOOKS, else beside the settings",
    help="Where each step is noted; an apply that was killed is gone on with from it.",
)
_audit = click.option(
    "--audit",
    "audit_file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=lambda: default_books().audit,
    show_default="in $FEEDLINE_PROVISION_BOOKS, else beside the settings",
    help="Who applied what when; only ever added to.",
)
_allow = click.option(
    "--allow",
    "words",
    type=click.Choice([word.value for word in Allow]),
    multiple=True,
    help="Allow what cannot be undone; may be given several times.",
)
_yes = click.option("--yes", is_flag=True, help="Do not ask.")


@click.group()
def provision() -> None:
    """Plan, apply and check the declared state of cluster, registry and warehouse."""


@provision.command(
    "plan",
    epilog="""\b
Examples:
  feedline provision plan
  feedline provision plan --part topics --format json

Exit code 4 when something has to be done, 0 when nothing has.""",
)
@_options
@format_option
def plan_command(*, settings: Path | None, file: Path | None, parts: tuple[str, ...], output_format: str) -> None:
    """Show what has to be done, and the risk of each change; change nothing."""
    found = _installation(settings, file, parts).plan()
    _show(found, output_format)
    if found.changes or found.problems:
        raise SystemExit(INCOMPLETE)


@provision.command(
    "apply",
    epilog="""\b
Examples:
  feedline provision apply
  feedline provision apply --yes --fingerprint 3f6c0d9b1a2e4f58
  feedline provision apply --part topics --allow shorten-retention

After a kill: the same command again.""",
)
@click.option("--fingerprint", help="Of the plan that was looked at: any other one is refused.")
@click.option("--skip-held", is_flag=True, help="Leave out what needs a word or a hand, and do the rest.")
@_allow
@_yes
@_journal
@_audit
@_options
def apply_command(
    *,
    settings: Path | None,
    file: Path | None,
    parts: tuple[str, ...],
    fingerprint: str | None,
    skip_held: bool,
    words: tuple[str, ...],
    yes: bool,
    journal: Path,
    audit_file: Path,
) -> None:
    """Make what is there what is declared. Shows the plan and asks first; a second apply changes nothing."""
    _carry_out(
        _installation(settings, file, parts), fingerprint, words, journal, audit_file, yes=yes, skip_held=skip_held
    )


@provision.command(
    "drift",
    epilog="""\b
Examples:
  feedline provision drift
  feedline provision drift --format json

Exit code 4 when there is drift, 0 when there is none.""",
)
@_options
@format_option
def drift_command(*, settings: Path | None, file: Path | None, parts: tuple[str, ...], output_format: str) -> None:
    """Say in a sentence each what is not as declared."""
    lines = drift(_installation(settings, file, parts).plan())
    if output_format == "json":
        print_json(lines)
    else:
        for line in lines or ["everything is as declared"]:
            click.echo(line)
    if lines:
        raise SystemExit(INCOMPLETE)


@provision.command(
    "destroy",
    epilog="""\b
Examples:
  feedline provision destroy --part topics
  feedline provision destroy --part topics --part tables --allow delete-data""",
)
@_allow
@_yes
@_journal
@_audit
@_options
def destroy_command(
    *,
    settings: Path | None,
    file: Path | None,
    parts: tuple[str, ...],
    words: tuple[str, ...],
    yes: bool,
    journal: Path,
    audit_file: Path,
) -> None:
    """Take away the declared topics and access rules, or tables; internal topics, users and schemas stay."""
    chosen = parts or (Part.TOPICS.value, Part.RULES.value)
    installation = _installation(settings, file, chosen, destroying=True)
    _carry_out(installation, None, words, journal, audit_file, yes=yes, skip_held=False)


def _installation(
    settings: Path | None, file: Path | None, parts: tuple[str, ...], *, destroying: bool = False
) -> Installation:
    chosen = load_settings(settings)
    desired = read_desired(chosen, load_catalog(chosen.catalog), file)
    return Installation(chosen, desired, [Part(part) for part in parts] or ALL_PARTS, destroying=destroying, told=say)


def _carry_out(
    installation: Installation,
    fingerprint: str | None,
    words: tuple[str, ...],
    journal: Path,
    audit_file: Path,
    *,
    yes: bool,
    skip_held: bool,
) -> None:
    allowed = [Allow(word) for word in words]
    found = installation.plan()
    if fingerprint and found.fingerprint != fingerprint:
        raise LostRaceError(f"the plan is {found.fingerprint} now, not {fingerprint}: look at it again")
    shown = found.without(found.held(allowed)) if skip_held else found
    _show(found, "table")
    if shown.changes and not yes:
        click.confirm(f"Make these {len(shown.changes)} changes?", abort=True, err=True)
    who = getpass.getuser()
    with progress("applying", len(shown.changes), unit="changes") as advance:
        made = 0

        def told(done: int, _total: int, _change: object) -> None:
            nonlocal made
            advance(done - made)
            made = done

        try:
            apply(shown, installation, journal, allow=allowed, progress=told)
        except FeedlineError as error:
            audit.record(audit_file, who, "failed", plan=shown.fingerprint, made=made, reason=error.reason)
            raise
    if shown.changes:
        places = [list(one.place) for one in shown.changes]
        audit.record(audit_file, who, "applied", plan=shown.fingerprint, allow=list(words), changes=places)
    say(f"{len(shown.changes)} changes made" if shown.changes else "everything is as declared: nothing was changed")


def _show(found: Plan, output_format: str) -> None:
    if output_format == "json":
        print_json(found.document())
        return
    rows = [
        (
            one.part.value,
            one.action,
            one.target,
            _brief(one.before),
            _brief(one.after),
            Text(one.risk.value, style=_COLOURS[one.risk]),
            "by hand" if one.blocked else (f"--allow {one.needs}" if one.needs else ""),
        )
        for one in found.changes
    ]
    if rows:
        columns = ("part", "action", "target", "is", "will be", "risk", "needs")
        print_table(columns, rows, title=f"plan {found.fingerprint}")
    for one in found.changes:
        if one.blocked:
            say(f"{one.target}: {one.blocked}")
    for line in (*found.problems, *found.notes):
        say(line)
    if not rows:
        say("everything is as declared")


def _brief(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, list):
        return f"{len(value)} statements"
    text = ", ".join(f"{key}={one}" for key, one in value.items()) if isinstance(value, dict) else str(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
