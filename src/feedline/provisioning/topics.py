"""A topic that is declared, as it should be on the cluster."""

from __future__ import annotations

from feedline.catalog import Topic
from feedline.kafka.admin import ERROR_PARTITIONS, declared_settings
from feedline.provisioning.state import TopicState


def topic_states(topic: Topic, cap: int | None) -> tuple[TopicState, TopicState]:
    """A topic and its error topic as they should be; cap: the most replicas that the cluster holds."""
    factor, config = declared_settings(topic, cap)
    return (
        TopicState(topic.name, topic.partitions, factor, config),
        TopicState(topic.error_topic, ERROR_PARTITIONS, factor, config),
    )
