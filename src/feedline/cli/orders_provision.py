"""`feedline orders provision`: topics and schemas."""

from __future__ import annotations

from pathlib import Path

import click

from feedline.cli.output import format_option, print_json, say
from feedline.orders.provision import provision_orders
from feedline.settings import load_settings


@click.command(
    "provision",
    epilog="""\b
Examples:
  feedline orders provision
  feedline orders provision --settings production.json --format json""",
)
@click.option("--settings", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Another settings file.")
@format_option
def provision_command(*, settings: Path | None, output_format: str) -> None:
    """Make what is missing of the topics and schemas of orders; nothing else is touched.

    `feedline provision apply` makes these too, by the same declaration, with tables, users, rules, and everything of
    the feeds.
    """
    done = provision_orders(load_settings(settings))
    if output_format == "json":
        print_json({"changes": done})
        return
    for line in done or ["nothing to do: topics and schemas are there"]:
        say(line)
