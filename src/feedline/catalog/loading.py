"""Reading the catalogue from `feeds.yaml` and the Avro schema files beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from feedline.catalog.feeds import BatchRule, Catalog, ErrorLimit, Feed, Topic, Volume
from feedline.catalog.sla import sla_of
from feedline.errors import ConfigurationError

CATALOG_VARIABLE = "FEEDLINE_CATALOG"


def default_catalog_path() -> Path:
    """`$FEEDLINE_CATALOG`, else the catalogue installed with the package, else the checkout's `include/feeds.yaml`."""
    named = os.environ.get(CATALOG_VARIABLE)
    if named:
        return Path(named)
    package = Path(__file__).resolve().parents[1]
    installed = package / "include" / "feeds.yaml"
    return installed if installed.exists() else package.parents[1] / "include" / "feeds.yaml"


def load_catalog(path: Path | None = None) -> Catalog:
    """The catalogue of a `feeds.yaml`; schema paths in it are relative to it.

    Raises ConfigurationError naming the file and the entry that is wrong.
    """
    file = path or default_catalog_path()
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(f"the catalogue cannot be read: {error}", file=str(file)) from error
    try:
        topics = {name: Topic(name=name, **settings) for name, settings in document["topics"].items()}
        feeds = {name: _feed(name, entry, topics, file.parent) for name, entry in document["feeds"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"the catalogue has a wrong or missing entry: {error}", file=str(file)) from error
    return Catalog(feeds)


def _feed(name: str, entry: Mapping[str, Any], topics: Mapping[str, Topic], folder: Path) -> Feed:
    settings = dict(entry)
    schema_file = folder / settings.pop("schema")
    try:
        schema = json.loads(schema_file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the schema cannot be read: {error}", feed=name, file=str(schema_file)) from error
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
