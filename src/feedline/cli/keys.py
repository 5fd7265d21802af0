"""`feedline keys`: API keys of the services."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from feedline.cli.output import format_option, print_json, print_table, say
from feedline.services.api_keys import add_key, read_keys, revoke_key
from feedline.services.roles import Role

FILE = Path(".local/api-keys.json")

file_option = click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=FILE,
    show_default=True,
    envvar="FEEDLINE_API_KEYS",
    help="The file of keys that the services read; $FEEDLINE_API_KEYS.",
)


@click.group()
def keys() -> None:
    """API keys of the services. The file keeps scrypt digests only; services notice a change within a second."""


@keys.command(
    "add",
    epilog="""\b
Examples:
  feedline keys add ci --role viewer
  feedline keys add nightly --role operator --days 90
  KEY=$(feedline keys add me --role engineer)""",
)
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([str(role) for role in Role]),
    required=True,
    help="viewer looks, engineer registers and plans, operator applies.",
)
@click.option("--days", type=click.IntRange(1, 3650), help="Expires after so many days; never when left out.")
@file_option
def add_command(*, name: str, role: str, days: int | None, file: Path) -> None:
    """Make a key for NAME and print it, this once."""
    expires = datetime.now(UTC) + timedelta(days=days) if days else None
    stored, key = add_key(file, name, Role.of(role), expires=expires)
    say(f"key {stored.id} for {name}, {role}: keep it now, it cannot be shown again")
    click.echo(key)


@keys.command(
    "list",
    epilog="""\b
Examples:
  feedline keys list
  feedline keys list --format json""",
)
@file_option
@format_option
def list_command(*, file: Path, output_format: str) -> None:
    """Show the keys: whose, which role, since and until when. Never the keys themselves."""
    now = datetime.now(UTC)
    rows = [
        {
            "id": key.id,
            "name": key.name,
            "role": key.role,
            "created": key.created,
            "expires": key.expires or None,
            "revoked": key.revoked or None,
            "usable": key.usable(now),
        }
        for key in read_keys(file).values()
    ]
    if output_format == "json":
        print_json(rows)
        return
    columns = ("id", "name", "role", "created", "expires", "revoked", "usable")
    print_table(columns, [[row[column] for column in columns] for row in rows])


@keys.command(
    "revoke",
    epilog="""\b
Example:
  feedline keys revoke 3f2a9c0d11e8""",
)
@click.argument("key_id", metavar="ID")
@file_option
def revoke_command(*, key_id: str, file: Path) -> None:
    """Refuse a key from now on; it stays in the list."""
    stored = revoke_key(file, key_id)
    say(f"key {stored.id} of {stored.name} is refused from now on")
