"""Whether a feed's files of a business date have landed, or lie in the archive since an earlier run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from feedline.archive import archived_deliveries
from feedline.batch.control_file import ControlFile, control_path, read_control_file
from feedline.batch.identity import Cycle
from feedline.batch.landed_file import landed_bytes


@dataclass(frozen=True, slots=True)
class Landing:
    """What there is to produce; `missing` says in words what is still waited for, else is empty."""

    missing: str
    files: int = 0
    records: int = 0
    bytes: int = 0
    archived: bool = False


def look(landing: Path, feed: str, business_date: date, archive: Path | None = None) -> Landing:
    """Looks once. The files are there when the control file is and none is shorter than it says.

    A date whose files are gone from the landing folder is there as well when the archive has its end-of-day delivery:
    producing takes it from there. A file that is longer, or no plain file, does not keep anybody waiting: producing it
    is refused with the reason.
    Raises ControlMismatchError when the control file cannot be used.
    """
    path = control_path(landing, feed, business_date)
    if not os.path.lexists(path):
        kept = archived_deliveries(archive, feed, business_date) if archive else []
        controls = [source.control for source in kept if source.control.cycle is Cycle.EOD]
        if controls:
            return _whole(controls[-1], archived=True)
        return Landing(missing=f"no {path.name} in {path.parent}")
    control = read_control_file(path)
    for file in control.files:
        try:
            size = landed_bytes(path.parent / file.name)
        except FileNotFoundError:
            return Landing(missing=f"no {file.name} in {path.parent}")
        if size is not None and size < file.size:
            return Landing(missing=f"{file.name} has {size} of {file.size} bytes")
    return _whole(control, archived=False)


def _whole(control: ControlFile, *, archived: bool) -> Landing:
    return Landing("", len(control.files), control.records, sum(file.size for file in control.files), archived)
