"""What is declared and what is there, in the same terms, so that the two can be held against each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from feedline.catalog import Feed
from feedline.errors import ConfigurationError
from feedline.kafka.quotas import QuotaOf, Values
from feedline.provisioning.account import Account
from feedline.security.principals import REGISTRY_TOPICS, SCHEMA_TOPIC, Rule
from feedline.warehouse.layout import FeedLayout
from feedline.warehouse.provision import Existing
from feedline.warehouse.view_definitions import Definitions


class Part(StrEnum):
    """What can be provisioned apart from the rest, in the order in which it is done: a principal needs its rules
    before it makes a topic."""

    USERS = "users"
    RULES = "rules"
    QUOTAS = "quotas"
    TOPICS = "topics"
    SCHEMAS = "schemas"
    TABLES = "tables"
    ACCOUNT = "account"


ALL_PARTS = tuple(Part)


def is_internal(topic: str) -> bool:
    """Whether a topic belongs to Kafka, to a registry or to the book of schemas, and so is never touched here."""
    return topic.startswith(("__", "_schemas")) or topic in {*REGISTRY_TOPICS, SCHEMA_TOPIC}


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic. config: the settings that are declared, or that differ from the brokers' defaults; records: offsets
    between the first and the last of all partitions, of a topic that is there; throttled: whether a reassignment of its
    replicas was bounded and has left that behind; keyed: declared as one whose records of a key share a partition."""

    name: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str]
    records: int = 0
    throttled: bool = False
    keyed: bool = False


@dataclass(frozen=True, slots=True)
class WantedSubject:
    """A schema that must be among its subject's versions. level: the compatibility of a subject that has none."""

    name: str
    schema: Mapping[str, Any] = field(repr=False)
    kind: str = "AVRO"
    level: str | None = None


@dataclass(frozen=True, slots=True)
class SubjectState:
    """versions: how many there are; has_wanted: whether the declared schema is one; level: its own, if it has one."""

    versions: int = 0
    has_wanted: bool = False
    level: str | None = None


@dataclass(frozen=True, slots=True)
class TableSet:
    """Tables and views beside those of feeds. schema, names: where they are, in the order in which they can be dropped,
    views first; missing: from the columns and the views' queries there are, the statements that make what is declared,
    none when it is there."""

    name: str
    schema: str
    names: tuple[str, ...]
    views: frozenset[str]
    missing: Callable[[Existing, Definitions], list[str]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the cluster can carry. replicas_per_broker: Kafka's operators advise at most 4,000 partition replicas;
    reassignment_mb_per_second: of each broker's network, when replicas are moved; no bound when it is None."""

    topics: int = 2_000
    replicas_per_broker: int = 4_000
    reassignment_mb_per_second: int | None = None

    def __post_init__(self) -> None:
        throttle = self.reassignment_mb_per_second
        if self.topics < 1 or self.replicas_per_broker < 1 or (throttle is not None and throttle < 1):
            raise ConfigurationError("the limits of the cluster must be at least 1")


@dataclass(frozen=True, slots=True)
class Desired:
    """Everything declared. absent: topics that must not be there. users: by name, where the password is read from.
    quotas: a value of None must not be there. notes: what was left out, and why."""

    topics: Mapping[str, TopicState] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    users: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    rules: frozenset[Rule] = frozenset()
    quotas: Mapping[QuotaOf, Values] = field(default_factory=dict)
    subjects: Mapping[str, WantedSubject] = field(default_factory=dict)
    feeds: tuple[tuple[Feed, FeedLayout], ...] = field(default=(), repr=False)
    table_sets: tuple[TableSet, ...] = ()
    dropped_columns: tuple[tuple[str, str], ...] = ()
    account: Account = field(default_factory=Account)
    control_tables: bool = True
    limits: Limits = field(default_factory=Limits)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in sorted({*self.topics, *self.absent}):
            if is_internal(name):
                raise ConfigurationError("an internal topic cannot be provisioned: take it out", topic=name)
        both = sorted(self.absent & set(self.topics))
        if both:
            raise ConfigurationError("a topic is declared as wanted and as absent: take one out", topic=both[0])


@dataclass(frozen=True, slots=True)
class Actual:
    """What is there of what is declared. replicas: partition replicas of all topics of the cluster; a part that was
    not read is empty."""

    cluster_id: str = ""
    brokers: int = 0
    all_topics: int = 0
    replicas: int = 0
    topics: Mapping[str, TopicState] = field(default_factory=dict)
    users: frozenset[str] = frozenset()
    rules: frozenset[Rule] = frozenset()
    quotas: Mapping[QuotaOf, Mapping[str, float]] = field(default_factory=dict)
    subjects: Mapping[str, SubjectState] = field(default_factory=dict)
    tables: Existing = field(default_factory=dict, repr=False)
    views: Definitions = field(default_factory=dict, repr=False)
    account: Account = field(default_factory=Account)
