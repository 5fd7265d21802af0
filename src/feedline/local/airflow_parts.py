"""Airflow's four parts under one parent, which starts a part that died again and tells of it.

`airflow standalone` neither notices nor tells that its scheduler has died. This parent runs in its place, as the one
process that the stack records: `python -m feedline.local.airflow_parts FOLDER LOGS`. It imports nothing of Airflow.
"""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from feedline.local.state import write_json

PARTS = ("scheduler", "dag-processor", "api-server", "triggerer")
STATES = "parts.json"
# Seconds before each further start; a part that dies once more is given up.
BACKOFF_S = (1.0, 5.0, 15.0, 30.0, 60.0)
# A part that ran for so long may be started as often as a new one.
STEADY_S = 600.0
POLL_S = 0.2
STOP_WITHIN_S = 15.0
RUNNING, WAITING, GIVEN_UP = "running", "waiting to be started again", "given up"


@dataclass(slots=True)
class Part:
    """A part as it is now; restarts: since it last ran steadily; exit_code: of its last end, negative for a signal."""

    name: str
    log: str
    state: str = WAITING
    pid: int | None = None
    restarts: int = 0
    exit_code: int | None = None


@dataclass(slots=True)
class _Kept:
    """A part with its process while it runs, when that was started, and when the next start is due (monotonic)."""

    part: Part
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    begun: float = 0.0
    due: float = 0.0


def read_parts(folder: Path) -> list[Part]:
    """The parts as their parent last wrote them down; none when it never ran."""
    try:
        return [Part(**entry) for entry in json.loads((folder / STATES).read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return []


def supervise(
    folder: Path,
    commands: Mapping[str, Sequence[str]],
    logs: Path,
    stopped: threading.Event,
    *,
    before: Callable[[str], None] = lambda _: None,
    backoff_s: Sequence[float] = BACKOFF_S,
) -> None:
    """Keeps the parts running until `stopped` is set, then ends them; `before` is called ahead of each further start.

    What happens is told on standard output, and written to `parts.json` of the folder.
    """
    kept = [_Kept(Part(name, str(logs / f"airflow-{name}.log")), command) for name, command in commands.items()]
    try:
        while not stopped.is_set():
            now = time.monotonic()
            changed = [one for one in kept if _look_at(one, now, before, backoff_s)]
            if changed:
                write_json(folder / STATES, [asdict(one.part) for one in kept])
            stopped.wait(POLL_S)
    finally:
        _end([one.process for one in kept if one.process is not None])


def clear_orphan_deadlines(database: Path) -> int:
    """Deletes deadlines whose Dag run is gone; how many there were.

    A workaround for Airflow 3.3.2: on SQLite a run that is rolled back may leave its deadline, and the scheduler dies
    of every such row in `Deadline.handle_miss` as often as it is started.
    """
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        return connection.execute(
            "DELETE FROM deadline WHERE dagrun_id IS NULL OR dagrun_id NOT IN (SELECT id FROM dag_run)"
        ).rowcount


def _look_at(one: _Kept, now: float, before: Callable[[str], None], backoff_s: Sequence[float]) -> bool:
    """Notices that a part has ended, starts one whose start is due; whether anything has changed."""
    part = one.part
    if one.process is not None and one.process.poll() is not None:
        _ended(one, one.process.returncode, now, backoff_s)
        return True
    if part.state != WAITING or now < one.due:
        return False
    if part.restarts:
        before(part.name)
    one.process, one.begun = _start(one.command, Path(part.log)), now
    part.state, part.pid = RUNNING, one.process.pid
    return True


def _ended(one: _Kept, exit_code: int, now: float, backoff_s: Sequence[float]) -> None:
    part, one.process = one.part, None
    part.exit_code, part.pid = exit_code, None
    if now - one.begun > STEADY_S:
        part.restarts = 0
    if part.restarts == len(backoff_s):
        part.state = GIVEN_UP
        _tell(f"{part.name} ended with {exit_code} and is given up: read {part.log}")
        return
    part.state, one.due = WAITING, now + backoff_s[part.restarts]
    part.restarts += 1
    _tell(f"{part.name} ended with {exit_code}: start {part.restarts} of {len(backoff_s)} follows")


def _start(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + STOP_WITHIN_S
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _tell(message: str) -> None:
    sys.stdout.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {message}\n")
    sys.stdout.flush()


def _before(folder: Path, name: str) -> None:
    if name != "scheduler":
        return
    try:
        cleared = clear_orphan_deadlines(folder / "airflow.db")
    except sqlite3.Error as error:
        _tell(f"deadlines without a run were not looked for: {error}")
        return
    if cleared:
        _tell(f"deleted {cleared} deadlines without a run, of which Airflow's scheduler dies")


def main() -> None:
    folder, logs = map(Path, sys.argv[1:3])
    airflow = str(Path(sys.executable).parent / "airflow")
    stopped = threading.Event()
    (folder / STATES).unlink(missing_ok=True)
    subprocess.run([airflow, "db", "migrate"], check=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    commands = {name: [airflow, name] for name in PARTS}
    supervise(folder, commands, logs, stopped, before=lambda name: _before(folder, name))


if __name__ == "__main__":
    main()
