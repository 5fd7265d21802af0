"""Brings back to the topic, from the file archive, what has left it; no delivery becomes newer by that."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from snowflake.connector import SnowflakeConnection

from feedline import cycle
from feedline.archive import archived_deliveries, kept_at
from feedline.catalog import Feed
from feedline.consumer.manifests import read_manifests
from feedline.errors import ControlMismatchError
from feedline.producer.source_files import DeliverySource
from feedline.replay.books import known_manifests
from feedline.replay.selection import Selection
from feedline.settings import Settings
from feedline.warehouse.connection import Session


def archived_sources(settings: Settings, feed: Feed, selection: Selection) -> list[DeliverySource]:
    """The archived deliveries that are selected, the one archived last at the end.

    Raises ControlMismatchError when the archive has none.
    """
    day = selection.business_date or _date_of(selection.delivery_id)
    kept = archived_deliveries(settings.archive_folder, feed.name, day) if day is not None else []
    found = [one for one in kept if selection.delivery_id in (None, one.control.delivery.delivery_id)]
    if not found:
        raise ControlMismatchError(
            f"the archive {settings.archive_folder} has nothing of what is selected: the archive is searched by "
            "delivery or business date; ask the sender for the files otherwise",
            feed=feed.name,
            delivery_id=selection.delivery_id,
        )
    return found


def produce_again(
    settings: Settings,
    connection: SnowflakeConnection,
    feed: Feed,
    selection: Selection,
    sources: Sequence[DeliverySource],
) -> None:
    """Produces them; their manifests say that they were produced when they were before.

    So the delivery that stands for the date stays the one that its sender sent last, to whoever asks. Raises what
    `produce_delivery` raises, and WarehouseUnavailableError.
    """
    produced = _produced_at(settings, connection, feed, selection)
    for source in sources:
        known = produced.get(source.control.delivery.delivery_id)
        cycle.produce_source(settings, feed, source, produced_at=known or kept_at(source))


def _produced_at(
    settings: Settings, connection: SnowflakeConnection, feed: Feed, selection: Selection
) -> dict[str, datetime]:
    """By delivery id, when each was produced last, as the warehouse and the topic know."""
    session = Session(connection, feed=feed.name)
    found: dict[str, datetime] = {}
    for manifest in (
        *known_manifests(session, feed.name, selection).values(),
        *read_manifests(settings.kafka, feed.topic.name, feed.name),
    ):
        earlier = found.get(manifest.delivery_id, manifest.produced_at)
        found[manifest.delivery_id] = max(earlier, manifest.produced_at)
    return found


def _date_of(delivery_id: str | None) -> date | None:
    """The business date in a delivery's id, `<feed>-<YYYYMMDD>-<cycle>-<hash>`."""
    for part in (delivery_id or "").split("-"):
        if len(part) == 8 and part.isdigit():
            return date.fromisoformat(part)
    return None
