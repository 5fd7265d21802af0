"""Who did what when: a file of JSON lines that is only ever added to."""

from __future__ import annotations

import fcntl
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

TORN = "torn"
_SHOWN = 200


def record(file: Path, who: str, what: str, **details: Any) -> None:
    """Adds one line, on disk when this returns. details: JSON values without secrets."""
    entry = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "who": who, "what": what, **details}
    line = (json.dumps(entry) + "\n").encode()
    file.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o640)
    try:
        # So that nobody else is in the middle of a line: one without an end was cut off, and gets its end here.
        fcntl.flock(handle, fcntl.LOCK_EX)
        size = os.fstat(handle).st_size
        left = memoryview(line if not size or os.pread(handle, 1, size - 1) == b"\n" else b"\n" + line)
        while left:
            left = left[os.write(handle, left) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def entries(file: Path) -> list[dict[str, Any]]:
    """Everything recorded, oldest first; what was cut off in mid-line, by a kill or a full disk, as an entry that is
    `torn`, with what there is of it."""
    if not file.exists():
        return []
    return [_entry(line) for line in file.read_bytes().split(b"\n") if line]


def _entry(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    return {"at": None, "who": None, "what": TORN, "text": line[:_SHOWN].decode(errors="replace")}
