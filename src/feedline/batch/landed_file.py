"""A file that somebody else has put into a folder of ours, opened without going where it points."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

# Not to wait for the other end of a named pipe that took the file's place after it was looked at.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_KINDS = (
    (stat.S_ISLNK, "symbolic link"),
    (stat.S_ISDIR, "folder"),
    (stat.S_ISFIFO, "named pipe"),
    (stat.S_ISSOCK, "socket"),
)


def open_landed(path: Path) -> BinaryIO:
    """The file, to read it unbuffered.

    Raises OSError, which says why, also for what is no plain file: a link would lead to files that its sender may not
    read, a named pipe would keep whoever opens it waiting for ever.
    """
    # Looked at first: opening alone does something to some devices.
    _refuse_special(path, path.lstat())
    handle = os.open(path, _FLAGS)
    try:
        _refuse_special(path, os.fstat(handle))
        return os.fdopen(handle, "rb", buffering=0)
    except BaseException:
        os.close(handle)
        raise


def _refuse_special(path: Path, found: os.stat_result) -> None:
    if stat.S_ISREG(found.st_mode):
        return
    kind = next((name for is_kind, name in _KINDS if is_kind(found.st_mode)), "device")
    raise OSError(errno.EINVAL, f"it is a {kind}, not a plain file: have the file itself put there", str(path))


def landed_bytes(path: Path) -> int | None:
    """How long the file is by now; None for what is no plain file, which nobody has to wait for: opening it is refused
    with the reason. Raises FileNotFoundError."""
    found = path.lstat()
    return found.st_size if stat.S_ISREG(found.st_mode) else None
