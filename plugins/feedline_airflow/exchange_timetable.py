"""Runs on the days that the exchange trades, and on no other, when scheduled and when backfilled."""

from __future__ import annotations

from datetime import datetime

from airflow.timetables.trigger import CronTriggerTimetable
from pendulum import DateTime, FixedTimezone, Timezone

# So many closed days in a row that a calendar with none open counts as broken.
MOST_CLOSED = 31


class ExchangeDayTimetable(CronTriggerTimetable):
    """A cron schedule in the exchange's time zone without the exchange's holidays.

    A holiday has no run: none waits for files that nobody sends, and a backfill over it makes none.
    """

    def _get_next(self, current: DateTime) -> DateTime:
        for _ in range(MOST_CLOSED):
            current = super()._get_next(current)
            if self._is_open(current):
                break
        return current

    def _get_prev(self, current: DateTime) -> DateTime:
        for _ in range(MOST_CLOSED):
            current = super()._get_prev(current)
            if self._is_open(current):
                break
        return current

    @property
    def timezone(self) -> Timezone | FixedTimezone:
        return self._timezone

    @property
    def summary(self) -> str:
        return f"{self._expression} on exchange days"

    def _is_open(self, moment: datetime) -> bool:
        from feedline.catalog.business_days import is_business_day

        return is_business_day(moment.astimezone(self._timezone).date())
