"""What a cycle would do with a delivery, found out without doing it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from feedline.batch.manifest import DeliveryManifest
    from feedline.catalog import Feed
    from feedline.producer.source_files import DeliverySource
    from feedline.settings import Settings

logger = logging.getLogger(__name__)


def report_delivery(settings: Settings, feed: Feed, source: DeliverySource, manifest: DeliveryManifest | None) -> None:
    """Logs what would be produced and loaded. `manifest`: that of this very delivery when it is on the topic.

    Raises ControlMismatchError when a file is not the one that its control file names.
    """
    from feedline import cycle
    from feedline.producer.source_files import open_source
    from feedline_airflow.warehouse_hook import WarehouseHook

    control = source.control
    for file in control.files:
        with open_source(source.path(file), file, feed.name):
            logger.info("%s: %d records, %.1f MB, size and hash are right", file.name, file.records, file.size / 1e6)
    if manifest is None:
        logger.info(
            "Would produce delivery %s to %s and load its %d records into %s",
            control.delivery.delivery_id,
            feed.topic.name,
            control.records,
            feed.table,
        )
        return
    with WarehouseHook().session() as connection:
        ranges = cycle.plan(settings, connection, feed, manifest)
    logger.info(
        "Delivery %s is on %s already; %s",
        manifest.delivery_id,
        feed.topic.name,
        f"would load {sum(planned.offsets for planned in ranges)} offsets into {feed.table}"
        if ranges
        else f"all of it is in {feed.table}, nothing to load",
    )
