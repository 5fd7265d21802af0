"""Discovery against genson, polars and DuckDB on the same files: speed, memory, and what each makes of what custodians
write. `python -m benchmarks.discovery` prints both tables and keeps them in benchmarks/results; every "wrong" is what
the tool itself said, checked here."""

from __future__ import annotations

import argparse
import json
import platform
import random
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks.contenders.learn_schema import CONTENDERS
from benchmarks.measure import Run, python_contender, run_contender

RESULTS = Path(__file__).parent / "results" / "results-discovery.md"
SAMPLES = Path(__file__).resolve().parents[1] / "include" / "samples"
TRAP_RECORDS = 25_000


@dataclass(frozen=True, slots=True)
class Trap:
    """field: of the trap file; what: is asked; right: what a tool's words for the type must match."""

    field: str
    what: str
    right: str


TRAPS = (
    Trap("amount", "an amount with cents is no float", r"(?i)decimal\(\d+, ?\d+\)"),
    Trap("fine", "18 digits behind the point are kept", r"(?i)decimal\(\d+, ?(18|[23]\d)\)|string holding a number"),
    Trap("big", "an integer past 64 bits is kept", r"(?i)decimal|hugeint|int128|integer$"),
    Trap("account", "leading zeros are kept", r"(?i)string|varchar"),
    Trap("traded", "a date written 2026-11-20 is a date", r"(?i)date(?!time)"),
    Trap("settled", "a date written 20-Nov-2026 is a date", r"(?i)date(?!time)"),
    Trap("unclear", "03/04/2026 is not taken for a date in silence", r"(?i)string|varchar"),
    Trap("at", "a moment with a zone keeps it", r"(?i)timestamp-micros|with time zone|time_zone=|timestamptz"),
    Trap("rates", "an object whose keys are currencies is a map", r"(?i)^map"),
    Trap("mixed", "numbers and texts in one field are not coerced", r"(?i)json| or "),
    Trap("late", "a field of the last record alone is found", r"."),
)


def trap_file(file: Path, seed: int) -> None:
    """Records whose every field is one of the traps, in an order that the seed makes; what is in them is the same."""
    made = random.Random(1)
    rows = []
    for n in range(TRAP_RECORDS):
        codes = ["".join(made.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=3)) for _ in range(4)]
        rows.append({
            "amount": f"{made.randrange(10**9)}.{made.randrange(100):02}", "fine": f"0.{made.randrange(1, 10**18):018}",
            "big": str(2**63 + made.randrange(10**6)), "account": f'"{made.randrange(10**6):08}"',
            "traded": f'"2026-11-{1 + n % 28:02}"', "settled": f'"{1 + n % 28:02}-Nov-2026"',
            "unclear": f'"{1 + n % 12:02}/{1 + n % 11:02}/2026"',
            "at": f'"2026-11-20T{n % 24:02}:{n % 60:02}:00{made.choice(["-05:00", "+01:00", "Z"])}"',
            "rates": json.dumps({code: round(made.random(), 4) for code in codes}),
            "mixed": str(n) if n % 2 else f'"n/a {n}"',
        })  # fmt: skip
    order = list(range(TRAP_RECORDS))
    if seed:
        random.Random(seed).shuffle(order)
    with file.open("w", encoding="utf-8") as out:
        for place, number in enumerate(order):
            row = rows[number]
            late = ', "late": 1' if place == TRAP_RECORDS - 1 else ""
            out.write("{" + ", ".join(f'"{name}": {value}' for name, value in row.items()) + late + "}\n")


def verdicts(run: Run, shuffled: Run) -> dict[str, tuple[bool, str]]:
    """Of each trap whether it was passed, and the tool's own words."""
    kinds: dict[str, str] = run.extra["kinds"]
    error: str | None = run.extra["error"]
    found = {}
    for trap in TRAPS:
        said = kinds.get(trap.field, error or "missing")
        good = trap.field in kinds and re.search(trap.right, said) is not None
        found[trap.what] = (good, said)
    same = json.dumps(run.extra["kinds"], sort_keys=True) == json.dumps(shuffled.extra["kinds"], sort_keys=True)
    found["another order of the records gives the same types"] = (same and not error, "" if same else "differs")
    return found


def speed_file(file: Path, size: int) -> None:
    """The catalogue's sample positions again and again, each with values of its own."""
    made = random.Random(7)
    base = [json.loads(line) for line in (SAMPLES / "positions.jsonl").read_text(encoding="utf-8").splitlines()]
    with file.open("w", encoding="utf-8") as out:
        number = 0
        while out.tell() < size:
            record = dict(base[number % len(base)])
            record["position_id"] = f"P{number:09}"
            record["quantity"] = round(made.uniform(-1e6, 1e6), made.randrange(5))
            out.write(json.dumps(record) + "\n")
            number += 1


def _rounds(file: Path, rounds: int, names: list[str]) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            found[name].append(run_contender(python_contender("learn_schema", name, str(file)), []))
    return found


def speed_table(found: dict[str, list[Run]]) -> str:
    lines = ["| tool | MB/s | MB per CPU second | peak MB |", "|---|---:|---:|---:|"]
    for name, runs in found.items():
        lines.append(
            f"| {name} | {_middle(runs, lambda run: run.raw_mb_per_second)} "
            f"| {_middle(runs, lambda run: run.raw_bytes / 1e6 / run.cpu_seconds)} "
            f"| {_middle(runs, lambda run: run.peak_bytes / 1e6)} |"
        )
    return "\n".join(lines)


def _middle(runs: list[Run], of: Callable[[Run], float]) -> str:
    values = sorted(map(of, runs))
    return f"{median(values):,.1f} ({values[0]:,.1f} to {values[-1]:,.1f})"


def verdict_table(found: dict[str, dict[str, tuple[bool, str]]]) -> str:
    names = list(found)
    lines = ["| what | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for what in next(iter(found.values())):
        cells = [_cell(*found[name][what]) for name in names]
        lines.append(f"| {what} | {' | '.join(cells)} |")
    right = [f"{sum(good for good, _ in found[name].values())} of {len(found[name])}" for name in names]
    return "\n".join([*lines, f"| right | {' | '.join(right)} |"])


def _cell(good: bool, said: str) -> str:
    words = said if len(said) <= 48 else f"{said[:45]}..."
    return ("yes" if good else "**no**") + (f": {words}".replace("|", "\\|") if words else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="feedline-bench-") as folder:
        speed, straight, shuffled = (Path(folder) / name for name in ("speed.jsonl", "traps.jsonl", "shuffled.jsonl"))
        speed_file(speed, arguments.megabytes * 10**6)
        trap_file(straight, 0)
        trap_file(shuffled, 2)
        names = [name for name in CONTENDERS if "as it comes" not in name]
        measured = speed_table(_rounds(speed, arguments.rounds, names))
        one, two = _rounds(straight, 1, list(CONTENDERS)), _rounds(shuffled, 1, list(CONTENDERS))
    checked = verdict_table({name: verdicts(one[name][0], two[name][0]) for name in CONTENDERS})
    head = (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {platform.machine()}, Python {platform.python_version()}, "
        f"{arguments.megabytes} MB of positions of 8 kB, {arguments.rounds} rounds; {TRAP_RECORDS:,} records of traps."
    )
    text = f"{head}\n\n{measured}\n\n{checked}\n"
    RESULTS.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
