"""The system that a plan is made for and applied to: a cluster, a registry and a warehouse."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from feedline.errors import BrokerUnavailableError
from feedline.kafka.admin import REQUEST_SECONDS, admin_client
from feedline.kafka.errors import translate
from feedline.kafka.quotas import put_quotas
from feedline.kafka.registry import ask_registry, register_schema, registry_client
from feedline.provisioning.actual import read_actual, topic_configs
from feedline.provisioning.plan import Change, Plan, plan, plan_destroy
from feedline.provisioning.replication import Told, finish_throttle, set_replication
from feedline.provisioning.state import ALL_PARTS, Desired, Part
from feedline.security.cluster_access import put_rules, remove_rules, set_passwords
from feedline.security.references import resolve
from feedline.settings import Settings
from feedline.warehouse.connection import Session, open_warehouse

SHOWN_WITHIN_S = 60.0


class Installation:
    """Plans and makes changes with the principal of provisioning. destroying: the plan takes away what is declared;
    told: hears how far a step is that takes long.

    Safe for one thread.
    """

    def __init__(
        self,
        settings: Settings,
        desired: Desired,
        parts: Iterable[Part] = ALL_PARTS,
        *,
        destroying: bool = False,
        told: Told = lambda _: None,
    ) -> None:
        self._settings, self._desired, self._parts, self._destroying = settings, desired, tuple(parts), destroying
        self._told = told

    def plan(self) -> Plan:
        """What has to be done now. Raises what `read_actual` raises."""
        if self._destroying:
            actual = read_actual(self._settings, self._desired, self._parts, count=self._desired.topics)
            return plan_destroy(self._desired, actual, self._parts)
        return plan(self._desired, read_actual(self._settings, self._desired, self._parts), self._parts)

    def perform(self, changes: Sequence[Change]) -> None:
        """Makes changes of one part and action; returns when the cluster shows them."""
        part = changes[0].part
        if part in (Part.TABLES, Part.ACCOUNT):
            self._run([statement for one in changes for statement in one.after])
        elif part is Part.SCHEMAS:
            self._schemas(changes)
        elif part is Part.QUOTAS:
            by_text = {str(of): of for of in self._desired.quotas}
            put_quotas(self._kafka, {by_text[one.target]: one.after for one in changes})
        elif changes[0].action == "reassign":
            bound = self._desired.limits.reassignment_mb_per_second
            wanted = {one.target: int(one.after) for one in changes}
            set_replication(self._kafka, wanted, mb_per_second=bound, told=self._told)
        elif changes[0].action == "release":
            finish_throttle(self._kafka, [one.target for one in changes])
        else:
            admin = admin_client(self._kafka)
            {Part.USERS: self._users, Part.RULES: self._rules, Part.TOPICS: change_topics}[part](admin, changes)

    @property
    def _kafka(self) -> Mapping[str, Any]:
        return self._settings.acting_as("provisioning").kafka

    def _users(self, admin: AdminClient, changes: Sequence[Change]) -> None:
        set_passwords(admin, {one.target: resolve(one.after["password"]) for one in changes})

    def _rules(self, admin: AdminClient, changes: Sequence[Change]) -> None:
        by_text = {str(rule): rule for rule in self._desired.rules}
        rules = [by_text[one.target] for one in changes]
        if changes[0].action == "remove":
            remove_rules(admin, rules)
        else:
            put_rules(admin, rules)

    def _schemas(self, changes: Sequence[Change]) -> None:
        client = registry_client(self._settings.registry)
        for one in changes:
            wanted = self._desired.subjects[one.target]
            if one.action == "set level":
                ask_registry(wanted.name, lambda w=wanted: client.set_compatibility(w.name, level=w.level))  # type: ignore[misc]
            else:
                register_schema(client, wanted.name, wanted.schema, "JSON" if wanted.kind == "JSON" else "AVRO")

    def _run(self, statements: Iterable[str]) -> None:
        with open_warehouse(self._settings.warehouse) as connection:
            session = Session(connection)
            for statement in statements:
                session.execute(statement, doing=f"cannot provision with `{statement.splitlines()[0]}`")


def change_topics(admin: AdminClient, changes: Sequence[Change]) -> None:
    """Changes of topics, all of one action."""
    _TOPIC_ACTIONS[changes[0].action](admin, changes)


def _create(admin: AdminClient, changes: Sequence[Change]) -> None:
    new = [
        NewTopic(one.target, one.after["partitions"], one.after["replication_factor"], config=one.after["config"])
        for one in changes
    ]
    _await(admin.create_topics(new, request_timeout=REQUEST_SECONDS), but=KafkaError.TOPIC_ALREADY_EXISTS)
    _until_shown(lambda: {one.target for one in changes} <= set(_partitions(admin)))


def _grow(admin: AdminClient, changes: Sequence[Change]) -> None:
    wanted = [NewPartitions(one.target, one.after) for one in changes]
    _await(admin.create_partitions(wanted, request_timeout=REQUEST_SECONDS))
    _until_shown(lambda: all(_partitions(admin).get(one.target) == one.after for one in changes))


def _set(admin: AdminClient, changes: Sequence[Change]) -> None:
    # Two changes may be of one topic, and a request names it once.
    settings: dict[str, dict[str, str]] = {}
    for one in changes:
        settings.setdefault(one.target, {}).update(one.after)
    altered = [
        ConfigResource(
            ResourceType.TOPIC,
            topic,
            incremental_configs=[
                ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in values.items()
            ],
        )
        for topic, values in settings.items()
    ]
    futures = admin.incremental_alter_configs(altered, request_timeout=REQUEST_SECONDS)
    _await({resource.name: future for resource, future in futures.items()})

    def shown() -> bool:
        found = topic_configs(admin, settings)
        return all(values.items() <= found[topic].items() for topic, values in settings.items())

    _until_shown(shown)


def _delete(admin: AdminClient, changes: Sequence[Change]) -> None:
    names = [one.target for one in changes]
    _await(admin.delete_topics(names, request_timeout=REQUEST_SECONDS), but=KafkaError.UNKNOWN_TOPIC_OR_PART)
    _until_shown(lambda: not set(names) & set(_partitions(admin)))


_TOPIC_ACTIONS: Mapping[str, Callable[[AdminClient, Sequence[Change]], None]] = {
    "create": _create,
    "grow": _grow,
    "set": _set,
    "delete": _delete,
}


def _partitions(admin: AdminClient) -> dict[str, int]:
    try:
        listed = admin.list_topics(timeout=REQUEST_SECONDS)
    except KafkaException as error:
        raise translate(error) from error
    return {name: len(topic.partitions) for name, topic in listed.topics.items()}


def _await(futures: Mapping[str, Future[Any]], *, but: int | None = None) -> None:
    """Returns when all are done; `but`: the code of the refusal that means that it was done before."""
    for name, future in futures.items():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != but:
                raise translate(error, topic=name) from error


def _until_shown(shown: Callable[[], bool]) -> None:
    """Returns when the brokers, which learn of a change after the controller, show it."""
    deadline = time.monotonic() + SHOWN_WITHIN_S
    while not shown():
        if time.monotonic() > deadline:
            raise BrokerUnavailableError("the cluster took the changes but does not show them yet: apply again")
        time.sleep(0.1)
