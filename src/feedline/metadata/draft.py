"""From a schema to the draft of a feed: what the catalogue, the logical model and the warehouse would have of it.

A draft is for a person to look at, correct and put beside the other feeds; nothing is written or registered by it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from feedline.catalog import Feed, Topic
from feedline.catalog.feeds import FEED_NAME, Volume
from feedline.errors import ConfigurationError
from feedline.metadata.fields import schema_fields
from feedline.metadata.ldm import LogicalModel, business_name, ldm_of_schema
from feedline.metadata.ldm_ddl import ddl_preview
from feedline.warehouse.layout import feed_layout

TOPIC = "BNY.IN.PRD.IHUB.DEFAULT.DEFAULT"
NAMESPACE = "ihub.custody"

_ENDS = re.compile(r"(\.(jsonl?|ndjson|avsc|schema|gz))+\Z", re.IGNORECASE)
_DATE_ON = re.compile(r"[-_.]?[0-9]{8}.*\Z|[-_.]?[0-9]{4}-[0-9]{2}-[0-9]{2}.*\Z|[-_.][0-9]{1,4}\Z")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


@dataclass(frozen=True, slots=True)
class Draft:
    """feed: as the catalogue would have it; ddl: the statements that make its tables, views, comments and tags."""

    feed: Feed
    model: LogicalModel = field(repr=False)
    ddl: tuple[str, ...] = field(repr=False)

    @property
    def catalog_entry(self) -> dict[str, Any]:
        """What stands under the feed's name in `feeds.yaml`."""
        return {
            "title": self.feed.title,
            "topic": self.feed.topic.name,
            "schema": f"schemas/{self.feed.name}.avsc",
            "serialization": self.feed.serialization,
            "volume": {"rows": self.feed.volume.rows, "kilobytes": self.feed.volume.kilobytes},
        }


def file_stem(file: str) -> str:
    """`trades_20261120_001.json.gz` -> `trades_20261120_001`."""
    return _ENDS.sub("", Path(file).name)


def feed_name_of(file: str) -> str:
    """`trades_20261120_001.jsonl.gz` -> `trades`: what a sample's file name says the feed is called."""
    stem = _DATE_ON.sub("", file_stem(file))
    words = [word.lower() for word in _WORDS.findall(stem)]
    name = "_".join(words)[:60].strip("_")
    return name if FEED_NAME.match(name) else f"feed_{name}" if name else "sample"


def draft_of(avro: Mapping[str, Any], name: str, *, rows: int = 1, size: int = 0, topic: str = TOPIC) -> Draft:
    """The draft of a feed of that name; rows and size: of the sample, its records and bytes.

    Raises ConfigurationError when the schema names no business keys, or has something that no table can hold: it says
    which field, and what to do.
    """
    schema_fields(avro)
    if not avro.get("businessKeys"):
        raise ConfigurationError(
            "no field names a record, and a table needs to know: declare the business keys", feed=name
        )
    feed = Feed(name, business_name(name), Topic(topic), avro, Volume(max(1, rows), max(1, size // 1000)))
    layout = feed_layout(feed)
    model = ldm_of_schema(avro, feed)
    return Draft(feed, model, ddl_preview(feed, layout, model))


def with_keys(avro: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """The schema with these business keys, paths of fields that always have one value.

    Raises ConfigurationError for a path that the schema has not, that lies in an array, or that may be null.
    """
    fields = {one.path: one for one in schema_fields(avro)}
    for key in keys:
        one = fields.get(key)
        if one is None:
            known = ", ".join(path for path, each in fields.items() if each.is_leaf)
            raise ConfigurationError(f"no such field to be a key; there are: {known[:400]}", field=key)
        if "[]" in key or not one.is_leaf or one.kind in ("array", "map", "union"):
            raise ConfigurationError("a key is a field that has one value in a record", field=key)
        if one.nullable:
            raise ConfigurationError("a key is always there, and some samples leave this one out or null", field=key)
    head = {name: value for name, value in avro.items() if name != "fields"}
    return {**head, "businessKeys": list(keys), "fields": avro["fields"]}
