"""Waiting for a delivery on its topic without a worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from feedline_airflow.off_loop import imported


class ManifestTrigger(BaseTrigger):
    """Follows the partition of a topic that holds the manifests until that of `delivery_id` is there;
    `since` (ISO 8601 with zone) is from when on to look.

    Fires `{"status": "delivered", "delivery_id": …, "records": …, "batches": …}`, or
    `{"status": "refused", "reason": …}` when waiting longer cannot help. It assigns that one partition, joins no
    group and commits nothing, so it can run twice; its client is closed when the wait ends or is cancelled.
    """

    def __init__(self, *, topic: str, feed: str, business_date: str, delivery_id: str, since: str) -> None:
        super().__init__()
        self.topic = topic
        self.feed = feed
        self.business_date = business_date
        self.delivery_id = delivery_id
        self.since = since

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "topic": self.topic,
                "feed": self.feed,
                "business_date": self.business_date,
                "delivery_id": self.delivery_id,
                "since": self.since,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        errors = await imported("feedline.errors")
        await_manifest = (await imported("feedline.consumer.manifests")).await_manifest
        hook = (await imported("feedline_airflow.kafka_hook")).FeedlineKafkaHook
        # A connection may come from the API server or a vault: reading it blocks.
        kafka = await asyncio.to_thread(lambda: hook().get_conn)
        try:
            manifest = await await_manifest(
                kafka,
                self.topic,
                feed=self.feed,
                business_date=date.fromisoformat(self.business_date),
                delivery_id=self.delivery_id,
                since=datetime.fromisoformat(self.since),
            )
        except errors.TerminalError as error:
            yield TriggerEvent({"status": "refused", "reason": str(error)})
            return
        yield TriggerEvent(
            {
                "status": "delivered",
                "delivery_id": manifest.delivery_id,
                "records": manifest.records,
                "batches": manifest.batches,
            }
        )
