"""By when a feed's deliveries have to be where: clock times where the exchange is."""

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
class IntradaySla:
    """What comes during the day is in the tables `within` of its arrival.

    That holds for what arrives on the business date until it `ends`; what arrived before it `begins` counts from then
    on. Later arrivals are the end of day's, and those on other days a backfill's: they promise nothing.
    """

    within: timedelta
    begins: ExchangeTime
    ends: ExchangeTime

    def __post_init__(self) -> None:
        if not timedelta() < self.within <= timedelta(days=1):
            raise ConfigurationError("sla.intraday.within_minutes: use more than 0 and no more than a day")
        if not self.begins < self.ends:
            raise ConfigurationError("sla.intraday: from must be before until")

    def counts_from(self, business_date: date) -> datetime:
        """After which instant an arrival is promised anything, in UTC."""
        # A day's first files come in the night before, when it is still the last day's evening in New York.
        return self.begins.on(business_date) - timedelta(days=1)

    def due(self, business_date: date, arrived: datetime) -> datetime | None:
        """By when what arrived then has to be loaded, in UTC, or None when nothing is promised of it."""
        begins, ends = self.begins.on(business_date), self.ends.on(business_date)
        if not self.counts_from(business_date) < arrived <= ends:
            return None
        return max(arrived, begins).astimezone(UTC) + self.within


@dataclass(frozen=True, slots=True)
class Sla:
    """What a feed promises for a business date; a stage without a time promises nothing.

    arrived_by: the control file and every file it names are in the landing folder; loaded_by: every micro-batch is in
    the tables; validated_by: every check passed. fresh_within_hours: how long after it was produced a delivery may be
    loaded and still pass the validation of its scheduled run, or None for any time. intraday: of what comes before the
    end of day.
    """

    arrived_by: ExchangeTime | None = None
    loaded_by: ExchangeTime | None = None
    validated_by: ExchangeTime | None = None
    fresh_within_hours: float | None = None
    intraday: IntradaySla | None = None

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
    intraday = settings.pop("intraday", None)
    if settings:
        raise ConfigurationError(f"sla has no entry {', '.join(map(repr, settings))}")
    if limit is not None and not _is_number(limit):
        raise ConfigurationError(f"sla.fresh_within_hours is {limit!r}: write a number of hours")
    return Sla(**times, fresh_within_hours=limit, intraday=None if intraday is None else _intraday(intraday))


def _intraday(entry: Any) -> IntradaySla:
    if not isinstance(entry, Mapping) or set(entry) != {"within_minutes", "from", "until"}:
        raise ConfigurationError(f"sla.intraday is {entry!r}: write within_minutes, from and until in braces")
    if not _is_number(entry["within_minutes"]):
        raise ConfigurationError(f"sla.intraday.within_minutes is {entry['within_minutes']!r}: write a number")
    within = timedelta(minutes=entry["within_minutes"])
    return IntradaySla(within, ExchangeTime.parse(entry["from"]), ExchangeTime.parse(entry["until"]))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
