"""`feedline orders show`: one order as the tables have it, and what was refused of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from feedline.cli.output import INCOMPLETE, OK, format_option, print_json, print_table, say
from feedline.errors import BrokerUnavailableError
from feedline.orders.refused import refused_messages
from feedline.orders.topics import OrderTopics
from feedline.orders.warehouse.one_order import one_order
from feedline.settings import load_settings
from feedline.warehouse.connection import open_warehouse


@click.command(
    "show",
    epilog="""\b
Examples:
  feedline orders show 31a90b4b-37e9-54b3-abf1-71b533a9aa3c
  feedline orders show 31a90b4b-37e9-54b3-abf1-71b533a9aa3c --format json""",
)
@click.argument("order")
@click.option("--settings", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Another settings file.")
@click.option("--prefix", default="", help="Before the names of all topics.")
@format_option
@click.pass_context
def show_command(context: click.Context, *, order: str, settings: Path | None, prefix: str, output_format: str) -> None:
    """Show how an order stands, its events and executions, what of it was not loaded, and what was refused and why.

    Events and executions are those that are loaded: `feedline orders load` brings the tables up to date. What was
    refused is what lies on `orders.ERROR`. Exits with 4 when there is no such order in the tables.
    """
    chosen = load_settings(settings)
    with open_warehouse(chosen.warehouse) as connection:
        found = one_order(connection, order)
    kafka = chosen.acting_as("loader").kafka
    try:
        refused = [one for one in refused_messages(kafka, OrderTopics(prefix)) if one.key == order]
    except BrokerUnavailableError as error:
        say(f"what was refused cannot be read now: {error}")
        refused = []
    if output_format == "json":
        print_json({**asdict(found), "refusals": refused})
        context.exit(OK if found.state else INCOMPLETE)
    if found.state:
        print_table(
            ["order", order], [[_words(name), _cell(value)] for name, value in found.state.items() if value is not None]
        )
        for title, rows in (("events", found.events), ("executions", found.executions), ("not loaded", found.refused)):
            if rows:
                click.echo()
                _print_rows(title, rows)
    else:
        say(f"no order {order} in the tables: `feedline orders load` first")
    if refused:
        click.echo()
        _print_rows("refused", [asdict(one) for one in refused])
    context.exit(OK if found.state else INCOMPLETE)


def _print_rows(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """The rows without columns in which none has a value."""
    columns = [name for name in rows[0] if any(row[name] not in (None, "") for row in rows)]
    print_table(
        [_words(name) for name in columns], [[_cell(row[name]) for name in columns] for row in rows], title=title
    )


def _words(name: str) -> str:
    return name.lower().replace("order__", "").strip("_").replace("_", " ")


def _cell(value: Any) -> Any:
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return value.isoformat(sep=" ", timespec="milliseconds") if isinstance(value, datetime) else value
