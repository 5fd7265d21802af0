"""Files that only their owner may read, whole or not there at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_secret(file: Path, content: str | bytes, *, mode: int = 0o600) -> None:
    """Puts the content in place of the file's, at once and for good."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # mkstemp makes it readable by its owner only.
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as output:
            output.write(content.encode() if isinstance(content, str) else content)
            output.flush()
            os.fsync(output.fileno())
        Path(name).chmod(mode)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
