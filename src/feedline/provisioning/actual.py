"""What is there: read from the brokers, the registry and the warehouse."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec, ResourceType
from confluent_kafka.schema_registry import Schema
from confluent_kafka.schema_registry.error import SchemaRegistryError

from feedline.errors import ConfigurationError
from feedline.kafka.admin import REQUEST_SECONDS, admin_client
from feedline.kafka.errors import translate
from feedline.kafka.registry import RegistryClient, ask_registry, registry_client
from feedline.provisioning.state import ALL_PARTS, Actual, Desired, Part, SubjectState, TopicState, WantedSubject
from feedline.security.cluster_access import current_rules, users
from feedline.settings import Settings
from feedline.warehouse.connection import Session, open_warehouse
from feedline.warehouse.provision import existing_columns


def read_actual(
    settings: Settings, desired: Desired, parts: Iterable[Part] = ALL_PARTS, *, count: Collection[str] = ()
) -> Actual:
    """Of the parts, what is there of what is declared. count: topics whose records are counted, besides those that
    are declared absent.

    Raises BrokerUnavailableError, RegistryUnavailableError, WarehouseUnavailableError, AuthenticationError.
    """
    wanted = set(parts)
    found = _cluster(admin_client(settings.acting_as("provisioning").kafka), desired, wanted, {*count, *desired.absent})
    if Part.SCHEMAS in wanted:
        client = registry_client(settings.registry)
        there = set(ask_registry("the subjects", client.get_subjects))
        subjects = {
            name: _subject(client, one) if name in there else SubjectState() for name, one in desired.subjects.items()
        }
        found = replace(found, subjects=subjects)
    if Part.TABLES in wanted:
        with open_warehouse(settings.warehouse) as connection:
            found = replace(found, tables=existing_columns(Session(connection)))
    return found


def _cluster(admin: AdminClient, desired: Desired, parts: set[Part], count: set[str]) -> Actual:
    try:
        listed = admin.list_topics(timeout=REQUEST_SECONDS)
    except KafkaException as error:
        raise translate(error) from error
    topics: dict[str, TopicState] = {}
    if Part.TOPICS in parts:
        ours = [name for name in (*desired.topics, *sorted(desired.absent)) if name in listed.topics]
        configs = topic_configs(admin, ours)
        for name in ours:
            # A topic that was just made may have no leader for a moment; how many replicas it has is known.
            partitions = listed.topics[name].partitions
            factor = min((len(one.replicas) for one in partitions.values()), default=0)
            keys = desired.topics[name].config if name in desired.topics else {}
            config = {key: configs[name][key] for key in keys if key in configs[name]}
            records = _records(admin, name, partitions) if name in count else 0
            topics[name] = TopicState(name, len(partitions), factor, config, records)
    return Actual(
        cluster_id=str(listed.cluster_id),
        brokers=len(listed.brokers),
        all_topics=len(listed.topics),
        replicas=sum(len(one.replicas) for topic in listed.topics.values() for one in topic.partitions.values()),
        topics=topics,
        users=frozenset(users(admin)) if Part.USERS in parts and desired.users else frozenset(),
        rules=frozenset(current_rules(admin)) if Part.RULES in parts and desired.rules else frozenset(),
    )


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
