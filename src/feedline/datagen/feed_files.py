"""A feed's files and control file of one date, written as a careful sender does: complete, or not there."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

from feedline.batch.control_file import control_path, delivery_folder
from feedline.batch.control_totals import add_exact, add_totals
from feedline.batch.identity import Cycle
from feedline.catalog import Feed
from feedline.datagen.render import Dump

# The feeds repeat themselves so much that a higher level saves little and takes far longer.
_GZIP_LEVEL = 4


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """`size`: bytes on disk; `raw_bytes`: before compression; `sha256`: hex, of the bytes on disk."""

    name: str
    size: int
    raw_bytes: int
    sha256: str
    records: int
    control_totals: dict[str, Decimal]


class _Digest:
    """A writable that counts and hashes what passes through it."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        self.size += len(data)
        return self._target.write(data)

    def flush(self) -> None:
        self._target.flush()

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def file_name(feed: str, business_date: date, number: int, *, gzipped: bool) -> str:
    return f"{feed}_{business_date:%Y%m%d}_{number:03d}.jsonl{'.gz' if gzipped else ''}"


def staging_folder(landing: Path, feed: Feed, business_date: date) -> Path:
    """A new, empty folder beside the delivery; what a killed run left there is removed."""
    folder = delivery_folder(landing, feed.name, business_date) / ".incoming"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def write_file(path: Path, feed: Feed, records: Iterable[dict[str, Any]], dump: Dump) -> WrittenFile:
    """Write records as JSON Lines, gzipped when the name ends in .gz, and add up the feed's control totals."""
    paths = [field.split(".") for field in feed.control_totals]
    totals = [Decimal()] * len(paths)
    count = raw_bytes = 0
    with path.open("wb", buffering=1 << 20) as target:
        digest = _Digest(target)
        # No name and no time in the gzip header: equal records give equal bytes.
        packer = gzip.GzipFile("", "wb", _GZIP_LEVEL, digest, mtime=0) if path.suffix == ".gz" else None
        with packer or nullcontext():
            write = packer.write if packer is not None else digest.write
            for record in records:
                line = dump(record) + b"\n"
                write(line)
                raw_bytes += len(line)
                count += 1
                totals = [add_exact((total, _value(record, names))) for total, names in zip(totals, paths, strict=True)]
    sums = dict(zip(feed.control_totals, totals, strict=True))
    return WrittenFile(path.name, digest.size, raw_bytes, digest.hexdigest(), count, sums)


def publish(landing: Path, feed: Feed, business_date: date, staged: Path, files: Sequence[WrittenFile]) -> None:
    """Put staged files in place and their control file last, since it is what tells a reader to begin.

    A delivery that is there already and the same is left untouched, so a reader of it is not disturbed; another one is
    withdrawn first, its control file before its files, so that no reader finds half of each.
    """
    control = control_path(landing, feed.name, business_date)
    document = _control_document(feed, business_date, files)
    folder = control.parent
    unchanged = control.exists() and control.read_bytes() == document
    if not unchanged or any(not _same(folder / file.name, file) for file in files):
        control.unlink(missing_ok=True)
        for old in folder.glob(f"{feed.name}_{business_date:%Y%m%d}_*.jsonl*"):
            old.unlink()
        for file in files:
            (staged / file.name).rename(folder / file.name)
        written = staged / control.name
        written.write_bytes(document)
        written.rename(control)
    shutil.rmtree(staged)


def _same(path: Path, file: WrittenFile) -> bool:
    if not path.exists() or path.stat().st_size != file.size:
        return False
    with path.open("rb") as existing:
        return hashlib.file_digest(existing, "sha256").hexdigest() == file.sha256


def _control_document(feed: Feed, business_date: date, files: Sequence[WrittenFile]) -> bytes:
    document = {
        "feed": feed.name,
        "businessDate": business_date.isoformat(),
        "cycle": Cycle.EOD.value,
        "files": [
            {
                "name": file.name,
                "bytes": file.size,
                "sha256": file.sha256,
                "records": file.records,
                "controlTotals": _texts(file.control_totals),
            }
            for file in files
        ],
        "records": sum(file.records for file in files),
        "controlTotals": _texts(add_totals(file.control_totals for file in files)),
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def _texts(totals: dict[str, Decimal]) -> dict[str, str]:
    return {path: format(total, "f") for path, total in totals.items()}


def _value(record: dict[str, Any], names: Sequence[str]) -> Decimal:
    """The number at a path; nulls count as zero."""
    value: Any = record
    for name in names:
        value = None if value is None else value[name]
    return Decimal() if value is None else Decimal(value)
