"""A local stack without Airflow for one measurement, in a folder of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from feedline.local.stack import StackConfig, down, up
from feedline.settings import Settings


@contextmanager
def quick_stack() -> Iterator[tuple[Settings, Path]]:
    """The settings of a stack, and the folder that has it as `stack`; both are gone after the block."""
    with tempfile.TemporaryDirectory(prefix="feedline-bench-") as name:
        folder = Path(name)
        try:
            yield up(StackConfig(home=folder / "stack", airflow=False)), folder
        finally:
            down(folder / "stack")
