"""What the local stack remembers under its folder: `state.json`, `settings.json`, and the lock of who changes them."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from feedline.errors import RetriableError
from feedline.local.process import Process

# Where the local stack is, unless a command is told otherwise.
HOME = Path(".local")
STATE = "state.json"
SETTINGS = "settings.json"
LOCK = "lock"


class StackBusyError(RetriableError):
    """Another command is starting or stopping the same stack."""


@dataclass(frozen=True, slots=True)
class State:
    """processes: what was started and not stopped, in order of start; ports: the last port of each service, kept after
    a stop so that addresses stay the same."""

    processes: Mapping[str, Process] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)


def read_state(home: Path) -> State:
    """The state of the folder; empty when there is none or a killed run left it unreadable."""
    try:
        document = json.loads((home / STATE).read_text(encoding="utf-8"))
        return State(
            processes={name: Process(**entry) for name, entry in document["processes"].items()},
            ports=dict(document["ports"]),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return State()


def write_state(home: Path, state: State) -> None:
    processes = {name: asdict(process) for name, process in state.processes.items()}
    write_json(home / STATE, {"processes": processes, "ports": dict(state.ports)})


def write_json(file: Path, document: Mapping[str, Any] | list[dict[str, Any]]) -> None:
    """Writes a file that only its owner may read, whole or not at all."""
    partial = file.with_name(f"{file.name}.partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as output:
        json.dump(document, output, indent=2)
        output.write("\n")
    partial.replace(file)


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Holds the folder for one command; raises StackBusyError when another one has it."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / LOCK).open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise StackBusyError(
                f"another command (process {lock.read().strip() or 'unknown'}) is starting or stopping the stack in "
                f"{home}: wait for it, then try again"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
