"""`feedline feeds`: the feed catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import click

from feedline.catalog import Feed, load_catalog
from feedline.cli.feeds_add import add_command
from feedline.cli.output import format_option, print_json, print_table

catalog_option = click.option(
    "--catalog",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Another feed catalogue than the one that comes with Feedline.",
)


@click.group()
def feeds() -> None:
    """Look at the feed catalogue, and add to it."""


feeds.add_command(add_command)


@feeds.command(
    "list",
    epilog="""\b
Examples:
  feedline feeds list
  feedline feeds list --format json""",
)
@catalog_option
@format_option
def list_command(*, catalog: Path | None, output_format: str) -> None:
    """All feeds: daily volume for 50 funds, serialization, keys and topic."""
    found = [_summary(feed) for feed in load_catalog(catalog).feeds.values()]
    if output_format == "json":
        print_json(found)
        return
    print_table(
        ["Feed", "Title", "Rows", "kB", "Serialization", "Fields", "Business keys", "Topic"],
        [
            [
                feed["name"],
                feed["title"],
                feed["volume"]["rows"],
                feed["volume"]["kilobytes"],
                feed["serialization"],
                feed["fields"],
                ", ".join(feed["business_keys"]),
                feed["topic"],
            ]
            for feed in found
        ],
    )


@feeds.command(
    "show",
    epilog="""\b
Examples:
  feedline feeds show positions
  feedline feeds show positions --format json""",
)
@click.argument("name")
@catalog_option
@format_option
def show_command(*, name: str, catalog: Path | None, output_format: str) -> None:
    """One feed: its rules and every field with its type and meaning."""
    feed = load_catalog(catalog).feed(name)
    rules = {
        "batch": feed.batch,
        "errors": feed.errors,
        "control_totals": list(feed.control_totals),
        "fund_field": feed.fund_field,
        "max_record_bytes": feed.max_record_bytes,
    }
    fields = [{"path": path, "type": kind, "doc": doc} for path, kind, doc in leaves(feed.schema)]
    if output_format == "json":
        print_json({**_summary(feed), **rules, "leaves": fields, "schema": dict(feed.schema)})
        return
    click.echo(f"{feed.title} ({feed.full_name}): {feed.schema.get('doc', '')}")
    for rule, value in {**_summary(feed), **rules}.items():
        if rule not in ("name", "title"):
            click.echo(f"  {rule.replace('_', ' ')}: {_line(value)}")
    print_table(["Field", "Type", "Meaning"], [[field["path"], field["type"], field["doc"]] for field in fields])


def leaves(schema: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Dotted path, type in words and doc of every leaf of a record schema; `[]` marks the items of an array."""
    for field in schema["fields"]:
        kind, optional = _without_null(field["type"])
        path = f"{prefix}{field['name']}"
        if isinstance(kind, Mapping) and kind["type"] == "array":
            kind, path = kind["items"], f"{path}[]"
        if isinstance(kind, Mapping) and kind["type"] == "record":
            yield from leaves(kind, f"{path}.")
        else:
            yield path, _words(kind) + ("?" if optional else ""), field.get("doc", "")


def _line(value: Any) -> str:
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name.replace('_', ' ')} {part}" for name, part in value.items() if part is not None)
    return ", ".join(value) or "none" if isinstance(value, list) else str(value)


def _without_null(kind: Any) -> tuple[Any, bool]:
    if isinstance(kind, list):
        return next(branch for branch in kind if branch != "null"), True
    return kind, False


def _words(kind: Any) -> str:
    if not isinstance(kind, Mapping):
        return str(kind)
    if kind["type"] == "enum":
        return " | ".join(kind["symbols"])
    if kind.get("logicalType") == "decimal":
        return f"decimal({kind['precision']},{kind.get('scale', 0)})"
    return str(kind.get("logicalType", kind["type"]))


def _summary(feed: Feed) -> dict[str, Any]:
    return {
        "name": feed.name,
        "title": feed.title,
        "topic": feed.topic.name,
        "serialization": feed.serialization,
        "volume": {"rows": feed.volume.rows, "kilobytes": feed.volume.kilobytes},
        "fields": sum(1 for _ in leaves(feed.schema)),
        "business_keys": list(feed.business_keys),
        "table": feed.table,
    }
