"""When a feed's files arrived in the landing folder."""

from __future__ import annotations

import stat
from datetime import UTC, date, datetime
from pathlib import Path

from feedline.batch.control_file import control_path, read_control_file
from feedline.errors import ControlMismatchError


def arrived_at(landing: Path, feed: str, business_date: date) -> datetime | None:
    """When the last of a delivery's files was written: the control file and, as long as it says, each that it names.

    None while something is missing, and while the control file cannot be used or something is no plain file: a feed
    that nobody can read has not arrived.
    """
    control_file = control_path(landing, feed, business_date)
    try:
        control = read_control_file(control_file)
        seen = [control_file.lstat(), *((control_file.parent / file.name).lstat() for file in control.files)]
    except (ControlMismatchError, FileNotFoundError):
        return None
    if not all(stat.S_ISREG(there.st_mode) for there in seen):
        return None
    if any(there.st_size < said.size for there, said in zip(seen[1:], control.files, strict=True)):
        return None
    return datetime.fromtimestamp(max(there.st_mtime for there in seen), UTC)
