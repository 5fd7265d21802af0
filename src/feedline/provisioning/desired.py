"""The declared state, from `include/provisioning.yaml`, the feed catalogue and the settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from feedline.batch.json_batch import json_schema_of
from feedline.batch.schemas import MANIFEST_SCHEMA, batch_schema, batch_subject, manifest_subject
from feedline.catalog import Catalog, Topic, default_catalog_path
from feedline.errors import ConfigurationError
from feedline.kafka.quotas import QUOTA_KEYS, QuotaOf, Values
from feedline.metadata.compatibility import DEFAULT_LEVEL
from feedline.metadata.ldm_ddl import described
from feedline.metadata.ldm_files import feed_model
from feedline.orders.topics import OrderTopics
from feedline.provisioning.account import Account, read_account
from feedline.provisioning.state import Desired, Limits, TableSet, WantedSubject
from feedline.provisioning.topics import topic_states
from feedline.security.order_principals import order_rules
from feedline.security.principals import OWN_OPERATIONS, Rule, Service, custodian_rules, rules
from feedline.security.references import is_reference
from feedline.settings import Settings
from feedline.warehouse.layout import feed_layout

SECTIONS = {"limits", "topics", "absent_topics", "custodians", "quotas", "drop_columns", "account", "orders"}


def default_file() -> Path:
    """`provisioning.yaml` beside the catalogue."""
    return default_catalog_path().with_name("provisioning.yaml")


def read_desired(settings: Settings, catalog: Catalog, file: Path | None = None) -> Desired:
    """What the file declares over what the catalogue implies.

    On a cluster in plain text users and rules are left out, with a note. Raises ConfigurationError that names the file
    and the entry that is wrong.
    """
    path = file or default_file()
    document = _document(path)
    try:
        return _desired(document, settings, catalog)
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        raise ConfigurationError(f"the declared state has a wrong entry: {error}", file=str(path)) from error


def declared_orders(file: Path | None = None) -> OrderTopics:
    """The topics of orders as the file declares them, its defaults when it declares none; raises ConfigurationError."""
    path = file or default_file()
    try:
        return _order_topics(_document(path)) or OrderTopics()
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"the declared state has a wrong entry: {error}", file=str(path)) from error


def _document(path: Path) -> Mapping[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(f"the declared state cannot be read: {error}", file=str(path)) from error
    if not isinstance(document, Mapping) or not set(document) <= SECTIONS:
        raise ConfigurationError(f"the declared state has other sections than {sorted(SECTIONS)}", file=str(path))
    return document


def _order_topics(document: Mapping[str, Any]) -> OrderTopics | None:
    """None: there are to be no orders."""
    return OrderTopics(**(document["orders"] or {})) if "orders" in document else None


def _desired(document: Mapping[str, Any], settings: Settings, catalog: Catalog) -> Desired:
    cap = settings.replication_factor
    explicit = [_explicit(name, entry or {}) for name, entry in (document.get("topics") or {}).items()]
    topics = {one.name: one for topic in catalog.topics() for one in topic_states(topic, cap)}
    topics |= {topic.name: topic_states(topic, cap)[0] for topic in explicit}
    subjects = {one.name: one for one in wanted_subjects(catalog)}
    table_sets: tuple[TableSet, ...] = ()
    orders = _order_topics(document)
    if orders:
        # With packages of the extra `orders`, which an installation without them need not have.
        from feedline.provisioning.orders import (  # noqa: PLC0415
            ORDER_TABLES,
            order_subjects,
            order_topics,
        )

        topics |= {one.name: one for one in order_topics(orders, cap)}
        subjects |= {one.name: one for one in order_subjects(orders)}
        table_sets = (ORDER_TABLES,)
    custodians: Mapping[str, Any] = document.get("custodians") or {}
    secured = str(settings.kafka.get("security.protocol", "PLAINTEXT")).upper().startswith("SASL")
    account = read_account(document.get("account") or {})
    notes = () if secured else ("the cluster is in plain text: users, their quotas and access rules are left out",)
    if account and "FAKESNOW_DB_PATH" in (settings.warehouse.get("session_parameters") or {}):
        account = Account()
        notes = (*notes, "the stand-in for Snowflake has no warehouses, roles and grants: they are left out")
    return Desired(
        topics=topics,
        absent=frozenset(map(str, document.get("absent_topics") or ())),
        users=_users(settings, custodians) if secured else {},
        rules=_rules(catalog, explicit, custodians, orders) if secured else frozenset(),
        quotas=_quotas(document.get("quotas") or (), secured=secured),
        subjects=subjects,
        feeds=tuple(
            (feed, described(feed_layout(feed), feed_model(feed, settings.catalog))) for feed in catalog.feeds.values()
        ),
        table_sets=table_sets,
        dropped_columns=tuple(_column(name) for name in document.get("drop_columns") or ()),
        account=account,
        limits=Limits(**(document.get("limits") or {})),
        notes=notes,
    )


def wanted_subjects(catalog: Catalog) -> Iterator[WantedSubject]:
    """The manifest of every topic and the batch of every feed."""
    for topic in catalog.topics():
        yield WantedSubject(manifest_subject(topic.name), MANIFEST_SCHEMA)
    for feed in catalog.feeds.values():
        schema = batch_schema(feed)
        if feed.serialization == "json":
            yield WantedSubject(batch_subject(feed), json_schema_of(schema), "JSON", DEFAULT_LEVEL)
        else:
            yield WantedSubject(batch_subject(feed), schema, "AVRO", DEFAULT_LEVEL)


def _explicit(name: str, entry: Mapping[str, Any]) -> Topic:
    return Topic(name=str(name), **{"partitions": 1, **entry})


def _users(settings: Settings, custodians: Mapping[str, Any]) -> dict[str, Mapping[str, str]]:
    """Services as the settings know them, and custodians; a password in the clear is refused."""
    named: dict[str, Any] = {
        str(one.get("sasl.username")): one.get("sasl.password") for one in settings.principals.values()
    }
    named |= {str(name): entry["password"] for name, entry in custodians.items()}
    for user, password in named.items():
        if not is_reference(password):
            raise ConfigurationError(
                f"the password of {user} must be named, not given: use {{file: ...}} or {{env: ...}}"
            )
    return named


def _rules(
    catalog: Catalog, explicit: list[Topic], custodians: Mapping[str, Any], orders: OrderTopics | None
) -> frozenset[Rule]:
    own = [
        Rule(str(Service.PROVISIONING), "TOPIC", topic.name, operation)
        for topic in explicit
        for operation in OWN_OPERATIONS
    ]
    theirs = [rule for name, entry in custodians.items() for rule in custodian_rules(str(name), str(entry["topic"]))]
    of_orders = order_rules(orders) if orders else ()
    return frozenset([*rules(catalog.topics()), *of_orders, *own, *theirs])


def _quotas(entries: Iterable[Mapping[str, Any]], *, secured: bool) -> dict[QuotaOf, Values]:
    """By whom they are for; on a cluster that knows no users, those of client ids only."""
    found: dict[QuotaOf, Values] = {}
    for entry in entries:
        values = {key: None if value is None else float(value) for key, value in entry.items() if key in QUOTA_KEYS}
        others = set(entry) - set(QUOTA_KEYS) - {"user", "client"}
        if others or not values or any(value is not None and value < 0 for value in values.values()):
            raise ConfigurationError(
                f"quotas: an entry needs values of {', '.join(QUOTA_KEYS)}, and knows no other key"
            )
        of = QuotaOf(str(entry.get("user", "")), str(entry.get("client", "")))
        if of in found:
            raise ConfigurationError(f"quotas: {of} is declared twice")
        if secured or not of.user:
            found[of] = values
    return found


def _column(name: str) -> tuple[str, str]:
    table, _, column = str(name).rpartition(".")
    if not table:
        raise ConfigurationError(f"drop_columns: {name!r} must be TABLE.COLUMN")
    return table.upper(), column.upper()
