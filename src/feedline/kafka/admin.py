"""Topics as the catalogue declares them, created, grown and kept, never shrunk; and where they begin and end."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from confluent_kafka import (
    OFFSET_INVALID,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from feedline.catalog import Topic
from feedline.errors import BrokerUnavailableError, ConfigurationError, RetriableError
from feedline.kafka.config import admin_config
from feedline.kafka.errors import translate

REQUEST_SECONDS = 30.0
# So long a broker may not have heard of a partition that was made: nobody asks much for one that is not there.
NEWS_SECONDS = 3.0
# Bad records are few: one partition keeps them in the order they were found.
ERROR_PARTITIONS = 1
_MS_PER_DAY = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class _Wanted:
    name: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str]


def admin_client(base: Mapping[str, Any], **settings: Any) -> AdminClient:
    """An admin client of the cluster that the settings name."""
    # Not librdkafka's chatter of level 6, that a short-lived client ends with an event unserved.
    return AdminClient({"log_level": 5, **admin_config(base), **settings})


def ensure_topics(
    admin: AdminClient, topics: Iterable[Topic], replication_factor: int | None = None, *, with_errors: bool = True
) -> list[str]:
    """Makes the topics and their error topics what the catalogue says, and tells what was done; idempotent.

    Creates what is missing, adds partitions in place, raises retention and message size, sets the minimum of in-sync
    replicas. Nothing is ever made smaller: fewer partitions cannot be, a shorter retention would delete data.
    `replication_factor` caps the catalogue's on a cluster with fewer brokers, and with it the in-sync minimum;
    `with_errors`: whether each has an error topic of its own.

    Raises BrokerUnavailableError, AuthenticationError, ConfigurationError.
    """
    kinds = 2 if with_errors else 1
    wanted = [one for topic in topics for one in _wanted(topic, replication_factor)[:kinds]]
    existing = partition_counts(admin, [one.name for one in wanted])
    changes = _create(admin, [one for one in wanted if one.name not in existing])
    kept = [one for one in wanted if one.name in existing]
    changes += _add_partitions(
        admin, [(one, existing[one.name]) for one in kept if one.partitions > existing[one.name]]
    )
    return changes + _raise_settings(admin, kept)


def partition_counts(admin: AdminClient, names: list[str], timeout: float = REQUEST_SECONDS) -> dict[str, int]:
    """How many partitions each of these topics has; of one that is not there, nothing.

    Raises AuthenticationError for one that this principal may not see, BrokerUnavailableError.
    """
    if not names:
        return {}
    # describe_topics, because asking for the metadata of a missing topic may create it.
    futures = admin.describe_topics(TopicCollection(names), request_timeout=timeout)
    found = {}
    for name, future in futures.items():
        try:
            found[name] = len(future.result().partitions)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise translate(error, topic=name) from error
    return found


def partition_count(admin: AdminClient, topic: str, *, timeout: float = REQUEST_SECONDS) -> int:
    """How many partitions the topic has; raises ConfigurationError when there is no such topic."""
    found = partition_counts(admin, [topic], timeout)
    if topic not in found:
        raise ConfigurationError("no such topic on the cluster: provision the feeds first", topic=topic)
    return found[topic]


def has_topic(admin: AdminClient, topic: str, *, timeout: float = REQUEST_SECONDS) -> bool:
    """Whether the cluster has the topic; raises BrokerUnavailableError, AuthenticationError."""
    return topic in partition_counts(admin, [topic], timeout)


def watermarks(base: Mapping[str, Any], topic: str, partitions: Iterable[int]) -> dict[int, tuple[int, int]]:
    """Of each partition the first offset and the one after the last, as a reader of committed messages sees them.

    Raises AuthenticationError, ConfigurationError when there is no such topic or partition, and BrokerUnavailableError
    or another RetriableError when no leader could tell within `REQUEST_SECONDS`.
    """
    asked = [TopicPartition(topic, number) for number in partitions]
    if not asked:
        return {}
    low = _offsets(base, asked, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
    high = _offsets(base, asked, OffsetSpec.latest())  # type: ignore[no-untyped-call]
    return {place.partition: (low[place.partition], high[place.partition]) for place in asked}


def _offsets(base: Mapping[str, Any], asked: list[TopicPartition], spec: OffsetSpec) -> dict[int, int]:
    began = time.monotonic()
    while True:
        # Another client for every attempt: one that knows a leader goes on asking it after it has moved.
        admin = admin_client(base)
        futures = admin.list_offsets(
            dict.fromkeys(asked, spec), isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=REQUEST_SECONDS
        )
        try:
            return {place.partition: _offset(place, future) for place, future in futures.items()}
        except (RetriableError, ConfigurationError) as error:
            # A partition just made, or whose leader moves or has just begun, has none for a moment, or the broker has
            # not heard of it.
            until = began + (REQUEST_SECONDS if isinstance(error, RetriableError) else NEWS_SECONDS)
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def _offset(place: TopicPartition, future: Future[Any]) -> int:
    offset: int = _result(future, topic=place.topic).offset
    if offset == OFFSET_INVALID:
        # While leaders move, the client may report success and no offset.
        raise BrokerUnavailableError(
            "no broker said where the partition begins or ends: check that all brokers run, then try again",
            topic=place.topic,
            partition=place.partition,
        )
    return offset


def offsets_at(base: Mapping[str, Any], topic: str, since: datetime) -> dict[int, int]:
    """Of each partition the first offset at or after a time (with zone), or its end when nothing is as new.

    Raises what `watermarks` raises.
    """
    asked = [TopicPartition(topic, number) for number in range(partition_count(admin_client(base), topic))]
    found = _offsets(base, asked, OffsetSpec.for_timestamp(int(since.timestamp() * 1000)))
    ends = _offsets(base, asked, OffsetSpec.latest())  # type: ignore[no-untyped-call]
    return {partition: offset if offset >= 0 else ends[partition] for partition, offset in found.items()}


def declared_settings(topic: Topic, cap: int | None) -> tuple[int, dict[str, str]]:
    """How many replicas a topic and its error topic should have, and their settings; cap: the most replicas that the
    cluster holds."""
    factor = min(topic.replication_factor, cap) if cap else topic.replication_factor
    return factor, {
        "retention.ms": str(topic.retention_days * _MS_PER_DAY),
        "max.message.bytes": str(topic.max_message_bytes),
        "min.insync.replicas": str(min(topic.min_insync_replicas, factor)),
        "cleanup.policy": "delete",
        "unclean.leader.election.enable": "false",
    }


def _wanted(topic: Topic, cap: int | None) -> tuple[_Wanted, _Wanted]:
    factor, config = declared_settings(topic, cap)
    return (
        _Wanted(topic.name, topic.partitions, factor, config),
        _Wanted(topic.error_topic, ERROR_PARTITIONS, factor, config),
    )


def _create(admin: AdminClient, wanted: list[_Wanted]) -> list[str]:
    if not wanted:
        return []
    futures = admin.create_topics(
        [NewTopic(w.name, w.partitions, w.replication_factor, config=dict(w.config)) for w in wanted],
        request_timeout=REQUEST_SECONDS,
        operation_timeout=REQUEST_SECONDS,
    )
    changes = []
    for one in wanted:
        try:
            futures[one.name].result()
        except KafkaException as error:
            # Somebody else provisions at the same time; what they made is compared on the next run.
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise translate(error, topic=one.name) from error
            continue
        changes.append(f"created {one.name}: {one.partitions} partitions, replication factor {one.replication_factor}")
    return changes


def _add_partitions(admin: AdminClient, short: list[tuple[_Wanted, int]]) -> list[str]:
    if not short:
        return []
    futures = admin.create_partitions(
        [NewPartitions(one.name, one.partitions) for one, _ in short], request_timeout=REQUEST_SECONDS
    )
    for name, future in futures.items():
        _result(future, topic=name)
    return [f"grew {one.name} from {before} to {one.partitions} partitions" for one, before in short]


def _raise_settings(admin: AdminClient, kept: list[_Wanted]) -> list[str]:
    if not kept:
        return []
    resources = [ConfigResource(ResourceType.TOPIC, one.name) for one in kept]
    described = admin.describe_configs(resources, request_timeout=REQUEST_SECONDS)
    current = {resource.name: _result(future, topic=resource.name) for resource, future in described.items()}
    wrong = {
        one.name: {
            name: value for name, value in one.config.items() if _falls_short(current[one.name][name].value, value)
        }
        for one in kept
    }
    altered = [_alteration(name, settings) for name, settings in wrong.items() if settings]
    if altered:
        for resource, future in admin.incremental_alter_configs(altered, request_timeout=REQUEST_SECONDS).items():
            _result(future, topic=resource.name)
    return [f"set {name}={value} on {topic}" for topic, settings in wrong.items() for name, value in settings.items()]


def _falls_short(found: str, wanted: str) -> bool:
    if not wanted.isdigit():
        return found != wanted
    unlimited = found == "-1"
    return not unlimited and int(found) < int(wanted)


def _alteration(topic: str, settings: Mapping[str, str]) -> ConfigResource:
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in settings.items()
    ]
    return ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)


def _result(future: Future[Any], *, topic: str) -> Any:
    try:
        return future.result()
    except KafkaException as error:
        raise translate(error, topic=topic) from error
