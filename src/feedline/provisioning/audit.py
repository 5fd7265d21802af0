"""Who did what when: a file of JSON lines that is only ever added to."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def record(file: Path, who: str, what: str, **details: Any) -> None:
    """Adds one line, on disk when this returns. details: JSON values without secrets."""
    entry = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "who": who, "what": what, **details}
    file.parent.mkdir(parents=True, exist_ok=True)
    # One write of a file opened to append: lines of several processes do not mix.
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    try:
        os.write(handle, (json.dumps(entry) + "\n").encode())
        os.fsync(handle)
    finally:
        os.close(handle)


def entries(file: Path) -> list[dict[str, Any]]:
    """Everything recorded, oldest first."""
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
