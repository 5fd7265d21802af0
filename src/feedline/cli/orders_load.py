"""`feedline orders load`: from the topics into the tables."""

from __future__ import annotations

from pathlib import Path

import click

from feedline.cli.output import format_option, print_json, print_table, progress
from feedline.orders.topics import OrderTopics
from feedline.orders.warehouse.run import load_all
from feedline.orders.warehouse.tables import provision_order_tables
from feedline.settings import load_settings
from feedline.warehouse.connection import open_warehouse


@click.command(
    "load",
    epilog="""\b
Examples:
  feedline orders load
  feedline orders load --format json""",
)
@click.option("--settings", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Another settings file.")
@click.option("--prefix", default="", help="Before the names of all topics.")
@click.option("--accept-loss", is_flag=True, help="Pass over what left a topic before it was loaded.")
@format_option
def load_command(*, settings: Path | None, prefix: str, accept_loss: bool, output_format: str) -> None:
    """Load order events and executions into their tables, up to where the topics end now.

    Makes tables and views that are missing. Running it again, or twice at once, changes nothing. Exits with 3 when a
    service was away: what was loaded stays, and the same command goes on.
    """
    chosen = load_settings(settings)
    with open_warehouse(chosen.warehouse) as connection, progress("orders", unit="messages") as advance:
        provision_order_tables(connection)
        results = load_all(chosen, connection, OrderTopics(prefix), accept_loss=accept_loss, progress=advance)
    if output_format == "json":
        print_json([result.to_dict() for result in results])
        return
    rows = [[one.table, one.topic, one.loaded, one.repeats, one.refused] for one in results]
    print_table(["table", "topic", "loaded", "repeats", "refused"], rows)
