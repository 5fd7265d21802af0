"""Files that are there whole or not at all, also when the program is killed while it writes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def replace_text(path: Path, text: str) -> None:
    """The file with this text instead of what it had. Raises OSError, and leaves the old file then."""
    with _partial(path, text) as partial:
        partial.replace(path)


def create_text(path: Path, text: str) -> None:
    """A new file. Raises FileExistsError when there is one of that name, whoever made it a moment ago."""
    with _partial(path, text) as partial:
        os.link(partial, path)


@contextmanager
def _partial(path: Path, text: str) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    partial = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as output:
            output.write(text)
            output.flush()
            os.fsync(output.fileno())
        partial.chmod(0o644)
        yield partial
        _keep(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _keep(folder: Path) -> None:
    """The folder's entries on disk, in the order in which they were made."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
