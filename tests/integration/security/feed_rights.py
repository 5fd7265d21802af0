"""What may be tried with an admin client on the cluster of feeds; none of it changes anything there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    ResourceType,
)
from tests.integration.security.conftest import WITHIN_S, Secured

TOPIC, GROUP, CLUSTER = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
)
# Under which whoever reads does it: `feedline.watch`, ...
GROUPS_OF = ("watch", "errors", "replay", "samples")


def _done(futures: Any) -> None:
    for future in futures.values() if isinstance(futures, Mapping) else [futures]:
        future.result(WITHIN_S)


def _commit(admin: AdminClient, topic: str, group: str) -> None:
    places = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 0)])
    for place in admin.alter_consumer_group_offsets([places])[group].result(WITHIN_S).topic_partitions:
        if place.error is not None:
            raise KafkaException(place.error)


def _commit_as(name: str) -> Callable[[Secured, AdminClient], None]:
    def attempt(cluster: Secured, admin: AdminClient) -> None:
        topic = cluster.topic.error_topic if name == "errors" else cluster.topic.name
        _commit(admin, topic, f"feedline.{name}")

    return attempt


def _forget_group(_: Secured, admin: AdminClient) -> None:
    try:
        _done(admin.delete_consumer_groups(["feedline.nobody"]))
    except KafkaException as error:
        # Said to whom it would have been deleted.
        if error.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
            raise


def _grow(cluster: Secured, admin: AdminClient) -> None:
    _done(admin.create_partitions([NewPartitions(cluster.topic.name, 99)], validate_only=True))


def _change_broker(_: Secured, admin: AdminClient) -> None:
    entry = ConfigEntry("log.cleaner.threads", "1", incremental_operation=AlterConfigOpType.SET)
    change = ConfigResource(ResourceType.BROKER, "1", incremental_configs=[entry])
    _done(admin.incremental_alter_configs([change], validate_only=True))


def _see_settings(kind: ResourceType, name: str | None) -> Callable[[Secured, AdminClient], None]:
    return lambda cluster, admin: _done(admin.describe_configs([ConfigResource(kind, name or cluster.topic.name)]))


# By what is tried: the attempt, and what whoever may not is refused for.
ADMIN_ATTEMPTS: Mapping[str, tuple[Callable[[Secured, AdminClient], object], int]] = {
    **{f"commit as {name}": (_commit_as(name), GROUP) for name in GROUPS_OF},
    "forget a group": (_forget_group, GROUP),
    "empty a topic of ours": (
        lambda cluster, admin: _done(admin.delete_records([TopicPartition(cluster.topic.name, 0, 0)])),
        TOPIC,
    ),
    "grow a topic of ours": (_grow, TOPIC),
    "see settings of a topic of ours": (_see_settings(ResourceType.TOPIC, None), TOPIC),
    "see settings of brokers": (_see_settings(ResourceType.BROKER, "1"), CLUSTER),
    "change a broker": (_change_broker, CLUSTER),
}
