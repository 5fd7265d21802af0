"""A feed's stages held against its promises: pure, the time is given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from feedline.catalog import Feed, Stage

NONE = timedelta()


@dataclass(frozen=True, slots=True)
class StageTimes:
    """When a feed first reached each stage of a business date, with zone; None: not yet, as far as is known.

    unsure: why it is not known whether it was loaded; empty when it is known.
    """

    arrived: datetime | None = None
    loaded: datetime | None = None
    validated: datetime | None = None
    unsure: str = ""

    def reached(self, stage: Stage) -> datetime | None:
        """A stage that nobody recorded was reached when a later one was, at the latest."""
        known = {Stage.ARRIVED: self.arrived, Stage.LOADED: self.loaded, Stage.VALIDATED: self.validated}
        stages = list(Stage)
        from_here = stages[stages.index(stage) :]
        return next((at for later in from_here if (at := known[later]) is not None), None)


class Standing(StrEnum):
    """MISSING is late without an end yet; PENDING may still be in time; UNPROMISED has no time in the catalogue."""

    ON_TIME = "on time"
    LATE = "late"
    MISSING = "missing"
    PENDING = "pending"
    UNPROMISED = "-"


@dataclass(frozen=True, slots=True)
class StageVerdict:
    """One stage of one feed and business date. late: how long after `due` it was reached, or by now has not been."""

    feed: str
    business_date: date
    stage: Stage
    standing: Standing
    due: datetime | None
    reached: datetime | None
    late: timedelta = NONE

    @property
    def in_time(self) -> bool:
        return self.standing not in (Standing.LATE, Standing.MISSING)


def evaluate(feed: Feed, business_date: date, times: StageTimes, now: datetime) -> tuple[StageVerdict, ...]:
    """A verdict on every stage, in order, each by the catalogue's own time for it."""
    return tuple(_verdict(feed, business_date, stage, times.reached(stage), now) for stage in Stage)


def _verdict(feed: Feed, business_date: date, stage: Stage, reached: datetime | None, now: datetime) -> StageVerdict:
    due = feed.sla.due(stage, business_date)
    late = NONE
    if due is None:
        standing = Standing.UNPROMISED
    elif reached is None:
        standing = Standing.MISSING if now > due else Standing.PENDING
        late = max(now - due, NONE)
    else:
        standing = Standing.LATE if reached > due else Standing.ON_TIME
        late = max(reached - due, NONE)
    return StageVerdict(feed.name, business_date, stage, standing, due, reached, late)


def breaches(
    feed: Feed, business_date: date, times: StageTimes, now: datetime, *, heard_within: timedelta
) -> Iterator[StageVerdict]:
    """The stages that somebody has to hear of.

    A stage that is missing hides those after it, and one that was reached late gives those after it as much more time:
    loading a file that came an hour late may take until an hour after `loaded_by`. So one late file is one alert, and
    a load that then hangs is another. What was due more than `heard_within` ago is history, not news: a date that is
    filled in afterwards breaks no promise that anybody still waits for.
    """
    delay = NONE
    for verdict in evaluate(feed, business_date, times, now):
        if verdict.due is None:
            continue
        deadline = verdict.due + delay
        if (verdict.reached or now) > deadline and now - deadline <= heard_within:
            yield verdict
        if verdict.reached is None:
            return
        delay = verdict.late
