"""What a fault run has shown: a report in words, and one picture of records on their way with the faults marked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

IN_THE_TABLE = "in the table"


@dataclass(frozen=True, slots=True)
class Told:
    """One run's history, as its events say."""

    name: str
    events: tuple[dict[str, Any], ...]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in self.events if one["event"] == kind]

    @property
    def goal(self) -> str:
        """Where what is acknowledged arrives."""
        return str(self.events[0].get("goal", IN_THE_TABLE))

    @property
    def begun(self) -> float:
        return float(self.events[0]["at"])

    @property
    def seconds(self) -> float:
        return float(self.events[-1]["at"]) - self.begun


def read_history(name: str, folder: Path) -> Told:
    """The history of a run's folder; a line that a SIGKILL has cut is left out."""
    lines = (folder / "events.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    return Told(name, tuple(json.loads(line) for line in lines if line.endswith("}")))


def write_report(told: list[Told], out: Path) -> Path:
    """`report.md` and `timeline.png` in the folder; returns the report's path."""
    out.mkdir(parents=True, exist_ok=True)
    begun = datetime.fromtimestamp(min(one.begun for one in told), UTC)
    lines = [
        "# Faults, and what they did",
        "",
        (
            f"Begun {begun:%Y-%m-%d %H:%M} UTC. Three brokers (replication factor 3, two in-sync replicas needed), a "
            "real registry, the Snowflake stand-in; producers and loaders are processes of their own. Every record has "
            "an id that no other has; at the end source, topic, tables, ledger and error topic are compared. Runs of "
            "orders: HTTP and bulk entry, FIX gateways and the simulated engine, each a process; what was given and "
            "answered is compared with `orders.out`, and with the engine's book."
        ),
        "",
        "![What was acknowledged and what arrived, with the faults](timeline.png)",
        "",
        "| run | seed | seconds | faults fired | retries | verdict |",
        "|---|---|---|---|---|---|",
        *(_row(one) for one in told),
        "",
        "## Each run",
        "",
        *(line for one in told for line in _story(one)),
    ]
    report = (out / "report.md").resolve()
    report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    draw(told, out / "timeline.png")
    return report


def _row(one: Told) -> str:
    seed = next((e["seed"] for e in one.of("run")), "")
    verdicts = [e["verdict"] for e in one.of("verdict")]
    verdict = verdicts[-1].replace("|", "/") if verdicts else "none: the run did not end"
    faults, retries = len(one.of("fault")), len(one.of("retriable"))
    return f"| {one.name} | {seed} | {one.seconds:.0f} | {faults} | {retries} | {verdict} |"


def _story(one: Told) -> list[str]:
    told = [f"### {one.name}", ""]
    for event in one.events:
        at = f"{event['at'] - one.begun:6.1f} s"
        if event["event"] == "fault":
            proof = ", ".join(f"{k} {v}" for k, v in event.items() if k not in ("at", "event", "what"))
            told.append(f"- {at}: **{event['what']}** ({proof or 'no further proof'})")
        elif event["event"] == "retriable":
            told.append(
                f"- {at}: {event['who']} ended with {event['error']}, to be tried again: {event['message'][:160]}"
            )
        elif event["event"] == "failed":
            told.append(f"- {at}: {event['who']} failed with {event['error']}: {event['message'][:160]}")
        elif event["event"] == "verdict":
            told.append(f"- {at}: verdict: {event['verdict']}")
    return [*told, ""]


def draw(told: list[Told], file: Path) -> None:
    """A panel a run: what was acknowledged and what arrived over time, faults as vertical lines."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    # A run of half an hour has a hundred faults to name; nobody can tell them apart in a narrow picture.
    many = len(told) == 1
    size = (max(11, 0.55 * len(told[0].of("fault"))), 6) if many else (11, 2.3 * len(told) + 0.6)
    figure, panels = plt.subplots(len(told), 1, figsize=size, squeeze=False)
    for panel, one in zip(panels[:, 0], told, strict=True):
        samples = one.of("rows")
        seconds = [e["at"] - one.begun for e in samples]
        panel.plot(seconds, [e["acknowledged"] for e in samples], label="acknowledged", color="#1f5f99")
        panel.plot(seconds, [e["rows"] for e in samples], label=one.goal, color="#2e8b57")
        for fault in one.of("fault"):
            panel.axvline(fault["at"] - one.begun, color="#b03030", linewidth=0.9, linestyle="--")
        for number, fault in enumerate(one.of("fault")):
            text = fault["what"][:44]
            at = (fault["at"] - one.begun, 0.97 - 0.13 * (number % 7))
            panel.annotate(text, at, xycoords=("data", "axes fraction"), fontsize=5 if many else 6, va="top")
        panel.set_title(one.name, fontsize=9, loc="left")
        panel.set_ylabel("records" if one.goal == IN_THE_TABLE else "order events", fontsize=8)
        panel.legend(fontsize=6, loc="lower right")
        panel.tick_params(labelsize=7)
    panels[-1, 0].set_xlabel("seconds", fontsize=8)
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    plt.close(figure)
