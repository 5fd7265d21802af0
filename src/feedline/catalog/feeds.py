"""The catalogue's values: frozen, checked when made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from feedline.catalog.sla import Sla
from feedline.errors import ConfigurationError, UnknownFeedError

Serialization = Literal["avro", "json"]
AvroSchema = Mapping[str, Any]

FEED_NAME = re.compile(r"[a-z][a-z0-9_]{1,62}\Z")
KIB = 1024


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigurationError(message)


@dataclass(frozen=True, slots=True)
class BatchRule:
    """When a micro-batch of a feed is closed: at whichever bound is met first.

    target_bytes: compressed bytes of one Kafka message; max_records: records in it;
    max_age_s: seconds the oldest record waits in a producer that is fed one record at a time;
    group_by: a field (fund, account) whose consecutive equal values stay in one batch, or None.
    """

    target_bytes: int = 128 * KIB
    max_records: int = 2_000
    max_age_s: float = 0.5
    group_by: str | None = None

    def __post_init__(self) -> None:
        _require(self.target_bytes >= KIB, f"batch.target_bytes is {self.target_bytes}: use at least {KIB}")
        _require(self.max_records >= 1, f"batch.max_records is {self.max_records}: use at least 1")
        _require(self.max_age_s > 0, f"batch.max_age_s is {self.max_age_s}: use more than 0 seconds")


@dataclass(frozen=True, slots=True)
class ErrorLimit:
    """A delivery stops when its bad records exceed both `max_count` and `max_ratio` (of the records read)."""

    max_count: int = 100
    max_ratio: float = 0.01

    def __post_init__(self) -> None:
        _require(self.max_count >= 0, f"errors.max_count is {self.max_count}: use 0 or more")
        _require(0 <= self.max_ratio <= 1, f"errors.max_ratio is {self.max_ratio}: use 0 to 1")

    def exceeded(self, bad: int, read: int) -> bool:
        return bad > self.max_count and bad > self.max_ratio * read


@dataclass(frozen=True, slots=True)
class Volume:
    """Rows and kilobytes of JSON of one business date for 50 funds."""

    rows: int
    kilobytes: int

    def __post_init__(self) -> None:
        _require(self.rows > 0 and self.kilobytes > 0, "volume: rows and kilobytes must be positive")


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic that carries feeds, as it should be on the cluster."""

    name: str
    partitions: int = 80
    replication_factor: int = 3
    min_insync_replicas: int = 2
    retention_days: int = 5
    max_message_bytes: int = 4 * KIB * KIB

    def __post_init__(self) -> None:
        _require(bool(re.fullmatch(r"[A-Za-z0-9._-]{1,249}", self.name)), f"topic name {self.name!r} is not legal")
        _require(self.partitions >= 1, f"topic {self.name}: partitions must be at least 1")
        _require(
            1 <= self.min_insync_replicas <= self.replication_factor,
            f"topic {self.name}: min_insync_replicas must be 1 to the replication factor",
        )
        _require(self.retention_days >= 1, f"topic {self.name}: retention_days must be at least 1")

    @property
    def error_topic(self) -> str:
        return f"{self.name}.ERROR"


@dataclass(frozen=True, slots=True)
class Feed:
    """One feed: `schema` is its Avro record as parsed JSON; `control_totals` and `fund_field` are dotted paths."""

    name: str
    title: str
    topic: Topic
    schema: AvroSchema = field(repr=False)
    volume: Volume
    serialization: Serialization = "avro"
    batch: BatchRule = BatchRule()
    errors: ErrorLimit = ErrorLimit()
    control_totals: tuple[str, ...] = ()
    fund_field: str | None = None
    max_record_bytes: int = 256 * KIB
    sla: Sla = field(default_factory=Sla)

    def __post_init__(self) -> None:
        _require(bool(FEED_NAME.match(self.name)), f"feed name {self.name!r}: use lower-case letters, digits and _")
        _require(self.schema.get("type") == "record", f"feed {self.name}: its schema must be an Avro record")
        _require(self.serialization in ("avro", "json"), f"feed {self.name}: serialization must be avro or json")
        _require(bool(self.business_keys), f"feed {self.name}: its schema declares no businessKeys")
        names = {f["name"] for f in self.schema["fields"]}
        for path in (*self.business_keys, *self.control_totals, *filter(None, (self.fund_field, self.batch.group_by))):
            _require(path.split(".")[0] in names, f"feed {self.name}: no field {path!r} in its schema")

    @property
    def business_keys(self) -> tuple[str, ...]:
        """Field paths that together name a record on a business date (the schema's `businessKeys`)."""
        return tuple(self.schema.get("businessKeys", ()))

    @property
    def full_name(self) -> str:
        namespace = self.schema.get("namespace")
        return f"{namespace}.{self.schema['name']}" if namespace else str(self.schema["name"])

    @property
    def table(self) -> str:
        return self.name.upper()


@dataclass(frozen=True, slots=True)
class Catalog:
    """All feeds by name."""

    feeds: Mapping[str, Feed]

    def __post_init__(self) -> None:
        _require(bool(self.feeds), "the catalogue has no feed")
        object.__setattr__(self, "feeds", MappingProxyType(dict(self.feeds)))

    def feed(self, name: str) -> Feed:
        """The feed of that name; raises UnknownFeedError."""
        try:
            return self.feeds[name]
        except KeyError:
            known = ", ".join(self.feeds)
            raise UnknownFeedError(f"no feed {name!r} in the catalogue; it has: {known}", feed=name) from None

    def topics(self) -> tuple[Topic, ...]:
        return tuple({feed.topic.name: feed.topic for feed in self.feeds.values()}.values())

    def feeds_of(self, topic: str) -> tuple[Feed, ...]:
        """Feeds carried by a topic, in catalogue order; empty for a topic that carries none."""
        return tuple(feed for feed in self.feeds.values() if feed.topic.name == topic)
