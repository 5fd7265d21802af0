"""A Kafka topic as an asset: new intraday messages start a run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from feedline_airflow.off_loop import imported


class IntradayTopicTrigger(BaseEventTrigger):
    """Fires again and again while intraday messages arrive on a topic, once for what comes within `gather_s` seconds:
    `{"business_date": …, "feeds": [names]}`, one event a date.

    It begins `LOOK_BACK` before it was started, so that a restart of the triggerer misses nothing; an event too many
    starts a pass that finds nothing to do. It joins no group and commits nothing, and shares its client with the
    triggers that wait on the topic.
    """

    LOOK_BACK = timedelta(minutes=5)

    def __init__(self, *, topic: str, feeds: list[str], gather_s: float = 10.0) -> None:
        super().__init__()
        self.topic = topic
        self.feeds = list(feeds)
        self.gather_s = gather_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {"topic": self.topic, "feeds": self.feeds, "gather_s": self.gather_s},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        watch_topic = (await imported("feedline.consumer.topic_watch")).watch_topic
        offsets_at = (await imported("feedline.kafka.admin")).offsets_at
        hook = (await imported("feedline_airflow.kafka_hook")).FeedlineKafkaHook
        kafka = await asyncio.to_thread(lambda: hook().get_conn)
        since = datetime.now(UTC) - self.LOOK_BACK
        positions = await asyncio.to_thread(offsets_at, kafka, self.topic, since)
        async with watch_topic(kafka, self.topic, feeds=self.feeds, positions=positions) as arrivals:
            while True:
                found: dict[str, set[str]] = {}
                first = await arrivals.next()
                found.setdefault(first.business_date, set()).add(first.feed)
                await asyncio.sleep(self.gather_s)
                for arrival in arrivals.waiting():
                    found.setdefault(arrival.business_date, set()).add(arrival.feed)
                for day, feeds in sorted(found.items()):
                    yield TriggerEvent({"business_date": day, "feeds": sorted(feeds)})
