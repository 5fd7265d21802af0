"""One run of one contender as a process of its own: what it says it did, and what the operating system says it cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# A service is at rest when it used less than this share of a core for a second; that long at most is waited for it.
AT_REST = 0.05
REST_SECONDS = 60

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
KIB = 1024


class ContenderFailedError(Exception):
    """A contender's process ended badly; its standard error is the message."""


@dataclass(frozen=True, slots=True)
class Run:
    """records, raw_bytes and seconds are the contender's own count, from its first byte read to its last
    acknowledgement; the rest is measured from outside: CPU seconds of the contender and of the services it used,
    peak resident bytes of the contender."""

    records: int
    raw_bytes: int
    seconds: float
    cpu_seconds: float
    service_cpu_seconds: float
    peak_bytes: int
    extra: dict[str, Any]

    @property
    def records_per_second(self) -> float:
        return self.records / self.seconds

    @property
    def raw_mb_per_second(self) -> float:
        return self.raw_bytes / 1e6 / self.seconds

    @property
    def cpu_per_100k(self) -> float:
        """CPU seconds of the contender per 100,000 records."""
        return self.cpu_seconds * 100_000 / self.records


def cpu_seconds_of(pids: Sequence[int]) -> float:
    """User and system seconds used so far by running processes (fields 14 and 15 of /proc/PID/stat, see proc(5))."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / CLOCK_TICKS


def await_idle(service_pids: Sequence[int]) -> None:
    """Returns when the services have finished what the last contender, or a new topic, left them to do."""
    for _ in range(REST_SECONDS):
        before = cpu_seconds_of(service_pids)
        time.sleep(1)
        if cpu_seconds_of(service_pids) - before < AT_REST:
            return


def run_contender(command: Sequence[str], service_pids: Sequence[int]) -> Run:
    """Run a command whose last line of output is a JSON object with records, raw_bytes and seconds.

    Raises ContenderFailedError with what it wrote to standard error.
    """
    before = cpu_seconds_of(service_pids)
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=output, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        lines = output.read().decode().strip().splitlines()
        if process.returncode != 0 or not lines:
            raise ContenderFailedError(f"{' '.join(command)}\n{errors.read().decode()[-4000:]}")
    said = json.loads(lines[-1])
    return Run(
        records=said.pop("records"),
        raw_bytes=said.pop("raw_bytes"),
        seconds=said.pop("seconds"),
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        service_cpu_seconds=cpu_seconds_of(service_pids) - before,
        peak_bytes=usage.ru_maxrss * KIB,
        extra=said,
    )


def python_contender(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"benchmarks.contenders.{name}", *arguments]
