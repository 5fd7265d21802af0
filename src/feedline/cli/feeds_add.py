"""`feedline feeds add`: a new feed from a sample, with no Python written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import click

from feedline.catalog import load_catalog
from feedline.catalog_files import catalog_path_of_settings
from feedline.cli.output import format_option, print_json, progress, say
from feedline.metadata.added_feeds import add_feed, entry_text
from feedline.metadata.discovery import Discovery, DiscoveryPolicy, discover, samples_of
from feedline.metadata.discovery.policy import MIB
from feedline.metadata.draft import NAMESPACE
from feedline.metadata.new_feed import Addition, NewFeed, Words, addition_of
from feedline.metadata.schema_files import read_schema

EPILOG = """\b
Examples:
  feedline feeds add loans --sample loans_20261120.jsonl --key loan_id
  feedline feeds add loans --sample loans.jsonl --sample more.jsonl.gz --control-total balance --fund-field fund_id
  feedline feeds add loans --sample loans.jsonl --describe balance="What is owed" --classify borrower=personal
  feedline feeds add loans --schema loans.avsc --title Loans --owner "Custody operations"
  feedline feeds add loans --sample loans.jsonl --dry-run --format json

\b
Then:
  feedline provision apply          makes its subject and tables; so does the Dag ihub_provision
  the next run of ihub_eod waits for <landing>/<date>/loans/"""


def _pairs(_ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for value in values:
        path, mark, text = value.partition("=")
        if not path or not mark:
            raise click.BadParameter(f"{value!r}: write FIELD=VALUE", param=parameter)
        found[path] = text
    return found


def _pair_option(name: str, metavar: str, help_text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(name, multiple=True, callback=_pairs, metavar=metavar, help=f"{help_text} Repeatable.")


@click.command("add", epilog=EPILOG)
@click.argument("name")
@click.option(
    "--sample",
    "samples",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON, JSON Lines or an array of records, gzip too. Repeatable.",
)
@click.option(
    "--schema",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Instead of samples: the Avro schema of its records.",
)
@click.option("--title", default="", help="What people call it; made of NAME when left out.")
@click.option("--owner", default="", help="Who answers for it.")
@click.option("--description", default="", help="What a record is.")
@click.option("--topic", help="A topic of the catalogue; its first when left out.")
@click.option("--key", "keys", multiple=True, metavar="FIELD", help="A business key, instead of a guess. Repeatable.")
@click.option("--control-total", "totals", multiple=True, metavar="FIELD", help="Summed exactly. Repeatable.")
@click.option("--fund-field", metavar="FIELD", help="The field that names the fund.")
@_pair_option("--type", "FIELD=TYPE", "Another type, such as decimal(20,2), date, or A | B.")
@_pair_option("--call", "FIELD=NAME", "What the business calls it.")
@_pair_option("--describe", "FIELD=TEXT", "What it is.")
@_pair_option("--classify", "FIELD=CLASS", "public, internal, confidential or personal.")
@click.option("--day-order", type=click.Choice(["DMY", "MDY"]), help="What 03/04/2026 means in the samples.")
@click.option("--json", "as_json", is_flag=True, help="Sent as JSON with a JSON Schema instead of Avro.")
@click.option("--dry-run", is_flag=True, help="Show what would be written and made, and change nothing.")
@click.option(
    "--catalog",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Another catalogue than that of the settings.",
)
@format_option
def add_command(
    *,
    name: str,
    samples: tuple[Path, ...],
    schema: Path | None,
    title: str,
    owner: str,
    description: str,
    topic: str | None,
    keys: tuple[str, ...],
    totals: tuple[str, ...],
    fund_field: str | None,
    type: dict[str, str],  # noqa: A002  the option's name
    call: dict[str, str],
    describe: dict[str, str],
    classify: dict[str, str],
    day_order: Literal["DMY", "MDY"] | None,
    as_json: bool,
    dry_run: bool,
    catalog: Path | None,
    output_format: str,
) -> None:
    """Add the feed NAME from samples: schema, logical model and catalogue entry, as files.

    The Dags know it when they read the catalogue next. Running the same again changes nothing.
    """
    if bool(samples) == (schema is not None):
        raise click.UsageError("give --sample, or --schema")
    file = catalog or catalog_path_of_settings()
    found = _discovered(samples, name, day_order) if samples else None
    new = NewFeed(
        name=name,
        avro=read_schema(schema) if schema else found.avro if found else {},
        title=title,
        owner=owner,
        description=description,
        topic=topic,
        edits=tuple({"path": path, "type": words} for path, words in type.items()),
        words={
            path: Words(call.get(path), classify.get(path), describe.get(path))
            for path in {**call, **describe, **classify}
        },
        keys=keys,
        control_totals=totals,
        fund_field=fund_field,
        serialization="json" if as_json else "avro",
        rows=found.samples if found else 1,
        size=found.size if found else 0,
    )
    written: list[Path] = []
    if dry_run:
        addition = addition_of(new, load_catalog(file), file.parent)
    else:
        addition, written = add_feed(file, new)
    _tell(addition, written, found, dry_run=dry_run, output_format=output_format)


def _discovered(samples: Iterable[Path], name: str, day_order: Literal["DMY", "MDY"] | None) -> Discovery:
    files = tuple(samples)
    rules = DiscoveryPolicy(day_order=day_order)
    with progress("reading", sum(path.stat().st_size for path in files) / MIB, unit="MiB") as advance:
        read = samples_of(*files, policy=rules, advance=lambda size: advance(size / MIB))
        return discover(read, name=name, namespace=NAMESPACE, policy=rules)


def _tell(
    addition: Addition, written: list[Path], found: Discovery | None, *, dry_run: bool, output_format: str
) -> None:
    feed = addition.feed
    looks = [{"path": one.path, "conflicts": list(one.conflicts)} for one in found.conflicts] if found else []
    if output_format == "json":
        print_json(
            {
                "feed": feed.name,
                "files": written,
                "entry": dict(addition.entry),
                "businessKeys": list(feed.business_keys),
                "samples": found.samples if found else 0,
                "refused": found.refused_count if found else 0,
                "toLookAt": looks,
                "converted": list(addition.converted),
                "ddl": list(addition.ddl),
            }
        )
        return
    if dry_run:
        click.echo(entry_text(addition))
        for statement in addition.ddl:
            click.echo(f"{statement};\n")
    for path in written:
        say(f"wrote {path}")
    if not written and not dry_run:
        say(f"{feed.name} is there already, exactly so: nothing to do")
    if found and found.refused_count:
        say(f"{found.refused_count:,} of {found.samples + found.refused_count:,} samples could not be read")
    for one in looks:
        say(f"look at {one['path'] or 'the record'}: {'; '.join(one['conflicts'])}")
    say(f"business keys: {', '.join(feed.business_keys)}")
    if addition.converted:
        say(
            f"the samples have {', '.join(addition.converted[:5])} otherwise than the feed's files: "
            f"`feedline schema conform {addition.entry['schema']}` rewrites files"
        )
    if written:
        say("next: `feedline provision apply`, or the Dag ihub_provision, makes its subject and its tables")
