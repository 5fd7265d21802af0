"""Live progress of a Dag run: a row for each feed, a column for each step; a line for each finished feed where there is
no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table

from feedline.cli.output import say
from feedline.local.airflow_api import FINISHED, AirflowApi, TaskState

POLL_S = 1.0
ENDED = frozenset({"success", "skipped", "failed", "upstream_failed", "removed"})
STEPS = ("wait_for_files", "produce", "wait_for_delivery", "plan_ranges", "load", "validate", "publish")
# What a state is called here and its colour; of the instances of a mapped task the first of these counts.
WORDS: Mapping[str, tuple[str, str]] = {
    "failed": ("failed", "bold red"),
    "upstream_failed": ("not run", "red"),
    "running": ("running", "yellow"),
    "up_for_retry": ("will retry", "magenta"),
    "deferred": ("waiting", "cyan"),
    "queued": ("queued", "white"),
    "scheduled": ("queued", "white"),
    "success": ("done", "green"),
    "skipped": ("skipped", "white"),
}

Steps = Mapping[str, list[TaskState]]
Show = Callable[[Mapping[str, Steps]], None]


def follow_run(api: AirflowApi, dag: str, run: str) -> tuple[str, dict[str, dict[str, list[TaskState]]]]:
    """Shows a run until it ends; its state, and its task instances as `by_group` orders them."""
    with _display(dag) as show:
        while True:
            # The state is read first, so that the tasks shown last are those of the end.
            state = api.run_state(dag, run)
            groups = by_group(api.tasks(dag, run))
            show(groups)
            if state in FINISHED:
                return state, groups
            time.sleep(POLL_S)


def by_group(tasks: Iterable[TaskState]) -> dict[str, dict[str, list[TaskState]]]:
    """Task instances by task group (a feed; empty for a task outside one), and within it by task."""
    groups: dict[str, dict[str, list[TaskState]]] = {}
    for task in tasks:
        group, _, name = task.task_id.rpartition(".")
        groups.setdefault(group, {}).setdefault(name, []).append(task)
    return groups


def feed_seconds(steps: Steps) -> float | None:
    """Seconds from the first start to the last end of a feed's tasks; None before all that started have ended."""
    started = [task for instances in steps.values() for task in instances if task.started]
    starts = [task.started for task in started if task.started]
    ends = [task.ended for task in started if task.ended]
    return (max(ends) - min(starts)).total_seconds() if starts and len(ends) == len(starts) else None


@contextmanager
def _display(dag: str) -> Iterator[Show]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines()
        return
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        yield lambda groups: live.update(_table(dag, groups))


def _lines() -> Show:
    told: set[str] = set()

    def show(groups: Mapping[str, Steps]) -> None:
        for group, steps in groups.items():
            instances = [task for tasks in steps.values() for task in tasks]
            if group and group not in told and all(task.state in ENDED for task in instances):
                told.add(group)
                seconds = feed_seconds(steps)
                say(f"{group}: {_word(instances)[0]}" + (f" after {seconds:.0f} s" if seconds is not None else ""))

    return show


def _table(dag: str, groups: Mapping[str, Steps]) -> Table:
    feeds = [group for group in groups if group]
    names = (
        [step for step in STEPS if any(step in groups[feed] for feed in feeds)] if feeds else list(groups.get("", {}))
    )
    table = Table(title=dag, title_justify="left", box=None, pad_edge=False, header_style="bold")
    table.add_column("feed" if feeds else "")
    for name in names:
        table.add_column(name.replace("_", " "))
    for group in feeds or [""]:
        table.add_row(group, *(_cell(groups.get(group, {}).get(name, [])) for name in names))
    return table


def _cell(instances: list[TaskState]) -> str:
    word, style = _word(instances)
    done = sum(task.state == "success" for task in instances)
    count = f" {done}/{len(instances)}" if len(instances) > 1 else ""
    return f"[{style}]{word}{count}[/{style}]"


def _word(instances: Iterable[TaskState]) -> tuple[str, str]:
    states = {task.state for task in instances}
    return next((words for state, words in WORDS.items() if state in states), ("", "white"))
