"""A topic that is declared, as it should be on the cluster."""

from __future__ import annotations

from feedline.catalog import Topic
from feedline.kafka.admin import ERROR_PARTITIONS
from feedline.provisioning.state import TopicState

MS_PER_DAY = 24 * 3600 * 1000


def topic_states(topic: Topic, cap: int | None) -> tuple[TopicState, TopicState]:
    """A topic and its error topic as they should be; cap: the most replicas that the cluster holds."""
    factor = min(topic.replication_factor, cap) if cap else topic.replication_factor
    config = {
        "retention.ms": str(topic.retention_days * MS_PER_DAY),
        "max.message.bytes": str(topic.max_message_bytes),
        "min.insync.replicas": str(min(topic.min_insync_replicas, factor)),
        "cleanup.policy": "delete",
        "unclean.leader.election.enable": "false",
    }
    return (
        TopicState(topic.name, topic.partitions, factor, config),
        TopicState(topic.error_topic, ERROR_PARTITIONS, factor, config),
    )
