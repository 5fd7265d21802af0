"""Reading the catalogue from `feeds.yaml`, the added feeds and the Avro schema files beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from feedline.catalog.feeds import BatchRule, Catalog, ErrorLimit, Feed, Topic, Volume
from feedline.catalog.sla import sla_of
from feedline.catalog_files import catalog_document, default_catalog_path
from feedline.errors import ConfigurationError


def load_catalog(path: Path | None = None) -> Catalog:
    """The catalogue of a `feeds.yaml` and of the folder of added feeds beside it; schema paths are relative to it.

    Raises ConfigurationError naming the file and the entry that is wrong.
    """
    file = path or default_catalog_path()
    document = catalog_document(file)
    try:
        topics = {name: Topic(name=name, **settings) for name, settings in document["topics"].items()}
        feeds = {name: feed_of(name, entry, topics, file.parent) for name, entry in document["feeds"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"the catalogue has a wrong or missing entry: {error}", file=str(file)) from error
    return Catalog(feeds)


def feed_of(
    name: str,
    entry: Mapping[str, Any],
    topics: Mapping[str, Topic],
    folder: Path,
    schema: Mapping[str, Any] | None = None,
) -> Feed:
    """The feed of a catalogue entry; schema: else that of the file that the entry names, below folder.

    Raises ConfigurationError; KeyError and TypeError for entries that there are not.
    """
    settings = dict(entry)
    schema_file = folder / settings.pop("schema")
    if schema is None:
        try:
            schema = json.loads(schema_file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"the schema cannot be read: {error}", feed=name, file=str(schema_file)) from error
    assert schema is not None
    return Feed(
        name=name,
        topic=topics[settings.pop("topic")],
        schema=schema,
        volume=Volume(**settings.pop("volume")),
        batch=BatchRule(**settings.pop("batch", {})),
        errors=ErrorLimit(**settings.pop("errors", {})),
        control_totals=tuple(settings.pop("control_totals", ())),
        sla=sla_of(settings.pop("sla", {})),
        **settings,
    )
