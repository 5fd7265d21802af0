"""`feedline schema discover`: from a sample to everything that a feed needs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import click
import yaml

from feedline.catalog.feeds import FEED_NAME
from feedline.cli.output import format_option, print_json, print_table, progress, say
from feedline.consumer.messages import place_of
from feedline.consumer.topic_sample import newest_messages
from feedline.errors import ConfigurationError
from feedline.kafka.registry import registry_client, writer_schema
from feedline.metadata.discovery import Decision, Discovery, DiscoveryPolicy, Refused, Sample, discover, samples_of
from feedline.metadata.discovery.messages import TopicValue, samples_of_messages
from feedline.metadata.discovery.policy import INTEGER_HEADROOM, MIB, SCALE_HEADROOM
from feedline.metadata.discovery.report import percent, place, report_text
from feedline.metadata.draft import NAMESPACE, TOPIC, feed_name_of
from feedline.metadata.ldm_files import yaml_of
from feedline.metadata.proposal import Proposal, proposal_of, supplied
from feedline.metadata.schema_files import schema_text
from feedline.settings import load_settings

Shown = Literal["report", "avro", "json-schema", "ldm", "ddl", "catalog"]

EPILOG = """\b
Examples:
  feedline schema discover trades_20261120.jsonl.gz
  feedline schema discover trades*.json --name trades --key trade_id --output proposed
  feedline schema discover trades.jsonl --show avro > include/schemas/trades.avsc
  feedline schema discover trades.jsonl --headroom 6 --scale-headroom 4 --day-order DMY
  feedline schema discover --topic client.trades --max 5000 --name trades
  feedline schema discover --topic BNY.IN.PRD.IHUB.DEFAULT.DEFAULT --feed positions
  feedline schema discover trade.schema.json --given json-schema --show ddl

A file may be JSON, JSON Lines, an array, or several documents; gzip too. Nothing is registered."""


def _source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    options = (
        click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path)),
        click.option(
            "--given",
            type=click.Choice(["sample", "avro", "json-schema"]),
            default="sample",
            show_default=True,
            help="What FILES are: samples, or one schema that the producer supplied.",
        ),
        click.option("--topic", "from_topic", metavar="TOPIC", help="Take the samples from this topic instead."),
        click.option("--feed", "of_feed", metavar="FEED", help="With --topic: only messages of this feed."),
        click.option(
            "--max",
            "most",
            type=click.IntRange(1, 100_000),
            default=1_000,
            show_default=True,
            help="With --topic: how many messages, the newest of every partition.",
        ),
        click.option(
            "--settings", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Another settings file."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _policy_options(command: Callable[..., Any]) -> Callable[..., Any]:
    options = (
        click.option(
            "--headroom",
            type=click.IntRange(0, 20),
            default=INTEGER_HEADROOM,
            show_default=True,
            help="Digits of a decimal before the point, beyond those seen.",
        ),
        click.option(
            "--scale-headroom",
            type=click.IntRange(0, 20),
            default=SCALE_HEADROOM,
            show_default=True,
            help="Digits of a decimal behind the point, beyond those seen.",
        ),
        click.option(
            "--day-order",
            type=click.Choice(["DMY", "MDY"]),
            help="What 03/04/2026 means; such dates stay text when nobody says.",
        ),
        click.option(
            "--target",
            type=click.Choice(["feed", "avro"]),
            default="feed",
            show_default=True,
            help="What feeds and tables take, or all that Avro has: maps, unions, times.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command("discover", epilog=EPILOG)
@_source_options
@click.option("--name", metavar="FEED", help="What the feed is called; the first file's name says it when left out.")
@click.option("--namespace", default=NAMESPACE, show_default=True, help="Of the Avro record.")
@click.option(
    "--key", "keys", multiple=True, metavar="FIELD", help="A business key, instead of those guessed; repeatable."
)
@_policy_options
@click.option(
    "--show",
    type=click.Choice(["report", "avro", "json-schema", "ldm", "ddl", "catalog"]),
    default="report",
    show_default=True,
    help="What to print.",
)
@click.option(
    "--output", type=click.Path(file_okay=False, path_type=Path), help="A folder to write all of it to, as files."
)
@format_option
def discover_command(
    *,
    files: tuple[Path, ...],
    given: Literal["sample", "avro", "json-schema"],
    from_topic: str | None,
    of_feed: str | None,
    most: int,
    settings: Path | None,
    name: str | None,
    namespace: str,
    keys: tuple[str, ...],
    headroom: int,
    scale_headroom: int,
    day_order: Literal["DMY", "MDY"] | None,
    target: Literal["feed", "avro"],
    show: Shown,
    output: Path | None,
    output_format: str,
) -> None:
    """From samples to the schema, logical model and tables of a feed, with the reason for every decision.

    Every sample counts, whatever their order: more of them only widen the schema. `--format json` prints everything as
    one document. Exits with 1 when no sample can be read; samples that cannot be are told with file and line.
    """
    if bool(files) == bool(from_topic):
        raise click.UsageError("give the files of samples, or --topic")
    if of_feed and not from_topic:
        raise click.UsageError("--feed goes with --topic: --name says what the feed is called")
    called = name or of_feed or feed_name_of(from_topic or files[0].name)
    if not FEED_NAME.match(called):
        raise click.UsageError(f"{called!r} cannot be a feed's name: --name with lower-case letters, digits and _")
    if given != "sample":
        if from_topic or len(files) != 1:
            raise click.UsageError(f"--given {given} takes one file")
        proposal = supplied(_schema(files[0]), given, called, keys=keys, namespace=namespace)
    else:
        rules = DiscoveryPolicy(
            target=target, integer_headroom=headroom, scale_headroom=scale_headroom, day_order=day_order
        )
        found = (
            _of_topic(from_topic, of_feed, most, settings, (called, namespace, rules))
            if from_topic
            else _of_files(files, (called, namespace, rules))
        )
        proposal = proposal_of(found, called, keys=keys, topic=from_topic if of_feed and from_topic else TOPIC)
    if output is not None:
        for path in write_proposal(output, proposal):
            say(f"wrote {path}")
    if output_format == "json":
        print_json(proposal.document())
    elif show != "report":
        click.echo(_text(proposal, show), nl=False)
    elif output is None or proposal.found is not None:
        _print_report(proposal)


_How = tuple[str, str, DiscoveryPolicy]


def _of_files(files: tuple[Path, ...], how: _How) -> Discovery:
    total = sum(path.stat().st_size for path in files) / MIB
    with progress("reading", total, unit="MiB") as advance:
        return _discovered(samples_of(*files, policy=how[2], advance=lambda size: advance(size / MIB)), how)


def _of_topic(topic: str, feed: str | None, most: int, settings: Path | None, how: _How) -> Discovery:
    known = load_settings(settings)
    messages = newest_messages(known.acting_as("metadata").kafka, topic, most, feed=feed)
    if not messages:
        whose = f" of feed {feed}" if feed else ""
        raise ConfigurationError(f"there is no message{whose} to learn from", topic=topic)
    registry = registry_client(known.registry)
    values = (TopicValue(one.value() or b"", "partition {} offset {}".format(*place_of(one))) for one in messages)
    return _discovered(samples_of_messages(values, lambda number: writer_schema(registry, number), policy=how[2]), how)


def _discovered(samples: Iterable[Sample | Refused], how: _How) -> Discovery:
    name, namespace, rules = how
    return discover(samples, name=name, namespace=namespace, policy=rules)


def _schema(file: Path) -> dict[str, Any]:
    try:
        schema = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"the schema cannot be read: {str(error)[:200]}", file=str(file)) from error
    if not isinstance(schema, dict):
        raise ConfigurationError("a schema is a JSON object", file=str(file))
    return schema


def write_proposal(folder: Path, proposal: Proposal) -> list[Path]:
    """Writes what is proposed into the folder as the catalogue has it: `schemas/`, `ldm/`, and the rest beside; the
    files written. Raises ConfigurationError when it cannot be."""
    feed = proposal.feed
    texts = {f"schemas/{feed}.avsc": _text(proposal, "avro"), f"{feed}.schema.json": _text(proposal, "json-schema")}
    if proposal.found is not None:
        texts[f"{feed}.report.md"] = report_text(proposal.found)
    if proposal.draft is not None:
        texts |= {
            f"ldm/{feed}.yaml": _text(proposal, "ldm"),
            f"{feed}.sql": _text(proposal, "ddl"),
            f"{feed}.feeds.yaml": _text(proposal, "catalog"),
        }
    else:
        say(f"no logical model and no tables: {proposal.problem}")
    try:
        return [_written(folder / name, text) for name, text in texts.items()]
    except OSError as error:
        raise ConfigurationError(f"the proposal cannot be written: {error}", file=str(folder)) from error


def _written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def _text(proposal: Proposal, show: Shown) -> str:
    if show == "avro":
        return schema_text(proposal.avro)
    if show == "json-schema":
        return schema_text(proposal.json_schema)
    draft = proposal.draft
    if draft is None:
        raise ConfigurationError(f"there is no table yet: {proposal.problem}")
    if show == "ldm":
        return yaml_of(draft.model)
    if show == "ddl":
        return "".join(f"{statement};\n\n" for statement in draft.ddl)
    entry = yaml.safe_dump({proposal.feed: draft.catalog_entry}, sort_keys=False, allow_unicode=True)
    return "".join(f"  {line}\n" for line in entry.splitlines())


def _print_report(proposal: Proposal) -> None:
    found = proposal.found
    if found is None:
        say("the schema was supplied, so nothing was decided: --show ddl or --output show what follows from it")
        return
    rows = [
        (
            one.path or found.avro["name"],
            one.type,
            one.samples,
            percent(one.null_share),
            one.reason,
            "; ".join(_look(one)),
        )
        for one in found.decisions
    ]
    print_table(("field", "type", "samples", "null", "why", "look at"), rows, title=f"Decisions of {proposal.feed}")
    say(f"{found.samples:,} samples, {len(found.conflicts):,} of {len(rows):,} decisions to look at")
    for line in _warnings(proposal, found):
        say(line)


def _look(decision: Decision) -> str:
    return "; ".join((*decision.conflicts, *(f"could be an {offer}" for offer in decision.offers)))


def _warnings(proposal: Proposal, found: Discovery) -> Iterator[str]:
    for one in found.refused:
        yield f"refused: {place(one)}: {one.reason}"
    if found.refused_count > len(found.refused):
        yield f"and {found.refused_count - len(found.refused):,} more were refused"
    if found.converted:
        yield f"{len(found.converted):,} fields are written otherwise: `feedline schema conform` rewrites the files"
    if proposal.problem:
        yield f"no logical model and no tables yet: {proposal.problem} (--key)"
