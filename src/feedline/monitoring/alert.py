"""What somebody is told: that a feed is late, or that it has recovered."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from feedline.catalog import EXCHANGE_TIMEZONE, Stage
from feedline.monitoring.sla import StageVerdict

# A cycle as a whole is watched too, under the name of its Dag where a feed's stands otherwise.
CYCLE_STAGE = "cycle"
CYCLE_FEED = "ihub_eod"
# What came during the day and is not loaded in time: one alert until nothing is late any more, then another one.
INTRADAY_STAGE = "intraday"

# Begins the detail of an alert that was made without the topic's answer.
UNSURE = "the topic does not answer"

_NAMESPACE = uuid.UUID("5f0f6c2e-7c1b-5d6a-9a3e-2f6d3f0a7b11")
_NOT_DONE = {
    Stage.ARRIVED: "has not arrived",
    Stage.LOADED: "is not loaded",
    Stage.VALIDATED: "is not validated",
    CYCLE_STAGE: "is not finished",
    INTRADAY_STAGE: "has intraday data that is not loaded",
}
_NOT_KNOWN = {
    Stage.LOADED: "is not known to be loaded",
    INTRADAY_STAGE: "has intraday data that is not known to be loaded",
}
_DONE = {
    Stage.ARRIVED: "arrived",
    Stage.LOADED: "was loaded",
    Stage.VALIDATED: "was validated",
    CYCLE_STAGE: "finished",
    INTRADAY_STAGE: "had its intraday data loaded",
}


class AlertKind(StrEnum):
    LATE = "late"
    RECOVERED = "recovered"


@dataclass(frozen=True, slots=True)
class Alert:
    """One message. due, reached: instants with zone; reached is None while the stage is missing.

    late: by how much, so far when it is missing. link: the run, or the Dag, to look at. detail: what else to know.
    """

    kind: AlertKind
    feed: str
    business_date: date
    stage: str
    due: datetime
    reached: datetime | None
    late: timedelta
    link: str | None = None
    detail: str = ""

    @property
    def alert_id(self) -> str:
        """The same for the same kind, feed, date and stage (and, intraday, due time), so that whoever gets it twice can
        tell."""
        name = f"{self.kind}/{self.feed}/{self.business_date}/{self.stage}"
        if self.stage == INTRADAY_STAGE:
            name += f"/{self.due.astimezone(UTC).isoformat()}"
        return str(uuid.uuid5(_NAMESPACE, name))

    @property
    def unsure(self) -> bool:
        """Whether the stage is not known to be missing: files and tables could not tell, and the topic did not."""
        return self.detail.startswith(UNSURE)

    @property
    def subject(self) -> str:
        """One sentence with feed, date, stage and lateness."""
        lateness, due = minutes(self.late), exchange_clock(self.due, self.business_date)
        if self.reached is None:
            missing = (_NOT_KNOWN if self.unsure else _NOT_DONE)[self.stage]
            told = f"{missing}: it was due at {due}, {lateness} ago"
        else:
            reached = exchange_clock(self.reached, self.business_date)
            how = f"{lateness} late" if self.reached > self.due else "in time"
            told = f"{_DONE[self.stage]} {how}, at {reached} (due {due})"
        recovered = "recovered: " if self.kind is AlertKind.RECOVERED else ""
        return f"{recovered}{self.feed} of {self.business_date} {told}"

    @property
    def text(self) -> str:
        """The whole message."""
        return "\n".join(part for part in (self.subject, self.detail, self.link) if part)

    def to_dict(self) -> dict[str, Any]:
        """As JSON: what a webhook gets."""
        return {
            "alertId": self.alert_id,
            "kind": self.kind.value,
            "feed": self.feed,
            "businessDate": self.business_date.isoformat(),
            "stage": str(self.stage),
            "due": self.due.isoformat(),
            "reached": self.reached.isoformat() if self.reached else None,
            "lateSeconds": int(self.late.total_seconds()),
            "link": self.link,
            "detail": self.detail,
            "text": self.subject,
        }

    def recovery(self, reached: datetime, link: str | None) -> Alert:
        """The message that ends this one."""
        late = max(reached - self.due, timedelta())
        return replace(self, kind=AlertKind.RECOVERED, reached=reached, late=late, link=link, detail="")


def unsure_detail(reason: str) -> str:
    """The detail of an alert about what only the topic could have told."""
    return f"{UNSURE}, and files and tables alone cannot tell: {reason}"


def late_alert(verdict: StageVerdict, link: str | None, detail: str = "") -> Alert:
    """The alert for a stage that is missing, or was reached late before anybody looked."""
    assert verdict.due is not None, "a stage without a promise cannot break it"
    return Alert(
        AlertKind.LATE,
        verdict.feed,
        verdict.business_date,
        verdict.stage,
        verdict.due,
        verdict.reached,
        verdict.late,
        link,
        detail,
    )


def exchange_clock(moment: datetime, business_date: date) -> str:
    """`18:12 EST`, or `2026-11-21 02:10 EST` when that is not on the business date."""
    local = moment.astimezone(ZoneInfo(EXCHANGE_TIMEZONE))
    return local.strftime("%H:%M %Z" if local.date() == business_date else "%Y-%m-%d %H:%M %Z")


def minutes(late: timedelta) -> str:
    """`less than a minute`, `12 min`, `3 h 05 min`, `2 d 3 h`."""
    total = int(late.total_seconds() // 60)
    if total < 1:
        return "less than a minute"
    days, rest = divmod(total, 24 * 60)
    hours, left = divmod(rest, 60)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {left:02} min" if hours else f"{left} min"
