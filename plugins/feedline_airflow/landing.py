"""Whether a feed's files of a business date have landed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from feedline.batch.control_file import control_path, read_control_file


@dataclass(frozen=True, slots=True)
class Landing:
    """What lies in the landing folder; `missing` says in words what is still waited for, else is empty."""

    missing: str
    files: int = 0
    records: int = 0
    bytes: int = 0


def look(landing: Path, feed: str, business_date: date) -> Landing:
    """Looks once. The files are there when the control file is and none is shorter than it says.

    A file that is longer does not keep anybody waiting: producing it is refused with the reason.
    Raises ControlMismatchError when the control file cannot be used.
    """
    path = control_path(landing, feed, business_date)
    if not path.exists():
        return Landing(missing=f"no {path.name} in {path.parent}")
    control = read_control_file(path)
    for file in control.files:
        try:
            size = (path.parent / file.name).stat().st_size
        except FileNotFoundError:
            return Landing(missing=f"no {file.name} in {path.parent}")
        if size < file.size:
            return Landing(missing=f"{file.name} has {size} of {file.size} bytes")
    return Landing("", len(control.files), control.records, sum(file.size for file in control.files))
