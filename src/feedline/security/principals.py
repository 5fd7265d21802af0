"""One principal for each service, and the least that each must be allowed on the cluster.

A rule is here because a call in the code needs it, and the tests hold every rule, and what no rule allows, against
real brokers. Nobody but the brokers and the administrator is a super user.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from feedline.catalog import Topic
from feedline.errors import ConfigurationError

# The topic that the registry keeps its schemas in, and that it tells its other instances about changes with.
REGISTRY_TOPICS = ("kafkasql-journal", "kafkasql-snapshots", "registry-events")
CLUSTER = "kafka-cluster"
SCHEMA_TOPIC = "feedline.schemas"
# What the principal of provisioning may do with a topic of ours.
OWN_OPERATIONS = ("CREATE", "ALTER", "ALTER_CONFIGS", "DELETE")


class Service(StrEnum):
    """The principals of an installation."""

    PRODUCER = "feedline-producer"  # sends feed files, and the reports of refused records
    LOADER = "feedline-loader"  # `feedline load` and `consume`: topics into tables
    WATCHER = "feedline-watcher"  # Airflow's triggers: look, never join a group that loads
    REDRIVE = "feedline-redrive"  # reads refused records, sends them again
    REPLAY = "feedline-replay"  # holds topics against tables, never moves the loaders' offsets
    METADATA = "feedline-metadata"  # reads samples of topics
    PROVISIONING = "feedline-provisioning"  # makes topics, users, rules and quotas
    REGISTRY = "feedline-registry"  # keeps schemas in its topics
    MONITOR = "feedline-monitor"  # lag and health, no record
    # Of orders; their rules are in `feedline.security.order_principals`.
    ORDER_ENTRY = "feedline-order-entry"  # orders over HTTP
    ORDER_BULK = "feedline-order-bulk"  # orders of the bulk topic, in transactions
    ORDER_TEST = "feedline-order-test"  # made-up orders: `feedline datagen orders`, the Dag orders_bulk_test
    GATEWAY = "feedline-gateway"  # orders to the FIX engine, its reports back
    RECOVERY = "feedline-recovery"  # what the engine has lost, again


READERS_OF_SCHEMAS = (
    Service.PRODUCER,
    Service.LOADER,
    Service.WATCHER,
    Service.REDRIVE,
    Service.REPLAY,
    Service.METADATA,
    Service.PROVISIONING,
)


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """What one principal may: Kafka's own words, in librdkafka's spelling. resource: TOPIC, GROUP, BROKER (the
    cluster), TRANSACTIONAL_ID or USER; pattern: LITERAL or PREFIXED; operation: READ, WRITE, DESCRIBE, ..."""

    principal: str
    resource: str
    name: str
    operation: str
    pattern: str = "LITERAL"

    def __str__(self) -> str:
        ending = "*" if self.pattern == "PREFIXED" else ""
        where = "cluster" if self.resource == "BROKER" else f"{self.resource.lower()} {self.name}{ending}"
        return f"{self.principal} may {self.operation} {where}"


def rules(topics: Iterable[Topic], groups: str = "feedline.") -> list[Rule]:
    """The rules of every service for these topics; groups: what the names of our consumer groups begin with.

    Raises ConfigurationError without a topic, where the rules would be of no use.
    """
    names = [topic.name for topic in topics]
    if not names:
        raise ConfigurationError("principals cannot be given rules without a topic: name the topics of the catalogue")
    errors = [topic.error_topic for topic in topics]
    found = [
        *each(Service.PRODUCER, "TOPIC", names, "WRITE", "DESCRIBE"),
        *each(Service.PRODUCER, "TOPIC", errors, "WRITE", "DESCRIBE"),
        *each(Service.LOADER, "TOPIC", names, "READ", "DESCRIBE"),
        # What cannot be loaded goes to the error topic, and what is there is read to be loaded too.
        *each(Service.LOADER, "TOPIC", errors, "READ", "WRITE", "DESCRIBE"),
        *each(Service.LOADER, "GROUP", [groups], "READ", "DESCRIBE", pattern="PREFIXED"),
        *each(Service.WATCHER, "TOPIC", [*names, *errors], "READ", "DESCRIBE"),
        *each(Service.WATCHER, "GROUP", [f"{groups}watch"], "READ", "DESCRIBE"),
        *each(Service.WATCHER, "GROUP", [groups], "DESCRIBE", pattern="PREFIXED"),
        *each(Service.REDRIVE, "TOPIC", errors, "READ", "DESCRIBE"),
        *each(Service.REDRIVE, "TOPIC", names, "WRITE", "DESCRIBE"),
        *each(Service.REDRIVE, "GROUP", [f"{groups}errors"], "READ", "DESCRIBE"),
        *each(Service.REPLAY, "TOPIC", [*names, *errors], "READ", "DESCRIBE"),
        # What it finds that cannot be loaded.
        *each(Service.REPLAY, "TOPIC", errors, "WRITE"),
        *each(Service.REPLAY, "GROUP", [f"{groups}replay"], "READ", "DESCRIBE"),
        *each(Service.REPLAY, "GROUP", [groups], "DESCRIBE", pattern="PREFIXED"),
        *each(Service.METADATA, "TOPIC", names, "READ", "DESCRIBE"),
        *each(Service.METADATA, "GROUP", [f"{groups}samples"], "READ", "DESCRIBE"),
        *each(Service.PROVISIONING, "BROKER", [CLUSTER], "ALTER", "DESCRIBE", "DESCRIBE_CONFIGS"),
        *each(Service.PROVISIONING, "BROKER", [CLUSTER], "ALTER_CONFIGS"),
        # Of every topic what it is, of ours also to change it; never a record.
        *each(Service.PROVISIONING, "TOPIC", ["*"], "DESCRIBE", "DESCRIBE_CONFIGS"),
        *each(Service.PROVISIONING, "TOPIC", [*names, *errors], *OWN_OPERATIONS),
        *each(Service.REGISTRY, "TOPIC", REGISTRY_TOPICS, "CREATE", "READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS"),
        # Its groups are random ids.
        *each(Service.REGISTRY, "GROUP", ["*"], "READ", "DESCRIBE"),
        *each(Service.REGISTRY, "TRANSACTIONAL_ID", ["*"], "WRITE", "DESCRIBE"),
        # Schemas are looked up on their topic while the registry is away; the metadata service puts them there.
        *(rule for service in READERS_OF_SCHEMAS for rule in schema_rules(service, groups)),
        *each(Service.METADATA, "TOPIC", [SCHEMA_TOPIC], "CREATE", "WRITE", "DESCRIBE_CONFIGS"),
        *each(Service.MONITOR, "TOPIC", [*names, *errors], "DESCRIBE"),
        *each(Service.MONITOR, "GROUP", [groups], "DESCRIBE", pattern="PREFIXED"),
        *each(Service.MONITOR, "BROKER", [CLUSTER], "DESCRIBE"),
    ]
    return sorted(set(found))


def schema_rules(service: Service, groups: str) -> Iterator[Rule]:
    """What it takes to look a schema up on its topic while the registry is away."""
    yield from each(service, "TOPIC", [SCHEMA_TOPIC], "READ", "DESCRIBE")
    # A reader looks for the coordinator of its group, which is a new one each time, though it never commits.
    yield from each(service, "GROUP", [f"{groups}schemas."], "DESCRIBE", pattern="PREFIXED")


def custodian_rules(principal: str, topic: str) -> list[Rule]:
    """The rules of a client who sends records with the producer library from outside: to write to one topic, and
    nothing of anybody else's."""
    if principal in {str(service) for service in Service}:
        raise ConfigurationError(f"{principal} is a service's own principal: choose another name", topic=topic)
    return sorted(each(principal, "TOPIC", [topic], "WRITE", "DESCRIBE"))


def each(
    principal: str, resource: str, names: Iterable[str], *operations: str, pattern: str = "LITERAL"
) -> Iterator[Rule]:
    """The same operations on several resources."""
    return (Rule(str(principal), resource, name, operation, pattern) for name in names for operation in operations)


def table(found: Iterable[Rule]) -> Mapping[str, list[str]]:
    """By principal, what it may, as lines to read."""
    lines: dict[str, list[str]] = {}
    for rule in found:
        lines.setdefault(rule.principal, []).append(str(rule).partition(" may ")[2])
    return lines
