"""`feedline orders reconcile`: the books of a day's orders."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from feedline.cli.feed_options import business_date_option
from feedline.cli.output import INCOMPLETE, OK, format_option, print_json, print_table, say
from feedline.orders.reconcile.books import reconcile
from feedline.orders.reconcile.report import Reconciliation
from feedline.orders.topics import OrderTopics
from feedline.orders.warehouse.run import load_all
from feedline.orders.warehouse.tables import provision_order_tables
from feedline.settings import load_settings
from feedline.warehouse.connection import open_warehouse


@click.command(
    "reconcile",
    epilog="""\b
Examples:
  feedline orders reconcile --business-date 2026-11-20
  feedline orders reconcile --business-date 2026-11-20 --engine-book .local/orders/engine
  feedline orders reconcile --business-date 2026-11-20 --no-load --format json""",
)
@business_date_option
@click.option("--settings", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Another settings file.")
@click.option("--prefix", default="", help="Before the names of all topics.")
@click.option(
    "--engine-book",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the simulated engine: its own book is held against ours.",
)
@click.option("--load/--no-load", default=True, show_default=True, help="Load what lies on the topics first.")
@format_option
@click.pass_context
def reconcile_command(
    context: click.Context,
    *,
    business_date: datetime,
    settings: Path | None,
    prefix: str,
    engine_book: Path | None,
    load: bool,
    output_format: str,
) -> None:
    """Hold the books of a date's orders against each other: topics, events, executions, states, the engine's book.

    Exits with 4 when a line does not balance; the orders are named.
    """
    chosen, topics = load_settings(settings), OrderTopics(prefix)
    with open_warehouse(chosen.warehouse) as connection:
        provision_order_tables(connection)
        if load:
            load_all(chosen, connection, topics)
        found = reconcile(chosen, connection, business_date.date(), topics=topics, engine_folder=engine_book)
    if output_format == "json":
        print_json(found.to_dict())
    else:
        print_books(found)
    context.exit(OK if found.balances else INCOMPLETE)


def print_books(found: Reconciliation) -> None:
    """The lines as a table, and the orders that differ below it."""
    rows = [[one.book, one.what, one.expected, one.found, one.balances] for one in found.lines]
    columns = ("book", "what", "expected", "found", "balances")
    print_table(columns, rows, title=f"orders of {found.business_date}")
    for one in found.lines:
        if one.orders:
            more = f" and {one.differing - len(one.orders):,} more" if one.differing > len(one.orders) else ""
            say(f"{one.book}, {one.what}: {', '.join(one.orders)}{more}")
