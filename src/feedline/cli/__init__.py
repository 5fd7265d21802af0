"""The command line: `feedline …`."""

from feedline.cli.main import main

__all__ = ["main"]
