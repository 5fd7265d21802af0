"""What an apply has begun and done, on disk before and after each step, so that a killed one can be gone on with."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from feedline.errors import ConfigurationError, LostRaceError
from feedline.provisioning.plan import Plan


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An apply that was begun and did not end: the plan's fingerprint and the places that it changes."""

    fingerprint: str
    places: frozenset[tuple[str, str]]


class Journal:
    """One open journal; made by `open_journal`, which holds its lock."""

    def __init__(self, file: IO[str], unfinished: Unfinished | None) -> None:
        self._file = file
        self.unfinished = unfinished

    def begin(self, plan: Plan) -> None:
        """The plan that is made from here on."""
        self.write({"plan": plan.fingerprint, "places": [one.place for one in plan.changes]})

    def write(self, entry: dict[str, Any]) -> None:
        """One entry, on disk when this returns."""
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())


@contextmanager
def open_journal(path: Path) -> Iterator[Journal]:
    """The journal for one apply; raises LostRaceError while another has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LostRaceError("another apply is running with this journal: wait for it", file=str(path)) from None
        file.seek(0)
        text = file.read()
        if text and not text.endswith("\n"):
            file.write("\n")
        yield Journal(file, _unfinished(text, path))


def _unfinished(text: str, path: Path) -> Unfinished | None:
    found: Unfinished | None = None
    # What was cut off in mid-line was never acted upon.
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        try:
            if "plan" in entry:
                found = Unfinished(entry["plan"], frozenset((part, target) for part, target in entry["places"]))
            elif entry.get("end"):
                found = None
        except (TypeError, KeyError, ValueError, AttributeError):
            raise ConfigurationError(
                "this is not a journal of `feedline provision apply`: name another", file=str(path)
            ) from None
    return found
