"""By when a feed's delivery has to be where: clock times where the exchange is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from feedline.errors import ConfigurationError

EXCHANGE_TIMEZONE = "America/New_York"

_CLOCK = re.compile(r"(?:\+(?P<days>[1-9]) )?(?P<hour>[01]\d|2[0-3]):(?P<minute>[0-5]\d)\Z")


class Stage(StrEnum):
    """How far a delivery has come, in this order."""

    ARRIVED = "arrived"
    LOADED = "loaded"
    VALIDATED = "validated"


@dataclass(frozen=True, slots=True, order=True)
class ExchangeTime:
    """A clock time in New York, `days` after the business date: `18:00`, or `+1 02:00` for the morning after."""

    days: int
    clock: time

    @classmethod
    def parse(cls, text: object) -> ExchangeTime:
        """Raises ConfigurationError. YAML reads an unquoted 18:00 as the number 1080, which is refused, not guessed."""
        match = _CLOCK.match(text) if isinstance(text, str) else None
        if match is None:
            raise ConfigurationError(f'{text!r} is no clock time: write "18:00", or "+1 02:00" for the day after')
        return cls(int(match["days"] or 0), time(int(match["hour"]), int(match["minute"])))

    def on(self, business_date: date) -> datetime:
        """The instant of it for a business date, in UTC.

        Where a clock shows a time twice, the first; a time that it skips is counted with the offset of before, so
        02:30 of the night in which clocks go forward is 03:30.
        """
        local = datetime.combine(business_date + timedelta(days=self.days), self.clock, ZoneInfo(EXCHANGE_TIMEZONE))
        return local.astimezone(UTC)

    def __str__(self) -> str:
        return f"+{self.days} {self.clock:%H:%M}" if self.days else f"{self.clock:%H:%M}"


@dataclass(frozen=True, slots=True)
class Sla:
    """What a feed promises for a business date; a stage without a time promises nothing.

    arrived_by: the control file and every file it names are in the landing folder; loaded_by: every micro-batch is in
    the tables; validated_by: every check passed. fresh_within_hours: how long after it was produced a delivery may be
    loaded and still pass the validation of its scheduled run, or None for any time.
    """

    arrived_by: ExchangeTime | None = None
    loaded_by: ExchangeTime | None = None
    validated_by: ExchangeTime | None = None
    fresh_within_hours: float | None = None

    def __post_init__(self) -> None:
        times = [when for when in (self.arrived_by, self.loaded_by, self.validated_by) if when is not None]
        if times != sorted(times):
            raise ConfigurationError("sla: arrived_by, loaded_by and validated_by must follow one another")
        if self.fresh_within_hours is not None and not self.fresh_within_hours > 0:
            raise ConfigurationError(f"sla.fresh_within_hours is {self.fresh_within_hours}: use more than 0")

    @property
    def fresh_within(self) -> timedelta | None:
        return None if self.fresh_within_hours is None else timedelta(hours=self.fresh_within_hours)

    def due(self, stage: Stage, business_date: date) -> datetime | None:
        """The instant by which the stage has to be reached, in UTC, or None when nothing is promised."""
        when = {Stage.ARRIVED: self.arrived_by, Stage.LOADED: self.loaded_by, Stage.VALIDATED: self.validated_by}[stage]
        return None if when is None else when.on(business_date)

    def last_due(self, business_date: date) -> datetime | None:
        """The last instant by which any stage is due."""
        dues = [due for stage in Stage if (due := self.due(stage, business_date)) is not None]
        return max(dues, default=None)


def sla_of(entry: Mapping[str, Any]) -> Sla:
    """The `sla` of a feed's catalogue entry; raises ConfigurationError naming what is wrong with it."""
    if not isinstance(entry, Mapping):
        raise ConfigurationError(f"sla is {entry!r}: write arrived_by, loaded_by, validated_by in braces")
    settings = dict(entry)
    times = {
        name: ExchangeTime.parse(settings.pop(name))
        for name in ("arrived_by", "loaded_by", "validated_by")
        if name in settings
    }
    limit = settings.pop("fresh_within_hours", None)
    if settings:
        raise ConfigurationError(f"sla has no entry {', '.join(map(repr, settings))}")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int | float)):
        raise ConfigurationError(f"sla.fresh_within_hours is {limit!r}: write a number of hours")
    return Sla(**times, fresh_within_hours=limit)
