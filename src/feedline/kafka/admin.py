"""Topics as the catalogue declares them: created, grown and kept, never shrunk or made again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
)

from feedline.catalog import Topic
from feedline.errors import BrokerUnavailableError
from feedline.kafka.config import admin_config, consumer_config
from feedline.kafka.errors import translate

TIMEOUT_SECONDS = 30.0
MS_PER_DAY = 86_400_000
# Bad records are few: one partition keeps them in the order they were found.
ERROR_PARTITIONS = 1


def admin_client(base: Mapping[str, Any]) -> AdminClient:
    return AdminClient(admin_config(base))


def ensure_topics(admin: AdminClient, topics: Iterable[Topic], replication_factor: int | None = None) -> list[str]:
    """Make every topic and its error topic exist as declared; returns one line for each thing that was changed.

    Partitions are raised in place; a topic that has more than declared is left. `replication_factor` replaces the
    declared one on a cluster that cannot hold it. Raises BrokerUnavailableError, AuthenticationError or TerminalError.
    """
    try:
        changes = []
        existing = {name: len(found.partitions) for name, found in _metadata(admin).items()}
        for topic in topics:
            factor = replication_factor or topic.replication_factor
            for name, partitions in ((topic.name, topic.partitions), (topic.error_topic, ERROR_PARTITIONS)):
                declared = _configuration(topic, factor)
                if name not in existing:
                    _create(admin, NewTopic(name, partitions, factor, config=declared))
                    changes.append(f"created {name}: {partitions} partitions, replication factor {factor}")
                    continue
                if existing[name] < partitions:
                    _wait(admin.create_partitions([NewPartitions(name, partitions)]))
                    changes.append(f"grew {name} from {existing[name]} to {partitions} partitions")
                changes += _alter(admin, name, declared)
    except KafkaException as error:
        raise translate(error.args[0]) from error
    return changes


def partition_count(admin: AdminClient, topic: str) -> int:
    """Partitions of a topic now; raises BrokerUnavailableError or TerminalError when there is no such topic."""
    try:
        found = admin.list_topics(topic, timeout=TIMEOUT_SECONDS).topics[topic]
    except KafkaException as error:
        raise translate(error.args[0], topic=topic) from error
    if found.error is not None:
        raise translate(found.error, topic=topic)
    return len(found.partitions)


def watermarks(base: Mapping[str, Any], topic: str, partitions: Iterable[int]) -> dict[int, tuple[int, int]]:
    """Low and high watermark of each partition."""
    consumer = Consumer(consumer_config(base, group_id="feedline.watermarks"))
    try:
        return {
            partition: consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=TIMEOUT_SECONDS)
            for partition in partitions
        }
    except KafkaException as error:
        raise translate(error.args[0], topic=topic) from error
    finally:
        consumer.close()


def _configuration(topic: Topic, factor: int) -> dict[str, str]:
    return {
        "retention.ms": str(topic.retention_days * MS_PER_DAY),
        "min.insync.replicas": str(min(topic.min_insync_replicas, factor)),
        "max.message.bytes": str(topic.max_message_bytes),
        "cleanup.policy": "delete",
        "unclean.leader.election.enable": "false",
    }


def _metadata(admin: AdminClient) -> Mapping[str, Any]:
    found = admin.list_topics(timeout=TIMEOUT_SECONDS)
    if not found.brokers:
        raise BrokerUnavailableError("no broker answers; check that the cluster is up, then try again")
    return found.topics


def _create(admin: AdminClient, topic: NewTopic) -> None:
    _wait(admin.create_topics([topic], operation_timeout=TIMEOUT_SECONDS))


def _alter(admin: AdminClient, name: str, declared: Mapping[str, str]) -> list[str]:
    resource = ConfigResource(ConfigResource.Type.TOPIC, name)
    current = admin.describe_configs([resource])[resource].result(TIMEOUT_SECONDS)
    wrong = {key: value for key, value in declared.items() if current[key].value != value}
    if not wrong:
        return []
    entries = [
        ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in sorted(wrong.items())
    ]
    _wait(
        admin.incremental_alter_configs([ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=entries)])
    )
    return [f"set {key}={value} on {name}" for key, value in sorted(wrong.items())]


def _wait(futures: Mapping[Any, Any]) -> None:
    for future in futures.values():
        future.result(TIMEOUT_SECONDS)
