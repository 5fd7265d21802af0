"""The step that waits for anything new of a feed during its day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from feedline_airflow.intraday_trigger import IntradayTrigger

# Between what the trigger does by itself at the end of its wait and Airflow's own limit.
GRACE = timedelta(minutes=5)


class WaitForIntraday(BaseSensorOperator):
    """Goes on when a small delivery has landed that is not on the topic, the topic has intraday messages of the feed
    that are not loaded, or a delivery was closed and not validated since; else the triggerer waits for one of the
    first two, as long as the run's form says.

    The feed is skipped in this run when nothing came.
    """

    def __init__(self, *, feed: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.feed = feed

    def execute(self, context: Any) -> None:
        from feedline_airflow.intraday_steps import intraday_options, look

        options = intraday_options(context)
        for business_date in options.business_dates:
            seen = look(self.feed, business_date)
            if seen.news:
                self.log.info("%s: %s", self.feed, seen.news)
                return
        if not options.wait:
            days = ", ".join(map(str, options.business_dates))
            raise AirflowSkipException(f"nothing new of {self.feed} for {days}")
        self.log.info("Nothing new of %s for %s yet: waiting %s", self.feed, business_date, options.wait)
        self.defer(
            trigger=IntradayTrigger(
                landing=seen.landing,
                topic=seen.topic,
                feed=self.feed,
                business_date=business_date.isoformat(),
                known=list(seen.known),
                positions={str(partition): offset for partition, offset in seen.positions.items()},
                until=(datetime.now(UTC) + options.wait).isoformat(),
                poll_s=self.poke_interval,
            ),
            method_name=self.resume.__name__,
            timeout=options.wait + GRACE,
        )

    def resume(self, context: Any, event: dict[str, Any]) -> None:  # noqa: ARG002
        if event["status"] == "refused":
            raise AirflowFailException(event["reason"])
        if event["status"] == "nothing":
            raise AirflowSkipException(f"nothing new of {self.feed} came")
        self.log.info("%s: %s", self.feed, event["what"])
