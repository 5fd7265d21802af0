"""The table of a benchmark: each figure as median with its spread, each contender as a ratio to ours, run by run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from benchmarks.measure import Run

Figure = Callable[[Run], float]

FIGURES: Mapping[str, tuple[str, Figure]] = {
    "records/s": ("{:,.0f}", lambda run: run.records_per_second),
    "raw MB/s": ("{:,.1f}", lambda run: run.raw_mb_per_second),
    "CPU s / 100k records": ("{:,.2f}", lambda run: run.cpu_per_100k),
    "services' CPU s / 100k": ("{:,.2f}", lambda run: run.service_cpu_seconds * 100_000 / run.records),
    "peak MB": ("{:,.0f}", lambda run: run.peak_bytes / 1e6),
}
MESSAGE_FIGURES: Mapping[str, tuple[str, Figure]] = {
    "messages/s": ("{:,.0f}", lambda run: run.extra["messages"] / run.seconds),
}
WIRE_FIGURES: Mapping[str, tuple[str, Figure]] = {
    "wire MB / 100k": ("{:,.0f}", lambda run: run.extra["wire_bytes"] / 1e6 * 100_000 / run.records),
    "partition skew": ("{:.1%}", lambda run: run.extra["skew"]),
}


def spread(values: Sequence[float], pattern: str) -> str:
    """Median (lowest to highest); of one value only that."""
    low, middle, high = (pattern.format(value) for value in (min(values), median(values), max(values)))
    return f"{middle} ({low} to {high})" if len(values) > 1 else middle


def table(title: str, runs: Mapping[str, Sequence[Run]], ours: str) -> str:
    """A Markdown table; ratios compare the runs of one round, so that a machine whose speed drifts does not show."""
    every = [run for series in runs.values() for run in series]
    figures = (MESSAGE_FIGURES if all("messages" in run.extra for run in every) else {}) | FIGURES
    if any("wire_bytes" in run.extra for run in every):
        figures |= WIRE_FIGURES
    header = ["contender", *figures, "ours: times the records/s", "ours: times the records per CPU second"]
    lines = [f"### {title}", "", "| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    for name, series in runs.items():
        cells = [
            spread([figure(run) for run in series], pattern) if label not in WIRE_FIGURES or _measured(series) else ""
            for label, (pattern, figure) in figures.items()
        ]
        pairs = list(zip(runs[ours], series, strict=True))
        speed = spread([a.records_per_second / b.records_per_second for a, b in pairs], "{:.2f}")
        work = spread([b.cpu_per_100k / a.cpu_per_100k for a, b in pairs], "{:.2f}")
        cells += ["1", "1"] if name == ours else [speed, work]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _measured(series: Sequence[Run]) -> bool:
    return all("wire_bytes" in run.extra for run in series)


def raw(runs: Mapping[str, Sequence[Run]]) -> dict[str, list[dict[str, Any]]]:
    return {name: [asdict(run) for run in series] for name, series in runs.items()}
