"""What is there: read from the brokers, the registry and the warehouse."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec, ResourceType
from confluent_kafka.schema_registry import Schema
from confluent_kafka.schema_registry.error import SchemaRegistryError

from feedline.errors import ConfigurationError
from feedline.kafka.admin import REQUEST_SECONDS, admin_client, partition_counts
from feedline.kafka.errors import translate
from feedline.kafka.quotas import read_quotas
from feedline.kafka.reassignment import Placed
from feedline.kafka.registry import RegistryClient, ask_registry, registry_client
from feedline.provisioning.account import account_there
from feedline.provisioning.replication import has_throttle, placed_now
from feedline.provisioning.state import ALL_PARTS, Actual, Desired, Part, SubjectState, TopicState, WantedSubject
from feedline.security.cluster_access import current_rules, users
from feedline.settings import Settings
from feedline.warehouse.connection import Session, open_warehouse
from feedline.warehouse.provision import existing_columns
from feedline.warehouse.view_definitions import existing_definitions


def read_actual(
    settings: Settings, desired: Desired, parts: Iterable[Part] = ALL_PARTS, *, count: Collection[str] = ()
) -> Actual:
    """Of the parts, what is there of what is declared. count: topics whose records are counted, besides those that
    are declared absent.

    Raises BrokerUnavailableError, RegistryUnavailableError, WarehouseUnavailableError, AuthenticationError.
    """
    wanted = set(parts)
    kafka = settings.acting_as("provisioning").kafka
    found = _cluster(kafka, desired, wanted, {*count, *desired.absent})
    if Part.QUOTAS in wanted and desired.quotas:
        found = replace(found, quotas=read_quotas(kafka))
    if Part.SCHEMAS in wanted:
        client = registry_client(settings.registry)
        there = set(ask_registry("the subjects", client.get_subjects))
        subjects = {
            name: _subject(client, one) if name in there else SubjectState() for name, one in desired.subjects.items()
        }
        found = replace(found, subjects=subjects)
    if Part.TABLES in wanted:
        schemas = ("IHUB", "CONTROL", *(one.schema.rpartition(".")[2] for one in desired.table_sets))
        with open_warehouse(settings.warehouse) as connection:
            session = Session(connection)
            tables = existing_columns(session, schemas)
            views = existing_definitions(session, schemas) if tables else {}
            found = replace(found, tables=tables, views=views)
    if Part.ACCOUNT in wanted and desired.account:
        with open_warehouse(settings.warehouse) as connection:
            found = replace(found, account=account_there(connection, desired.account))
    return found


def _cluster(kafka: Mapping[str, Any], desired: Desired, parts: set[Part], count: set[str]) -> Actual:
    admin = admin_client(kafka)
    try:
        listed = admin.list_topics(timeout=REQUEST_SECONDS)
    except KafkaException as error:
        raise translate(error) from error
    topics: dict[str, TopicState] = {}
    if Part.TOPICS in parts:
        named = [*desired.topics, *sorted(desired.absent)]
        # What the principal may not see is not listed and would pass for missing: asked for by name it is refused.
        partition_counts(admin, [name for name in named if name not in listed.topics])
        ours = [name for name in named if name in listed.topics]
        configs = topic_configs(admin, ours)
        placed = placed_now(kafka, ours, listed.topics)
        for name in ours:
            partitions = listed.topics[name].partitions
            factor = _factor(list(placed[name].values()), desired.topics.get(name))
            keys = desired.topics[name].config if name in desired.topics else {}
            config = {key: configs[name][key] for key in keys if key in configs[name]}
            records = _records(admin, name, partitions) if name in count else 0
            topics[name] = TopicState(name, len(partitions), factor, config, records, has_throttle(configs[name]))
    return Actual(
        cluster_id=str(listed.cluster_id),
        brokers=len(listed.brokers),
        all_topics=len(listed.topics),
        replicas=sum(len(one.replicas) for topic in listed.topics.values() for one in topic.partitions.values()),
        topics=topics,
        users=frozenset(users(admin)) if Part.USERS in parts and desired.users else frozenset(),
        rules=frozenset(current_rules(admin)) if Part.RULES in parts and desired.rules else frozenset(),
    )


def _factor(placed: list[Placed], wanted: TopicState | None) -> int:
    """How many replicas a partition has: of those that differ from what is wanted, the fewest or the most."""
    has = [len(one.settled) for one in placed]
    if not has or wanted is None:
        return min(has, default=0)
    return min(has) if min(has) < wanted.replication_factor else max(has)


def topic_configs(admin: AdminClient, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Every setting of these topics."""
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    if not resources:
        return {}
    found = {}
    for resource, future in admin.describe_configs(resources, request_timeout=REQUEST_SECONDS).items():
        try:
            found[resource.name] = {key: str(entry.value) for key, entry in future.result().items()}
        except KafkaException as error:
            raise translate(error, topic=resource.name) from error
    return found


def _records(admin: AdminClient, name: str, partitions: Iterable[int]) -> int:
    """Offsets between the first and the last, also of transactions that are not committed."""
    places = [TopicPartition(name, number) for number in partitions]
    total = 0
    spec: Any = OffsetSpec
    for sign, wanted in ((-1, spec.earliest()), (1, spec.latest())):
        asked = admin.list_offsets(dict.fromkeys(places, wanted), request_timeout=REQUEST_SECONDS)
        for future in asked.values():
            try:
                total += sign * future.result().offset
            except KafkaException as error:
                raise translate(error, topic=name) from error
    return total


def _subject(client: RegistryClient, wanted: WantedSubject) -> SubjectState:
    text = json.dumps(wanted.schema, separators=(",", ":"), ensure_ascii=False)
    looked_up = _or_none(wanted.name, lambda: client.lookup_schema(wanted.name, Schema(text, wanted.kind)))
    versions: Any = _or_none(wanted.name, lambda: client.get_versions(wanted.name))
    config: Any = _or_none(wanted.name, lambda: client.get_config(wanted.name))
    level = getattr(config, "compatibility_level", None)
    return SubjectState(
        versions=len(versions or ()),
        has_wanted=looked_up is not None,
        level=str(getattr(level, "value", level)) if level else None,
    )


def _or_none(what: str, request: Any) -> Any:
    """The answer, or None when the registry does not have it."""
    try:
        return ask_registry(what, request)
    except ConfigurationError as error:
        cause = error.__cause__
        if isinstance(cause, SchemaRegistryError) and cause.http_status_code == 404:
            return None
        raise
