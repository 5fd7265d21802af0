"""What the services of orders may do on its topics, and what each of them may try."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from tests.integration.security.conftest import begin_transactions, move, read, send

from feedline.orders.topics import (
    BULK_GROUP,
    ENTRY_GROUP,
    GATEWAY_GROUP,
    RECOVERY_GROUP,
    OrderTopics,
)
from feedline.security.principals import Service

TOPICS = OrderTopics(partitions=3)
# The group that each reads under; nobody's for those who have none.
OWN_GROUP = {
    Service.ORDER_ENTRY: ENTRY_GROUP,
    Service.ORDER_BULK: BULK_GROUP,
    Service.GATEWAY: GATEWAY_GROUP,
    Service.RECOVERY: RECOVERY_GROUP,
    Service.LOADER: "feedline.orders.events",
    Service.WATCHER: "feedline.watch",
}
MAY: Mapping[Service, set[str]] = {
    Service.ORDER_ENTRY: {"read out", "write out", "read states"},
    Service.ORDER_BULK: {
        "read bulk", "read out", "write out", "write ERROR", "move bulk", "transact as bulk entry",
    },
    Service.GATEWAY: {
        "read out", "write executions", "read states", "write states", "write ERROR", "move gateway",
    },
    Service.RECOVERY: {"read out", "read states", "read ERROR", "write ERROR", "read executions", "write executions"},
    Service.ORDER_TEST: {"write bulk"},
    Service.LOADER: {"read out", "read executions", "read ERROR", "write ERROR"},
    Service.WATCHER: set(),
    Service.PRODUCER: set(),
    Service.MONITOR: set(),
}  # fmt: skip
NOBODY_MAY = {"transact as another"}
# Each kind of attempt is refused for what it lacks, and for nothing else.
REFUSED_FOR = {
    "read": KafkaError.TOPIC_AUTHORIZATION_FAILED,
    "write": KafkaError.TOPIC_AUTHORIZATION_FAILED,
    "move": KafkaError.GROUP_AUTHORIZATION_FAILED,
    "transact": KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}


def _move(kafka: Mapping[str, Any], topic: str, group: str) -> None:
    try:
        move(kafka, topic, group)
    except KafkaException as error:
        # Said to whom the group's offsets are open, while its members are at work.
        if error.args[0].code() not in (KafkaError.UNKNOWN_MEMBER_ID, KafkaError.NON_EMPTY_GROUP):
            raise


def attempts_of(service: Service) -> Mapping[str, Callable[[Mapping[str, Any]], None]]:
    group = OWN_GROUP.get(service, "feedline.any")
    found: dict[str, Callable[[Mapping[str, Any]], None]] = {}
    for name in TOPICS.names:
        short = name.rpartition(".")[2]
        found[f"read {short}"] = lambda kafka, topic=name: read(kafka, topic, group)
        # That an order which never was is forgotten: a compacted topic takes nothing without a key from anybody.
        what = {"key": b"nobody", "value": None} if name == TOPICS.states else {}
        found[f"write {short}"] = lambda kafka, topic=name, what=what: send(kafka, topic, **what)
    for group_of, topic, name in ((BULK_GROUP, TOPICS.bulk, "bulk"), (GATEWAY_GROUP, TOPICS.out, "gateway")):
        found[f"move {name}"] = lambda kafka, topic=topic, moved=group_of: _move(kafka, topic, moved)
    for name, taken in (("bulk entry", "feedline-orders.bulk.rights"), ("another", "feedline-orders.rights")):
        found[f"transact as {name}"] = lambda kafka, taken=taken: begin_transactions(kafka, taken)
    return found


def refused(attempt: Callable[[Mapping[str, Any]], None], kafka: Mapping[str, Any]) -> int | None:
    """None when the attempt is allowed, else the code it is refused with."""
    try:
        attempt(kafka)
    except KafkaException as error:
        code: int = error.args[0].code()
        return code
    return None
