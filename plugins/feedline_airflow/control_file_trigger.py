"""Waiting for a feed's files without a worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from feedline_airflow.off_loop import imported


class ControlFileTrigger(BaseTrigger):
    """Looks into the landing folder every `poll_s` seconds until the control file and the files it names are there,
    or into the archive when the landing folder has none of the date.

    Fires `{"status": "landed", "files": …, "records": …, "bytes": …}`, or `{"status": "refused", "reason": …}` when
    the control file cannot be used. It only reads, so running it twice is harmless.
    """

    def __init__(
        self, *, landing: str, feed: str, business_date: str, poll_s: float, archive: str | None = None
    ) -> None:
        super().__init__()
        self.landing = landing
        self.feed = feed
        self.business_date = business_date
        self.poll_s = poll_s
        self.archive = archive

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "landing": self.landing,
                "feed": self.feed,
                "business_date": self.business_date,
                "poll_s": self.poll_s,
                "archive": self.archive,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        errors = await imported("feedline.errors")
        look = (await imported("feedline_airflow.landing")).look
        waited_for = ""
        while True:
            try:
                # The folder may be on a file server: looking must not hold up the triggerer's other waits.
                landing = await asyncio.to_thread(
                    look,
                    Path(self.landing),
                    self.feed,
                    date.fromisoformat(self.business_date),
                    Path(self.archive) if self.archive else None,
                )
            except errors.TerminalError as error:
                yield TriggerEvent({"status": "refused", "reason": str(error)})
                return
            if not landing.missing:
                yield TriggerEvent(
                    {"status": "landed", "files": landing.files, "records": landing.records, "bytes": landing.bytes}
                )
                return
            if landing.missing != waited_for:
                waited_for = landing.missing
                self.log.info("Waiting for the files of %s: %s", self.feed, waited_for)
            await asyncio.sleep(self.poll_s)
