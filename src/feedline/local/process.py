"""Processes of the local stack: started in their own session, marked, recognised later, stopped for certain.

Every process is started with `FEEDLINE_STACK=<state folder>` in its environment, which its children inherit. A process
is ours if and only if it carries that mark, so a process id that the system gave to somebody else is never signalled,
and what a killed run left behind is found without any record of it.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped,unused-ignore]

from feedline.errors import ConfigurationError, RetriableError

MARK = "FEEDLINE_STACK"
POLL_S = 0.1
MARKED_WITHIN_S = 5.0


class ServiceNotReadyError(RetriableError):
    """A service of the local stack ended, or was not healthy in time."""


@dataclass(frozen=True, slots=True)
class Process:
    """A started service: its name, process id, what it listens on, and the file that its output goes to."""

    name: str
    pid: int
    port: int
    log: str


def start_process(
    name: str,
    command: Sequence[str | Path],
    *,
    home: Path,
    port: int,
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> Process:
    """Starts a service in its own session, so that a Ctrl-C meant for the starter does not reach it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        started = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=home,
            env={**os.environ, **(environment or {}), MARK: str(home)},
            start_new_session=True,
        )
    # The service outlives its starter, which Popen would complain of when it is collected.
    started.returncode = 0
    # The system lets us go on a moment before the new program's environment can be read.
    deadline = time.monotonic() + MARKED_WITHIN_S
    while not is_ours(started.pid, home) and not has_ended(started.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return Process(name=name, pid=started.pid, port=port, log=str(log))


def is_ours(pid: int, home: Path) -> bool:
    """Whether a live process of that id carries the mark of this state folder."""
    try:
        process = psutil.Process(pid)
        return bool(process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == str(home))
    except (psutil.Error, OSError):
        return False


def has_ended(pid: int) -> bool:
    """Whether there is no such process, or only what is left of one."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return True


def marked_processes(home: Path) -> list[int]:
    """Ids of all live processes of this state folder, except the caller and those that started it."""
    callers = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [pid for pid in psutil.pids() if pid not in callers and is_ours(pid, home)]


def orphans(home: Path, recorded: Collection[int]) -> list[int]:
    """Live processes of the folder that are neither recorded nor descend from one that is."""
    known = {member.pid for pid in recorded for member in _family(pid)}
    return [pid for pid in marked_processes(home) if pid not in known]


def memory_mb(process: Process, home: Path) -> float:
    """Memory of a service and its children, in MB; 0 when it does not run.

    Pages that processes share count once where the system tells (Linux: proportional set size), else resident memory.
    """
    if not is_ours(process.pid, home):
        return 0.0
    return sum(map(_memory, _family(process.pid))) / 1e6


def _memory(process: psutil.Process) -> float:
    try:
        full = process.memory_full_info()
        return float(getattr(full, "pss", full.rss))
    except (psutil.Error, OSError):
        return 0.0


def stop_processes(pids: Sequence[int], home: Path, *, within_s: float) -> None:
    """SIGTERM to these processes and their children, then SIGKILL for what is still there after `within_s` seconds;
    ids that are not ours are left alone."""
    ours = [member for pid in pids if is_ours(pid, home) for member in _family(pid)]
    _signal(ours, psutil.Process.terminate)
    _, alive = psutil.wait_procs(ours, timeout=within_s)
    _signal(alive, psutil.Process.kill)
    psutil.wait_procs(alive, timeout=10)


def _family(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def _signal(processes: Sequence[psutil.Process], send: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        try:
            send(process)
        except psutil.NoSuchProcess:
            continue


def await_healthy(process: Process, healthy: Callable[[], bool], *, within_s: float) -> None:
    """Returns when `healthy()` is true; raises ServiceNotReadyError when the process ends or time is up."""
    deadline = time.monotonic() + within_s
    while not healthy():
        if has_ended(process.pid):
            raise ServiceNotReadyError(f"{process.name} ended while starting: {last_line(Path(process.log))}")
        if time.monotonic() > deadline:
            raise ServiceNotReadyError(
                f"{process.name} was not healthy after {within_s:.0f} s: {last_line(Path(process.log))}"
            )
        time.sleep(POLL_S)


def last_line(log: Path) -> str:
    """The last line of a log that says something, with the log's place."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    said = [line.strip() for line in lines[-50:] if line.strip() and not line.lstrip().startswith(("at ", "..."))]
    return f"{said[-1][:300] if said else 'it wrote nothing'} (log: {log})"


def run_to_end(command: Sequence[str | Path], *, log: Path, within_s: float) -> None:
    """Runs a tool that ends by itself; raises ConfigurationError with its last line when it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        try:
            code = subprocess.run(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=within_s,
                check=False,
            ).returncode
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigurationError(f"{command[0]} did not end well: {error}", file=str(log)) from error
    if code != 0:
        raise ConfigurationError(f"{Path(command[0]).name} ended with {code}: {last_line(log)}")
