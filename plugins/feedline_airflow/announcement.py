"""How the steps after producing find their delivery: by its id and the time from which to look for its manifest."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow.sdk import get_current_context

from feedline_airflow.run_options import run_options

if TYPE_CHECKING:
    from feedline.batch.manifest import DeliveryManifest
    from feedline.catalog import Feed
    from feedline.settings import Settings

# The broker may stamp the manifest by a clock that is behind the producer's.
CLOCK_TOLERANCE = timedelta(minutes=5)


def announce(manifest: DeliveryManifest) -> dict[str, str]:
    """What a task passes on about a delivery; `since` saves the others from reading the topic from its beginning."""
    return {"delivery_id": manifest.delivery_id, "since": (manifest.produced_at - CLOCK_TOLERANCE).isoformat()}


def announced(settings: Settings, feed: Feed, delivery: dict[str, str]) -> DeliveryManifest:
    """The manifest of an announced delivery; raises OffsetsExpiredError when the topic no longer has it."""
    from feedline.consumer.manifests import find_manifest
    from feedline.errors import OffsetsExpiredError

    manifest = find_manifest(
        settings.kafka,
        feed.topic.name,
        feed=feed.name,
        business_date=run_options(get_current_context()).business_date,
        delivery_id=delivery["delivery_id"],
        since=datetime.fromisoformat(delivery["since"]),
    )
    if manifest is None:
        raise OffsetsExpiredError(
            "the topic no longer has the delivery's manifest: clear the produce task to produce it again",
            feed=feed.name,
            delivery_id=delivery["delivery_id"],
            topic=feed.topic.name,
        )
    return manifest
