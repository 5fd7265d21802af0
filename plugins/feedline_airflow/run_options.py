"""What one run of a feed Dag is about, from its form or its logical date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

EXCHANGE_TIMEZONE = "America/New_York"


@dataclass(frozen=True, slots=True)
class RunOptions:
    """`feeds` are names of the catalogue; with `dry_run` nothing is produced, loaded or published."""

    business_date: date
    feeds: tuple[str, ...]
    dry_run: bool


def run_options(context: Mapping[str, Any]) -> RunOptions:
    """The options of the run that a task context belongs to; the same for every task and every retry of the run.

    Without a business date in the form it is the day of the logical date (of a run that has none: of the moment it
    was due) where the exchange is.
    """
    params, run = context["params"], context["dag_run"]
    named = params.get("business_date")
    moment: datetime = run.logical_date or run.run_after
    return RunOptions(
        business_date=date.fromisoformat(named) if named else exchange_date(moment),
        feeds=tuple(params["feeds"]),
        dry_run=params["dry_run"],
    )


def exchange_date(moment: datetime) -> date:
    """The day it is where the exchange is."""
    return moment.astimezone(ZoneInfo(EXCHANGE_TIMEZONE)).date()
