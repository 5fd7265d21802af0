"""A cycle as a whole: is it done, and what is it waiting for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime

from feedline.monitoring.alert import CYCLE_FEED, CYCLE_STAGE, Alert, AlertKind
from feedline.monitoring.sla import StageTimes


def cycle_alert(
    business_date: date, due: datetime, times: Mapping[str, StageTimes], now: datetime, link: str | None
) -> Alert | None:
    """The alert for a cycle that is not done by its deadline, naming the feeds it waits for; None when all are done."""
    waiting = [feed for feed, of_feed in times.items() if of_feed.validated is None]
    if not waiting or now <= due:
        return None
    detail = f"not validated: {', '.join(waiting)}"
    return Alert(AlertKind.LATE, CYCLE_FEED, business_date, CYCLE_STAGE, due, None, now - due, link, detail)


def missed_cycle_alert(
    business_date: date, due: datetime, times: Mapping[str, StageTimes], now: datetime, link: str | None
) -> Alert | None:
    """As `cycle_alert`, for a scheduled run that was never started; None also when others have done its work."""
    alert = cycle_alert(business_date, due, times, now, link)
    return alert and replace(alert, detail=f"its scheduled run was never started; {alert.detail}")


def cycle_done(times: Mapping[str, StageTimes]) -> datetime | None:
    """When the last feed was validated, or None while one is not."""
    ended = [of_feed.validated for of_feed in times.values()]
    return max((at for at in ended if at is not None), default=None) if all(ended) else None
