"""The steps of `ihub_provision`; each may run at any time and again, and changes only what is not as declared."""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)


def create_topics() -> None:
    from feedline.catalog import load_catalog
    from feedline.kafka.admin import admin_client, ensure_topics
    from feedline_airflow.task_settings import task_settings

    settings = task_settings()
    topics = load_catalog(settings.catalog).topics()
    _report(
        "topic",
        ensure_topics(admin_client(settings.acting_as("provisioning").kafka), topics, settings.replication_factor),
    )


def register_schemas() -> None:
    from feedline.batch.json_batch import json_schema_of
    from feedline.batch.schemas import MANIFEST_SCHEMA, batch_schema, batch_subject, manifest_subject
    from feedline.catalog import load_catalog
    from feedline.kafka.registry import ensure_level, register_schema, registry_client
    from feedline.metadata.compatibility import DEFAULT_LEVEL
    from feedline_airflow.task_settings import task_settings

    settings = task_settings()
    catalog = load_catalog(settings.catalog)
    registry = registry_client(settings.registry)
    for topic in catalog.topics():
        register_schema(registry, manifest_subject(topic.name), MANIFEST_SCHEMA)
    for feed in catalog.feeds.values():
        if feed.serialization == "json":
            number = register_schema(registry, batch_subject(feed), json_schema_of(batch_schema(feed)), kind="JSON")
        else:
            number = register_schema(registry, batch_subject(feed), batch_schema(feed))
        logger.info("%s is schema %d", batch_subject(feed), number)
        # An installation that is upgraded keeps the level that somebody gave a subject.
        if ensure_level(registry, batch_subject(feed), DEFAULT_LEVEL):
            logger.info("%s now refuses versions that are not %s", batch_subject(feed), DEFAULT_LEVEL)


def create_tables() -> None:
    from feedline.catalog import load_catalog
    from feedline.metadata.ldm_ddl import described
    from feedline.metadata.ldm_files import feed_model
    from feedline.settings import load_settings
    from feedline.warehouse.layout import feed_layout
    from feedline.warehouse.provision import provision_tables
    from feedline_airflow.warehouse_hook import WarehouseHook

    file = load_settings().catalog
    catalog = load_catalog(file)
    with WarehouseHook().session() as connection:
        statements = provision_tables(
            connection, catalog, layout_of=lambda feed: described(feed_layout(feed), feed_model(feed, file))
        )
    _report("table", [statement.splitlines()[0] for statement in statements])


def _report(kind: str, changes: list[str]) -> None:
    for change in changes:
        logger.info("%s", change)
    if not changes:
        logger.info("Every %s is as declared: nothing was changed", kind)
