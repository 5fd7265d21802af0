"""Three secured brokers for the session, with every service's principal, and what a principal may try on them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from feedline.catalog import Topic, load_catalog
from feedline.kafka.admin import admin_client, ensure_topics
from feedline.kafka.config import consumer_config, producer_config
from feedline.local.cluster import Cluster
from feedline.local.secured_cluster import SecuredCluster, give_access, plan_secured_cluster
from feedline.security.principals import Service, custodian_rules, rules

WITHIN_S = 30.0
OURS_TO_MAKE = "SPARE.LATER"
# Where schemas are looked up while the registry is away.
KEPT_SCHEMAS = "feedline.schemas"
# The groups of those who have but one.
GROUPS = {
    "feedline-watcher": "feedline.watch",
    "feedline-redrive": "feedline.errors",
    "feedline-replay": "feedline.replay",
    "feedline-metadata": "feedline.samples",
}


@dataclass(frozen=True)
class Secured:
    """A running cluster. topic: of the catalogue; spare: another one of it; foreign: one that is nobody's."""

    plan: SecuredCluster
    nodes: Cluster
    topic: Topic
    spare: Topic
    foreign: str
    custodian: str

    def kafka(self, user: object) -> dict[str, Any]:
        return self.plan.client(str(user))


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    plan = plan_secured_cluster(tmp_path_factory.mktemp("secured"))
    shipped = replace(load_catalog().topics()[0], partitions=3)
    found = Secured(plan, Cluster(plan.config), shipped, replace(shipped, name="SPARE"), "foreign", "custodian-one")
    with found.nodes:
        topics = (found.topic, found.spare)
        later = replace(found.spare, name=OURS_TO_MAKE)
        allowed = [*rules([*topics, later]), *custodian_rules(found.custodian, found.topic.name)]
        give_access(plan, [*map(str, Service), found.custodian], allowed)
        admin = admin_client(plan.admin)
        ensure_topics(admin, topics)
        names = [NewTopic(name, 1, 3) for name in (found.foreign, "kafkasql-journal", KEPT_SCHEMAS)]
        for future in admin.create_topics(names).values():
            future.result(WITHIN_S)
        yield found


def send(kafka: Mapping[str, Any], topic: str, value: bytes | None = b"x", key: bytes | None = None) -> None:
    """One message; raises what the broker refuses it with."""
    reports: list[KafkaError | None] = []
    # Idempotent, whoever may write nowhere would be refused a producer's id, and the topic itself not be asked for.
    plain = {"enable.idempotence": False, "error_cb": lambda _: None, "log_level": 0}
    producer = Producer(producer_config(kafka) | plain)
    producer.produce(topic, value, key, on_delivery=lambda error, _: reports.append(error))
    deadline = time.monotonic() + WITHIN_S
    while not reports and time.monotonic() < deadline:
        producer.poll(0.05)
    producer.purge()
    producer.close()
    assert reports, "nothing was reported"
    if reports[0] is not None:
        raise KafkaException(reports[0])


def read(kafka: Mapping[str, Any], topic: str, group: str) -> None:
    """Reads a partition to its end with a group's id; a refused topic goes before a refused group."""
    refused_group: KafkaError | None = None
    consumer = Consumer(consumer_config(kafka, group_id=group) | {"enable.partition.eof": True})
    try:
        # A consumer of a topic that it may not even see waits for ever.
        deadline = time.monotonic() + WITHIN_S
        while True:
            seen = consumer.list_topics(topic, timeout=WITHIN_S).topics[topic]
            # A broker may not have heard yet of a topic that was made a moment ago.
            fresh = seen.error is not None and seen.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
            if not fresh or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        if seen.error is not None:
            raise KafkaException(seen.error)
        consumer.assign([TopicPartition(topic, 0, 0)])
        while True:
            message = consumer.poll(WITHIN_S)
            assert message is not None, "nothing came"
            error = message.error()
            code = error.code() if error is not None else None
            if code == KafkaError.GROUP_AUTHORIZATION_FAILED:
                refused_group = error
            elif code == KafkaError._PARTITION_EOF:
                break
            elif error is not None:
                raise KafkaException(error)
        if refused_group is not None:
            raise KafkaException(refused_group)
    finally:
        consumer.close()


def begin_transactions(kafka: Mapping[str, Any], transactional_id: str) -> None:
    """Takes a transactional id, which ends whatever another producer has open under it."""
    at_most = {"transaction.timeout.ms": 10_000, "delivery.timeout.ms": 10_000}
    own = {"transactional.id": transactional_id, "error_cb": lambda _: None, "log_level": 0}
    producer = Producer(producer_config(kafka) | at_most | own)
    try:
        producer.init_transactions(WITHIN_S)
    finally:
        producer.close()


def move(kafka: Mapping[str, Any], topic: str, group: str) -> None:
    """Commits an offset of a group."""
    places = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 0)])
    admin = admin_client(kafka)
    for place in admin.alter_consumer_group_offsets([places])[group].result(WITHIN_S).topic_partitions:
        if place.error is not None:
            raise KafkaException(place.error)


def _done(futures: Mapping[Any, Any]) -> None:
    for future in futures.values():
        future.result(WITHIN_S)


def _make(kafka: Mapping[str, Any], name: str) -> None:
    admin = admin_client(kafka)
    _done(admin.create_topics([NewTopic(name, 1, 3)]))


def _make_ours(kafka: Mapping[str, Any]) -> None:
    try:
        _make(kafka, OURS_TO_MAKE)
    except KafkaException as error:
        # Somebody who may has made it.
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise


def _delete(kafka: Mapping[str, Any], name: str) -> None:
    # A client that nobody holds is gone before it is answered.
    admin = admin_client(kafka)
    _done(admin.delete_topics([name]))


def _delete_spare(cluster: Secured, kafka: Mapping[str, Any]) -> None:
    _delete(kafka, cluster.spare.name)
    # Asked for at the controller: brokers may go on naming the deleted topic for a moment.
    _make(cluster.plan.admin, cluster.spare.name)


def _shorten(kafka: Mapping[str, Any], topic: str) -> None:
    entry = ConfigEntry("retention.ms", "432000000", incremental_operation=AlterConfigOpType.SET)
    change = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = admin_client(kafka)
    _done(admin.incremental_alter_configs([change]))


def _give_right(kafka: Mapping[str, Any]) -> None:
    # Past the calls of ours, which ask for the right first: the broker itself refuses.
    rule = AclBinding(
        ResourceType.TOPIC, f"nothing-{uuid.uuid4().hex}", ResourcePatternType.LITERAL, "User:somebody", "*",
        AclOperation.READ, AclPermissionType.ALLOW,
    )  # fmt: skip
    admin = admin_client(kafka)
    _done(admin.create_acls([rule]))


def _give_password(kafka: Mapping[str, Any]) -> None:
    secret = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 8192)
    admin = admin_client(kafka)
    _done(admin.alter_user_scram_credentials([UserScramCredentialUpsertion("somebody", secret, b"of nobody's")]))


def _lag(kafka: Mapping[str, Any], topic: str, group: str) -> None:
    asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0)])
    admin = admin_client(kafka)
    for place in admin.list_consumer_group_offsets([asked])[group].result(WITHIN_S).topic_partitions:
        if place.error is not None:
            raise KafkaException(place.error)


ATTEMPTS: Mapping[str, Callable[[Secured, dict[str, Any]], None]] = {
    "send records": lambda c, kafka: send(kafka, c.topic.name),
    "send refused records": lambda c, kafka: send(kafka, c.topic.error_topic),
    "send elsewhere": lambda c, kafka: send(kafka, c.foreign),
    "send schemas": lambda _, kafka: send(kafka, "kafkasql-journal"),
    "read schemas": lambda _, kafka: read(kafka, "kafkasql-journal", "feedline.any"),
    "keep schemas": lambda _, kafka: send(kafka, KEPT_SCHEMAS),
    "read kept schemas": lambda _, kafka: read(kafka, KEPT_SCHEMAS, "feedline.schemas.rights"),
    "transact as bulk entry": lambda _, kafka: begin_transactions(kafka, "feedline-orders.bulk.rights"),
    "read records": lambda c, kafka: read(kafka, c.topic.name, GROUPS.get(kafka["sasl.username"], "feedline.any")),
    "read refused records": lambda c, kafka: read(
        kafka, c.topic.error_topic, GROUPS.get(kafka["sasl.username"], "feedline.any")
    ),
    "read elsewhere": lambda c, kafka: read(kafka, c.foreign, GROUPS.get(kafka["sasl.username"], "feedline.any")),
    "move the loaders' offsets": lambda c, kafka: move(kafka, c.topic.name, "feedline.positions"),
    "see lag": lambda c, kafka: _lag(kafka, c.topic.name, "feedline.positions"),
    "make a topic of ours": lambda _, kafka: _make_ours(kafka),
    "make any topic": lambda _, kafka: _make(kafka, f"any-{uuid.uuid4().hex[:6]}"),
    "delete a topic of ours": _delete_spare,
    "delete any topic": lambda c, kafka: _delete(kafka, c.foreign),
    "change a topic of ours": lambda c, kafka: _shorten(kafka, c.topic.name),
    "change any topic": lambda c, kafka: _shorten(kafka, c.foreign),
    "give passwords": lambda _, kafka: _give_password(kafka),
    "give rights": lambda _, kafka: _give_right(kafka),
}


@pytest.fixture(scope="session")
def attempts() -> Mapping[str, Callable[[Secured, dict[str, Any]], None]]:
    return ATTEMPTS
