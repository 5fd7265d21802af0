"""Waiting, without a worker, for anything new of a feed during its day."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from feedline_airflow.off_loop import imported


class IntradayTrigger(BaseTrigger):
    """Waits until a small delivery has landed that is not among the `known` ones, or a message of the feed lies at or
    after `positions` on its topic, or it is `until` (ISO 8601 with zone).

    Fires `{"status": "arrived", "what": …}`, `{"status": "nothing"}`, or `{"status": "refused", "reason": …}` when
    waiting longer cannot help. All triggers of a topic share one client, which joins no group and commits nothing, so
    a trigger may run twice; the client is closed when the last of them ends or is cancelled.

    known: fingerprints of control files; positions: next offset by partition, whose numbers JSON makes text.
    """

    def __init__(
        self,
        *,
        landing: str,
        topic: str,
        feed: str,
        business_date: str,
        known: list[str],
        positions: Mapping[str, int],
        until: str,
        poll_s: float,
    ) -> None:
        super().__init__()
        self.arguments = {
            "landing": landing,
            "topic": topic,
            "feed": feed,
            "business_date": business_date,
            "known": list(known),
            "positions": dict(positions),
            "until": until,
            "poll_s": poll_s,
        }

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{type(self).__module__}.{type(self).__qualname__}", self.arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        errors = await imported("feedline.errors")
        left = (datetime.fromisoformat(self.arguments["until"]) - datetime.now(UTC)).total_seconds()
        waits = [asyncio.create_task(self._files()), asyncio.create_task(self._records())]
        try:
            done, _ = await asyncio.wait(waits, timeout=max(left, 0), return_when=asyncio.FIRST_COMPLETED)
            event = {"status": "arrived", "what": done.pop().result()} if done else {"status": "nothing"}
        except errors.FeedlineError as error:
            event = {"status": "refused", "reason": str(error)}
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        yield TriggerEvent(event)

    async def _files(self) -> str:
        files = await imported("feedline.producer.intraday_files")
        day = date.fromisoformat(self.arguments["business_date"])
        while True:
            # The folder may be on a file server: looking must not hold up the triggerer's other waits.
            landed = await asyncio.to_thread(
                files.landed_deliveries, Path(self.arguments["landing"]), self.arguments["feed"], day
            )
            new = files.unknown_of(landed, self.arguments["known"])
            if new:
                return f"{new[0].control.name} has landed"
            await asyncio.sleep(self.arguments["poll_s"])

    async def _records(self) -> str:
        watch_topic = (await imported("feedline.consumer.topic_watch")).watch_topic
        hook = (await imported("feedline_airflow.kafka_hook")).FeedlineKafkaHook
        # A connection may come from the API server or a vault: reading it blocks.
        kafka = await asyncio.to_thread(lambda: hook().get_conn)
        positions = {int(partition): offset for partition, offset in self.arguments["positions"].items()}
        async with watch_topic(
            kafka, self.arguments["topic"], feeds=[self.arguments["feed"]], positions=positions
        ) as arrivals:
            found = await arrivals.next()
        return f"records of {found.delivery_id} are on partition {found.partition} at offset {found.offset}"
