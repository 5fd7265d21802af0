"""`feedline schema conform`: a source's own documents as files of a feed."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import click

from feedline.cli.output import INCOMPLETE, format_option, print_json, print_table, progress, say
from feedline.errors import ConfigurationError, SchemaMismatchError
from feedline.metadata.discovery import Sample, conformer, record_line, samples_of
from feedline.metadata.discovery.policy import MIB
from feedline.metadata.draft import file_stem

SHOWN = 20


@dataclass(slots=True)
class _Done:
    """What became of one file's documents; refused: the first reasons, with their lines."""

    written: int = 0
    refused: int = 0
    first: list[str] = field(default_factory=list)

    def refuse(self, place: str, reason: str) -> None:
        self.refused += 1
        if len(self.first) < SHOWN:
            self.first.append(f"{place}: {reason}")


@click.command(
    "conform",
    epilog="""\b
Examples:
  feedline schema conform proposed/schemas/trades.avsc trades_20261120.json --output landing/2026-11-20/trades

A file of that name that is there already is not written over. Exit code 4 when a document was refused.""",
)
@click.argument("schema", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="The folder to write to."
)
@format_option
def conform_command(*, schema: Path, files: tuple[Path, ...], output: Path, output_format: str) -> None:
    """Write FILES anew as JSON Lines by the Avro SCHEMA: names, dates, maps as it has them.

    For sources whose documents stand otherwise than their schema, as the report of `discover` says. Every amount stays
    digit by digit; a document that does not fit is told with file, line and field, and left out.
    """
    conform = conformer(_schema(schema))
    total = sum(path.stat().st_size for path in files) / MIB
    found: dict[Path, _Done] = {}
    with progress("writing", total, unit="MiB") as advance:
        for path in files:
            target = output / f"{file_stem(path.name)}.jsonl"
            found[target] = _rewritten(path, target, conform, lambda size: advance(size / MIB))
    rows = [(str(target), one.written, one.refused) for target, one in found.items()]
    if output_format == "json":
        names = ("file", "written", "refused")
        print_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        print_table(("file", "written", "refused"), rows)
    for one in found.values():
        for line in one.first:
            say(f"refused: {line}")
    if any(one.refused for one in found.values()):
        raise SystemExit(INCOMPLETE)


def _rewritten(
    source: Path, target: Path, conform: Callable[[Any], Mapping[str, Any]], advance: Callable[[float], None]
) -> _Done:
    done = _Done()
    with _new_file(target) as out:
        for one in samples_of(source, advance=advance):
            place = f"{source.name} line {one.line or 0:,}"
            if not isinstance(one, Sample):
                done.refuse(place, one.reason)
                continue
            try:
                out.write(record_line(conform(one.value)))
            except SchemaMismatchError as error:
                done.refuse(place, f"{error.where.field or 'the document'} {error.reason}")
            else:
                done.written += 1
    return done


@contextlib.contextmanager
def _new_file(target: Path) -> Iterator[IO[bytes]]:
    """Whole or not at all; who reads the folder sees no half of it."""
    partial = target.with_name(f".{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            raise ConfigurationError(
                "the file is there already: name another folder, or take it away", file=str(target)
            )
        with partial.open("wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        partial.replace(target)
    except OSError as error:
        raise ConfigurationError(f"the file cannot be written: {error}", file=str(target)) from error
    finally:
        partial.unlink(missing_ok=True)


def _schema(file: Path) -> dict[str, Any]:
    try:
        schema: dict[str, Any] = json.loads(file.read_bytes())
        if schema["type"] != "record":
            raise TypeError("it is no record")  # noqa: TRY301  one way to say it
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ConfigurationError(f"the Avro schema cannot be read: {str(error)[:200]}", file=str(file)) from error
    return schema
