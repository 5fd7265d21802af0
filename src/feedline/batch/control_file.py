"""The control file that a sender writes last beside a feed's files: names, sizes, hashes, counts, control totals."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from feedline.batch.control_totals import add_exact
from feedline.batch.identity import Cycle, Delivery, delivery_of
from feedline.batch.landed_file import open_landed
from feedline.errors import ControlMismatchError

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class ControlledFile:
    """What the sender says of one file. `size`: bytes on disk; `sha256`: hex, of the bytes on disk."""

    name: str
    size: int
    sha256: str
    records: int
    control_totals: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ControlFile:
    """What the sender says of a delivery; the totals of the files add up to those of the whole."""

    feed: str
    business_date: date
    cycle: Cycle
    files: tuple[ControlledFile, ...]
    records: int
    control_totals: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def delivery(self) -> Delivery:
        return delivery_of(self.feed, self.business_date, self.cycle, (file.sha256 for file in self.files))


def delivery_folder(landing: Path, feed: str, business_date: date) -> Path:
    return landing / f"{business_date:%Y-%m-%d}" / feed


def control_path(landing: Path, feed: str, business_date: date) -> Path:
    """Where a delivery's control file appears: `<landing>/<YYYY-MM-DD>/<feed>/<feed>_<YYYYMMDD>.control.json`."""
    return delivery_folder(landing, feed, business_date) / f"{feed}_{business_date:%Y%m%d}.control.json"


def intraday_folder(landing: Path, feed: str, business_date: date) -> Path:
    """Where a feed's small deliveries of a day land, each a control file of its own beside its files."""
    return delivery_folder(landing, feed, business_date) / "intraday"


def intraday_control_path(landing: Path, feed: str, business_date: date, number: int) -> Path:
    """Where the sender puts the control file of the day's `number`-th small delivery, counted from 1."""
    name = f"{feed}_{business_date:%Y%m%d}_I{number:03d}.control.json"
    return intraday_folder(landing, feed, business_date) / name


def intraday_control_paths(landing: Path, feed: str, business_date: date) -> tuple[Path, ...]:
    """The control files of the small deliveries that are there now, by name, whatever the sender calls them."""
    return tuple(sorted(intraday_folder(landing, feed, business_date).glob("*.control.json")))


def read_control_file(path: Path) -> ControlFile:
    """The control file at `path`; raises ControlMismatchError when there is none, it cannot be read or it
    contradicts itself."""
    try:
        with open_landed(path) as file:
            document = json.loads(file.read(), parse_float=Decimal)
    except FileNotFoundError:
        raise ControlMismatchError(
            "there is no control file: the delivery has not arrived, or its sender did not finish it", file=str(path)
        ) from None
    except (OSError, ValueError) as error:
        told = error.strerror if isinstance(error, OSError) else error
        raise ControlMismatchError(f"the control file cannot be read: {told}", file=str(path)) from error
    try:
        control = _control(document)
    except KeyError as error:
        raise ControlMismatchError(f"the control file has no entry {error.args[0]!r}", file=str(path)) from None
    except (TypeError, ValueError, AttributeError, InvalidOperation) as error:
        raise ControlMismatchError(f"an entry of the control file is wrong: {error!r}", file=str(path)) from error
    _check(control, str(path))
    return control


def _control(document: Mapping[str, Any]) -> ControlFile:
    return ControlFile(
        feed=str(document["feed"]),
        business_date=date.fromisoformat(document["businessDate"]),
        cycle=Cycle(document["cycle"]),
        files=tuple(
            ControlledFile(
                name=str(entry["name"]),
                size=_count(entry["bytes"]),
                sha256=str(entry["sha256"]).lower(),
                records=_count(entry["records"]),
                control_totals=_totals(entry.get("controlTotals", {})),
            )
            for entry in document["files"]
        ),
        records=_count(document["records"]),
        control_totals=_totals(document.get("controlTotals", {})),
    )


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is not a count")
    return value


def _totals(totals: Mapping[str, Any]) -> dict[str, Decimal]:
    exact = {path: Decimal(value) for path, value in totals.items()}
    for path, total in exact.items():
        if not total.is_finite():
            raise ValueError(f"the total of {path} is {total}")
    return exact


def _check(control: ControlFile, path: str) -> None:
    def refuse(reason: str) -> None:
        raise ControlMismatchError(f"the control file {reason}", feed=control.feed, file=path)

    if not control.files:
        refuse("names no file")
    names = [file.name for file in control.files]
    if len(set(names)) != len(names):
        refuse("names a file twice")
    filled = [file.sha256 for file in control.files if file.records]
    if len(set(filled)) != len(filled):
        # Their records would be the same ones, and loaded once.
        twice = ", ".join(file.name for file in control.files if file.records and filled.count(file.sha256) > 1)
        refuse(f"names files of one and the same content: {twice}")
    for file in control.files:
        # A name is joined to the landing folder: one with a separator could reach any file of the machine.
        if Path(file.name).name != file.name or file.name in ("", ".", "..") or "\0" in file.name:
            refuse(f"names {file.name!r}, which is not a plain file name")
        if not _SHA256.match(file.sha256):
            refuse(f"has {file.sha256!r} for the SHA-256 of {file.name}")
    if sum(file.records for file in control.files) != control.records:
        refuse(f"says {control.records} records, and its files add up to {sum(f.records for f in control.files)}")
    for name, total in control.control_totals.items():
        added = add_exact(file.control_totals.get(name, Decimal()) for file in control.files)
        if added != total:
            refuse(f"says {name} totals {total}, and its files add up to {added}")
