"""`feedline feeds conform`: files as a source writes them, rewritten as files of the feed."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import click

from feedline.catalog import load_catalog
from feedline.catalog_files import catalog_path_of_settings
from feedline.cli.output import INCOMPLETE, format_option, print_json, print_table, say
from feedline.errors import ConfigurationError, SchemaMismatchError
from feedline.metadata.discovery import Refused, Sample, samples_of
from feedline.metadata.discovery.records import conformer, document_text, record_line

SHOWN = 20


@dataclass
class _Done:
    """What became of a file's records. kept: not conforming, written as they are; lost: could not be read."""

    file: Path
    records: int = 0
    kept: int = 0
    lost: int = 0
    reasons: list[str] = field(default_factory=list)

    def tell(self, line: int | None, reason: str) -> None:
        if len(self.reasons) < SHOWN:
            self.reasons.append(f"{self.file.name} line {line or 0}: {reason}")


@click.command(
    "conform",
    epilog="""\b
Examples:
  feedline feeds conform loans source/loans_20261120_001.jsonl --output landing/2026-11-20/loans
  feedline feeds conform loans source/*.jsonl.gz --output conformed --format json""",
)
@click.argument("name")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write to.")
@click.option(
    "--catalog",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Another catalogue than that of the settings.",
)
@format_option
def conform_command(
    *, name: str, files: tuple[Path, ...], output: Path, catalog: Path | None, output_format: str
) -> None:
    """Rewrite FILES as files of the feed NAME: keys, dates and numbers as its schema has them, exactly.

    A record that does not fit is written as it is, for the producer to refuse it with file, line, field and reason. A
    file of which something cannot be read is not written; the command then ends with 4.
    """
    feed = load_catalog(catalog or catalog_path_of_settings()).feed(name)
    conform = conformer(feed.schema)
    found = [_conformed(file, output, conform) for file in files]
    if output_format == "json":
        print_json(found)
    else:
        rows = [[one.file.name, one.records, one.kept, one.lost] for one in found]
        print_table(["File", "Records", "Not fitting", "Not readable"], rows)
        for one in found:
            for reason in one.reasons:
                say(reason)
    if any(one.lost for one in found):
        raise SystemExit(INCOMPLETE)


def _conformed(file: Path, folder: Path, conform: Any) -> _Done:
    target = folder / file.name
    partial = folder / f".{file.name}.part"
    done = _Done(file)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if target.resolve() == file.resolve():
            raise ConfigurationError("name another folder: a file cannot be rewritten in place", file=str(file))
        with _opened(partial, packed=file.suffix == ".gz") as out:
            out.writelines(_lines(file, conform, done))
        if not done.lost:
            partial.replace(target)
    except OSError as error:
        raise ConfigurationError(f"cannot be rewritten: {error}", file=str(file)) from error
    finally:
        partial.unlink(missing_ok=True)
    return done


def _lines(file: Path, conform: Any, done: _Done) -> Iterator[bytes]:
    for one in samples_of(file):
        if isinstance(one, Refused):
            done.lost += 1
            done.tell(one.line, one.reason)
            continue
        yield _line(one, conform, done)


def _line(one: Sample, conform: Any, done: _Done) -> bytes:
    done.records += 1
    try:
        return record_line(conform(one.value))
    except SchemaMismatchError as error:
        done.kept += 1
        done.tell(one.line, str(error))
        return f"{document_text(one.value)}\n".encode()


def _opened(path: Path, *, packed: bool) -> IO[bytes]:
    # Without the time in it, the same source gives the same bytes.
    return gzip.GzipFile(path, "wb", mtime=0) if packed else path.open("wb")  # type: ignore[return-value]
