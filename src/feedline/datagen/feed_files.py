"""A feed's files and control file of one date, written as a careful sender does: complete, or not there."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

from feedline.batch.control_file import delivery_folder
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


class FeedFile:
    """A feed file that is being written: JSON Lines, gzipped when the name ends in .gz."""

    def __init__(self, path: Path, feed: Feed, dump: Dump) -> None:
        self._name = path.name
        self._dump = dump
        self._fields = feed.control_totals
        self._paths = [field.split(".") for field in feed.control_totals]
        self._totals = [Decimal()] * len(self._paths)
        self._target = path.open("wb", buffering=1 << 20)
        self._digest = _Digest(self._target)
        # No name and no time in the gzip header: equal records give equal bytes.
        packed = path.suffix == ".gz"
        self._packer = gzip.GzipFile("", "wb", _GZIP_LEVEL, self._digest, mtime=0) if packed else None
        self._raw_bytes = 0
        self.records = 0

    def write(self, record: dict[str, Any]) -> None:
        line = self._dump(record) + b"\n"
        (self._packer or self._digest).write(line)
        self._raw_bytes += len(line)
        self.records += 1
        pairs = zip(self._totals, self._paths, strict=True)
        self._totals = [add_exact((total, _value(record, names))) for total, names in pairs]

    def close(self) -> WrittenFile:
        """Ends the file; what was written, with the feed's control totals added up."""
        if self._packer is not None:
            self._packer.close()
        self._target.close()
        sums = dict(zip(self._fields, self._totals, strict=True))
        digest = self._digest
        return WrittenFile(self._name, digest.size, self._raw_bytes, digest.hexdigest(), self.records, sums)


def write_file(path: Path, feed: Feed, records: Iterable[dict[str, Any]], dump: Dump) -> WrittenFile:
    """Writes all the records into one file."""
    file = FeedFile(path, feed, dump)
    for record in records:
        file.write(record)
    return file.close()


def publish(
    control: Path,
    feed: Feed,
    business_date: date,
    staged: Path,
    files: Sequence[WrittenFile],
    *,
    cycle: Cycle = Cycle.EOD,
    replaces: str | None = None,
) -> None:
    """Moves staged files beside where their control file goes, and that last, since it tells a reader to begin.

    replaces: pattern of the file names of an earlier delivery in that folder. One that is there already and the same
    is left untouched, so a reader of it is not disturbed; another one is withdrawn first, its control file before its
    files, so that no reader finds half of each.
    """
    document = _control_document(feed, business_date, cycle, files)
    folder = control.parent
    folder.mkdir(parents=True, exist_ok=True)
    unchanged = control.exists() and control.read_bytes() == document
    if unchanged and all(_same(folder / file.name, file) for file in files):
        return
    control.unlink(missing_ok=True)
    for old in folder.glob(replaces) if replaces else ():
        old.unlink()
    for file in files:
        (staged / file.name).rename(folder / file.name)
    written = staged / control.name
    written.write_bytes(document)
    written.rename(control)


def _same(path: Path, file: WrittenFile) -> bool:
    if not path.exists() or path.stat().st_size != file.size:
        return False
    with path.open("rb") as existing:
        return hashlib.file_digest(existing, "sha256").hexdigest() == file.sha256


def _control_document(feed: Feed, business_date: date, cycle: Cycle, files: Sequence[WrittenFile]) -> bytes:
    document = {
        "feed": feed.name,
        "businessDate": business_date.isoformat(),
        "cycle": cycle.value,
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
