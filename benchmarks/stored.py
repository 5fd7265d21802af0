"""What was measured, a file a comparison, written as soon as it is known; and the tables of all that is stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from benchmarks import orders_bulk, orders_end_to_end, orders_fix, orders_http, recovery
from benchmarks.measure import Run
from benchmarks.recovery import Recovery
from benchmarks.report import table

Series = Mapping[str, list[dict[str, Any]]]
# The comparisons whose tables are their own.
_OWN_TABLES: Mapping[str, Callable[[Series], str]] = {
    "recovery": lambda series: recovery.table(_made(series, Recovery)),
    "orders_http": lambda series: orders_http.table(_made(series, orders_http.Load)),
    "orders_bulk": lambda series: orders_bulk.table(_firsts(series, orders_bulk.Passed)),
    "orders_fix": lambda series: orders_fix.table(_made(series, orders_fix.Answered)),
    "orders_end_to_end": lambda series: orders_end_to_end.table(
        {name: orders_end_to_end.Flow(**some[0]) for name, some in series.items()}
    ),
}
T = TypeVar("T")


def _made(series: Series, kind: Callable[..., T]) -> dict[str, list[T]]:
    return {name: [kind(**one) for one in some] for name, some in series.items()}


def _firsts(series: Series, kind: Callable[..., T]) -> list[T]:
    return [some[0] for some in _made(series, kind).values()]


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
    funds: int
    load: tuple[float, float]
    series: Mapping[str, list[dict[str, Any]]]

    def text(self) -> str:
        """Its table, with when and on what it was measured."""
        own = _OWN_TABLES.get(self.name)
        if own is not None:
            made = own(self.series)
        else:
            runs = {name: [Run(**one) for one in some] for name, some in self.series.items()}
            made = table(self.title, runs, self.ours)
        rounds = max(len(some) for some in self.series.values())
        busy = "" if max(self.load) < 0 else f", load average {self.load[0]:.1f} before, {self.load[1]:.1f} after"
        funds = f", {self.funds} funds" if self.funds else ""
        return f"{made}\n{self.at} UTC, {self.machine}, {rounds} run{'' if rounds == 1 else 's'}{funds}{busy}.\n"


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
