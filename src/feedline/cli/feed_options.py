"""Options that several commands take: which business date, which feeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from feedline.catalog import Catalog, Feed

Command = TypeVar("Command", bound=Callable[..., Any])


def business_date_option(command: Command) -> Command:
    """Adds `--business-date`, as a datetime at midnight."""
    return click.option(
        "--business-date",
        type=click.DateTime(["%Y-%m-%d"]),
        required=True,
        metavar="YYYY-MM-DD",
        help="The business date of the deliveries.",
    )(command)


def feeds_option(command: Command) -> Command:
    """Adds `--feeds`, for `chosen_feeds`."""
    return click.option("--feeds", metavar="NAME,NAME", help="Only these feeds; without it all of the catalogue.")(
        command
    )


def chosen_feeds(catalog: Catalog, names: str | None) -> list[Feed]:
    """The feeds of a comma-separated list, or all; raises UnknownFeedError."""
    if names is None:
        return list(catalog.feeds.values())
    return [catalog.feed(name.strip()) for name in names.split(",") if name.strip()]
