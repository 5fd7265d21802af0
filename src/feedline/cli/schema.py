"""`feedline schema`: the schemas of the feeds."""

from __future__ import annotations

import click

from feedline.cli.schema_conform import conform_command
from feedline.cli.schema_discover import discover_command
from feedline.cli.schema_registry import COMMANDS


@click.group()
def schema() -> None:
    """Discover, look at, change and roll back the schemas of the feeds."""


for _command in (discover_command, conform_command, *COMMANDS):
    schema.add_command(_command)
