"""Recovery after a SIGKILL: a loader dies halfway through a delivery, another is started at once, and is watched.

Compared are `feedline consume` under both protocols of groups, a planned load as an Airflow task runs it, and the usual
loop of a consumer that inserts what it has read and then commits.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import snowflake.connector
from snowflake.connector import SnowflakeConnection

from benchmarks.measure import ContenderFailedError, python_contender
from feedline.settings import load_settings

TITLE = "(f) Recovery after a SIGKILL halfway"
FEED, TABLE = "positions", "FEEDLINE.IHUB.POSITIONS"
# Messages a transaction: enough transactions that one in the middle is met.
MESSAGES = 8
LOOK_S = 0.1
# Killed when so much of the records is in the table.
HALFWAY = (0.3, 0.6)
WITHIN_S = 600.0

RECORD = """"_CORRELATION_ID" || '-' || "_RECORD_INDEX\""""

# A loader's command for a settings file.
Loader = Callable[[Path], list[str]]
Looks = list[tuple[float, int]]


@dataclass(frozen=True, slots=True)
class Recovery:
    """speed: records a second before the kill. back_s: from the kill to the next records in the table; lost_s: how much
    later the last record came than at the speed before, that is, all that the kill has cost; messages_twice and
    records_twice: those that are in the table more than once."""

    records: int
    speed: float
    back_s: float
    lost_s: float
    messages_twice: int
    records_twice: int


def loaders(topic: str, day: date) -> Mapping[str, Loader]:
    def service(*more: str) -> Loader:
        options = ["--feeds", FEED, "--port", "0", "--max-age", "0.5", "--max-batches", str(MESSAGES), *more]
        return lambda _: [sys.executable, "-c", "from feedline.cli import main; main()", "consume", *options]

    def contender(name: str, *more: str) -> Loader:
        return lambda file: python_contender(name, "--settings", str(file), "--topic", topic, *more)

    planned = ["--date", day.isoformat(), "--feeds", FEED, "--chunk-batches", str(MESSAGES)]
    return {
        "feedline consume": service(),
        "feedline consume, KIP-848": service("--rebalance", "consumer"),
        "planned load, as a task": contender("feedline_load", *planned),
        "a loop that inserts and commits": contender("loop_load", "--feed", FEED, "--group", f"loop-{uuid.uuid4()}"),
    }


def recover(loader: Loader, settings: Path, records: int) -> Recovery:
    """Runs a loader to somewhere halfway, kills it, starts another and waits for the last record.

    The settings' warehouse has empty tables. Raises ContenderFailedError when a loader fails or takes too long.
    """
    command, log = loader(settings), settings.with_suffix(".log")
    connection = snowflake.connector.connect(**load_settings(settings).warehouse)
    first = second = None
    try:
        first = _start(command, settings, log)
        enough = random.uniform(*HALFWAY) * records
        looks = _until(lambda: _number(connection, "COUNT(*)"), lambda held: held >= enough, first, log)
        os.kill(first.pid, signal.SIGKILL)
        killed = time.monotonic()
        first.wait()
        held = _number(connection, "COUNT(*)")
        if held >= records:
            raise ContenderFailedError(f"all {records} records were loaded before the kill: give it more funds")
        second = _start(command, settings, log)
        back = _until(lambda: _number(connection, "COUNT(*)"), lambda now: now > held, second, log)[-1][0]
        distinct = f"COUNT(DISTINCT {RECORD})"
        finished = _until(lambda: _number(connection, distinct), lambda now: now >= records, second, log)[-1][0]
        # A loop that has read again what was loaded is not done with it yet when the last record is there.
        second.terminate()
        second.wait(60)
        twice = _number(connection, f"COUNT(*) - {distinct}")
        messages = _number(
            connection,
            'COUNT(DISTINCT "_CORRELATION_ID")',
            f"WHERE {RECORD} IN (SELECT {RECORD} FROM {TABLE} GROUP BY 1 HAVING COUNT(*) > 1)",
        )
    finally:
        for process in filter(None, (first, second)):
            process.kill()
            process.wait()
        connection.close()
    speed = _speed(looks)
    late = finished - killed - (records - held) / speed
    return Recovery(records, speed, back - killed, max(0.0, late), messages, twice)


def _number(connection: SnowflakeConnection, what: str, where: str = "") -> int:
    with connection.cursor() as cursor:
        return int(cursor.execute(f"SELECT {what} FROM {TABLE} {where}").fetchone()[0])  # type: ignore[union-attr,index,arg-type]


def _start(command: Sequence[str], settings: Path, log: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "FEEDLINE_SETTINGS": str(settings)}
    with log.open("ab") as out:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=out, env=environment)


def _until(look: Callable[[], int], met: Callable[[int], bool], process: subprocess.Popen[bytes], log: Path) -> Looks:
    """Looks until the condition is met: when, and what each look saw."""
    looks: Looks = []
    deadline = time.monotonic() + WITHIN_S
    while not looks or not met(looks[-1][1]):
        if process.poll() or time.monotonic() > deadline:
            raise ContenderFailedError(f"{looks[-1:]} {log.read_text(encoding='utf-8')[-3000:]}")
        time.sleep(LOOK_S)
        looks.append((time.monotonic(), look()))
    return looks


def _speed(looks: Looks) -> float:
    """Records a second between the first records in the table and the last look."""
    begun, held = next(one for one in looks if one[1])
    ended, last = looks[-1]
    # Halfway in one step: its own time is not known, only that it lies between two looks.
    return (last - held) / (ended - begun) if ended > begun else last / LOOK_S


def table(series: Mapping[str, Sequence[Recovery]]) -> str:
    """A Markdown table: medians, with the lowest and the highest."""
    columns: Mapping[str, tuple[str, Callable[[Recovery], float]]] = {
        "records/s before": ("{:,.0f}", lambda one: one.speed),
        "seconds to the next records": ("{:.1f}", lambda one: one.back_s),
        "seconds lost in all": ("{:.1f}", lambda one: one.lost_s),
        "messages loaded twice": ("{:,.0f}", lambda one: one.messages_twice),
        "records twice in the table": ("{:,.0f}", lambda one: one.records_twice),
    }
    lines = [f"### {TITLE}", "", "| loader | " + " | ".join(columns) + " |", "|" + " --- |" * (len(columns) + 1)]
    for name, rounds in series.items():
        cells = []
        for pattern, figure in columns.values():
            values = [figure(one) for one in rounds]
            low, middle, high = (pattern.format(value) for value in (min(values), median(values), max(values)))
            cells.append(f"{middle} ({low} to {high})")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def raw(series: Mapping[str, Sequence[Recovery]]) -> dict[str, list[dict[str, Any]]]:
    return {name: [asdict(one) for one in rounds] for name, rounds in series.items()}
