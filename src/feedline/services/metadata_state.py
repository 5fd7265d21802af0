"""What the routes of the metadata service share: catalogue, models, subjects, the way to the warehouse."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fastapi import Request
from snowflake.connector import SnowflakeConnection

from feedline.batch.schemas import batch_subject
from feedline.catalog import Catalog, Feed, default_catalog_path, load_catalog
from feedline.kafka.registry import registry_client
from feedline.kafka.schema_fallback import TOPIC
from feedline.kafka.schema_topic import SCHEMA_TOPIC
from feedline.metadata.evolution import record_schemas
from feedline.metadata.ldm import LogicalModel
from feedline.metadata.ldm_files import feed_model
from feedline.metadata.subjects import Subjects, Version
from feedline.settings import Settings
from feedline.warehouse.connection import open_warehouse


@dataclass(frozen=True, slots=True)
class CurrentFeed:
    """A feed with its schema as registered last. version: None when none is registered, the schema is then the
    catalogue's."""

    feed: Feed
    version: Version | None
    history: list[tuple[Version, Mapping[str, Any]]] = field(repr=False)
    model: LogicalModel = field(repr=False)

    @property
    def base(self) -> int:
        return self.version.version if self.version else 0


class MetadataState:
    """One for an application; its methods may be called from any thread."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.catalog_file: Path = settings.catalog or default_catalog_path()
        topic = str(settings.registry.get(TOPIC, SCHEMA_TOPIC))
        kafka = settings.acting_as("metadata").kafka
        self.subjects = Subjects(registry_client(settings.registry), kafka, topic, settings.replication_factor or 3)
        self._files = threading.Lock()

    def catalog(self) -> Catalog:
        """As the files say now: a feed that was just added is there."""
        return load_catalog(self.catalog_file)

    def current(self, name: str) -> CurrentFeed:
        """Raises UnknownFeedError."""
        feed = self.catalog().feed(name)
        history = record_schemas(self.subjects, feed)
        latest, schema = history[-1] if history else (None, feed.schema)
        # A schema registered from elsewhere may have left out what only our files say.
        if not schema.get("businessKeys"):
            schema = {**schema, "businessKeys": list(feed.business_keys)}
        current = replace(feed, schema=schema)
        return CurrentFeed(current, latest, history, feed_model(current, self.catalog_file))

    def models(self) -> list[LogicalModel]:
        return [feed_model(feed, self.catalog_file) for feed in self.catalog().feeds.values()]

    def latest_versions(self) -> dict[str, int]:
        """By feed, the last version's number; feeds without one are left out."""
        found = {}
        names = set(self.subjects.names())
        for feed in self.catalog().feeds.values():
            if batch_subject(feed) in names:
                found[feed.name] = self.subjects.versions(batch_subject(feed))[-1]
        return found

    @contextmanager
    def warehouse(self) -> Iterator[SnowflakeConnection]:
        with open_warehouse(self.settings.warehouse) as connection:
            yield connection

    @contextmanager
    def changing_files(self) -> Iterator[None]:
        """One change of the catalogue's files at a time."""
        with self._files:
            yield


def state_of(request: Request) -> MetadataState:
    """The dependency of every route."""
    state: MetadataState = request.app.state.metadata
    return state
