"""What commands print: tables or JSON on standard output; progress and errors on standard error."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from feedline.errors import ControlMismatchError, FeedlineError, RetriableError, ValidationFailedError
from feedline.security.visible import visible

OK, FAILED, USAGE, TRY_AGAIN, INCOMPLETE = 0, 1, 2, 3, 4

Command = TypeVar("Command", bound=Callable[..., Any])


def format_option(command: Command) -> Command:
    """Adds `--format table|json` to a command, as the parameter `output_format`."""
    return click.option(
        "--format",
        "output_format",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="A table to read, or JSON for a script.",
    )(command)


def exit_code(error: FeedlineError) -> int:
    """3 when the same call may succeed later, 4 when a check failed, else 1."""
    if isinstance(error, RetriableError):
        return TRY_AGAIN
    return INCOMPLETE if isinstance(error, ControlMismatchError | ValidationFailedError) else FAILED


def report_error(error: FeedlineError) -> int:
    """Writes the error as one line to standard error; the exit code that goes with it."""
    place = str(error.where)
    line = " ".join(error.reason.split()) + (f" [{place}]" if place else "")
    click.echo(f"feedline: {visible(line)}", err=True)
    return exit_code(error)


def tell_activation() -> None:
    """How to write `feedline` as the documentation does, for whoever came here through `make`."""
    activate = Path(sys.prefix) / "bin" / "activate"
    if shutil.which("feedline") is None and activate.is_file():
        click.echo(f"The documentation's commands work after `source {os.path.relpath(activate)}`.")


def print_json(document: Any) -> None:
    """One JSON document; decimals as exact text, dataclasses as objects."""
    click.echo(json.dumps(document, default=_plain, indent=2))


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form here")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str | None = None) -> None:
    """A table; numbers are right-aligned with thousands separators, a `Text` keeps its colour on a terminal.

    Not cut to the width when it goes to a pipe.
    """
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        numbers = [row[index] for row in rows if row[index] is not None]
        right = bool(numbers) and all(isinstance(value, int | float | Decimal) for value in numbers)
        table.add_column(column, justify="right" if right else "left", overflow="fold", no_wrap=right)
    for row in rows:
        table.add_row(*map(_cell, row))
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    console.print(table)


def _cell(value: Any) -> str | Text:
    if isinstance(value, Text):
        return value
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.1f}"
    # Of a record, a message or an answer from elsewhere, as often as not.
    return visible(str(value)).replace("[", r"\[")


def say(line: str) -> None:
    """One line of progress on standard error, so that standard output stays what a script reads."""
    click.echo(visible(line), err=True)


@contextmanager
def progress(description: str, total: float | None = None, *, unit: str = "") -> Iterator[Callable[[float], None]]:
    """A progress bar on standard error when that is a terminal, else nothing; yields `advance(amount)`."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _amount: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield lambda amount: bar.advance(task, amount)
