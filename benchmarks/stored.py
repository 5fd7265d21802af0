"""What was measured, a file a comparison, written as soon as it is known; and the tables of all that is stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import orders_end_to_end, recovery
from benchmarks.measure import Run
from benchmarks.recovery import Recovery
from benchmarks.report import table

RESULTS = Path(__file__).parent / "results"
TABLES = "results.md"


@dataclass(frozen=True, slots=True)
class Measured:
    """One comparison. load: the machine's load average (1 minute) before it and after it; series: the raw figures of
    every round by contender."""

    name: str
    title: str
    ours: str
    at: str
    machine: str
    runs: int
    funds: int
    load: tuple[float, float]
    series: Mapping[str, list[dict[str, Any]]]

    def text(self) -> str:
        """Its table, with when and on what it was measured."""
        if self.name == "recovery":
            made = recovery.table({name: [Recovery(**one) for one in some] for name, some in self.series.items()})
        elif self.name == "orders_end_to_end":
            made = orders_end_to_end.table([orders_end_to_end.Flow(**some[0]) for some in self.series.values()])
        else:
            runs = {name: [Run(**one) for one in some] for name, some in self.series.items()}
            made = table(self.title, runs, self.ours)
        busy = "" if max(self.load) < 0 else f", load average {self.load[0]:.1f} before, {self.load[1]:.1f} after"
        funds = f", {self.funds} funds" if self.funds else ""
        return f"{made}\n{self.at} UTC, {self.machine}, {self.runs} runs{funds}{busy}.\n"


def store(measured: Measured, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{measured.name}.json").write_text(json.dumps(asdict(measured), indent=1), encoding="utf-8")


def stored(name: str, folder: Path) -> Measured | None:
    file = folder / f"{name}.json"
    return Measured(**json.loads(file.read_text(encoding="utf-8"))) if file.exists() else None


def write_tables(names: list[str], folder: Path) -> str:
    """The tables of what is stored, in this order, as one Markdown file; returns its text."""
    found = [measured.text() for name in names if (measured := stored(name, folder))]
    text = "# Benchmarks\n\n" + "\n".join(found)
    (folder / TABLES).write_text(text, encoding="utf-8")
    return text
