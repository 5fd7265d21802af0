"""The ordered changes that turn what is there into what is declared, each with its risk; nothing is changed here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from feedline.provisioning.account import alter_warehouse, create_role, create_warehouse, statements
from feedline.provisioning.state import ALL_PARTS, Actual, Desired, Part, TopicState, WantedSubject
from feedline.warehouse.ddl import CONTROL_STATEMENTS
from feedline.warehouse.names import DATA_SCHEMA, data_table, quoted
from feedline.warehouse.provision import has_control_tables, missing_statements


class Risk(StrEnum):
    """safe: adds; caution: changes how what is there behaves; irreversible: what is gone does not come back."""

    SAFE = "safe"
    CAUTION = "caution"
    IRREVERSIBLE = "irreversible"


class Allow(StrEnum):
    """The explicit words for what cannot be undone."""

    DELETE_DATA = "delete-data"
    DROP_COLUMN = "drop-column"
    FEWER_REPLICAS = "fewer-replicas"
    SHORTEN_RETENTION = "shorten-retention"


@dataclass(frozen=True, slots=True)
class Change:
    """One change. before, after: JSON values; needs: the word without which it is not made; blocked: why it cannot be
    made by this program at all, with what to do instead."""

    part: Part
    action: str
    target: str
    before: Any
    after: Any
    risk: Risk = Risk.SAFE
    needs: Allow | None = None
    blocked: str = ""

    @property
    def place(self) -> tuple[str, str]:
        """What it changes, whatever has been done of it already."""
        return (self.part.value, self.target)

    def document(self) -> dict[str, Any]:
        """As commands, the API and the journal show it."""
        return {
            "part": self.part.value,
            "action": self.action,
            "target": self.target,
            "before": self.before,
            "after": self.after,
            "risk": self.risk.value,
            "needs": self.needs.value if self.needs else None,
            "blocked": self.blocked or None,
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """changes: in the order in which they are made; problems: limits that the whole would break, and nothing is begun
    while there are any; notes: what was left out."""

    cluster_id: str
    changes: tuple[Change, ...]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def fingerprint(self) -> str:
        """The same for the same changes from the same state of the same cluster."""
        text = json.dumps([self.cluster_id, *(one.document() for one in self.changes)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def held(self, allowed: Collection[Allow] = ()) -> tuple[Change, ...]:
        """The changes that would not be made with these words."""
        return tuple(one for one in self.changes if one.blocked or (one.needs and one.needs not in allowed))

    def without(self, held: Collection[Change]) -> Plan:
        """The rest, as a plan of its own."""
        return Plan(self.cluster_id, tuple(one for one in self.changes if one not in held), self.problems, self.notes)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "fingerprint": self.fingerprint,
            "cluster": self.cluster_id,
            "changes": [one.document() for one in self.changes],
            "problems": list(self.problems),
            "notes": list(self.notes),
        }


def plan(desired: Desired, actual: Actual, parts: Iterable[Part] = ALL_PARTS) -> Plan:
    """What has to be done. Topics, users, rules and columns that are not declared are left alone."""
    wanted = set(parts)
    changes = tuple(change for part in ALL_PARTS if part in wanted for change in _CHANGES_OF[part](desired, actual))
    problems = tuple(_problems(desired, actual)) if Part.TOPICS in wanted else ()
    return Plan(actual.cluster_id, changes, problems, desired.notes)


def plan_destroy(desired: Desired, actual: Actual, parts: Iterable[Part] = (Part.TOPICS, Part.RULES)) -> Plan:
    """Takes away the declared topics, rules and tables that are there, the last made first; never an internal topic,
    a user, a schema or a control table: messages that are kept elsewhere could not be read or accounted for."""
    wanted = set(parts)
    changes: list[Change] = []
    if Part.TABLES in wanted:
        changes += _tables_gone(desired, actual)
    if Part.TOPICS in wanted:
        changes += [_delete(actual.topics[name]) for name in sorted(set(desired.topics) & set(actual.topics))]
    if Part.RULES in wanted:
        changes += [
            Change(Part.RULES, "remove", str(rule), "allowed", None, Risk.CAUTION)
            for rule in sorted(desired.rules & actual.rules)
        ]
    return Plan(actual.cluster_id, tuple(changes), (), desired.notes)


def _users(desired: Desired, actual: Actual) -> Iterator[Change]:
    for user in sorted(set(desired.users) - actual.users):
        # The reference, as the secret itself is read when the user is made.
        yield Change(Part.USERS, "create", user, None, {"password": dict(desired.users[user])})


def _rules(desired: Desired, actual: Actual) -> Iterator[Change]:
    for rule in sorted(desired.rules - actual.rules):
        yield Change(Part.RULES, "allow", str(rule), None, "allowed")


def _quotas(desired: Desired, actual: Actual) -> Iterator[Change]:
    for of, values in sorted(desired.quotas.items()):
        has = actual.quotas.get(of, {})
        differing = {key: value for key, value in sorted(values.items()) if has.get(key) != value}
        if differing:
            before = {key: has.get(key) for key in differing}
            yield Change(Part.QUOTAS, "set", str(of), before, differing, Risk.CAUTION)


def _topics(desired: Desired, actual: Actual) -> Iterator[Change]:
    for name, topic in desired.topics.items():
        there = actual.topics.get(name)
        if there is None:
            yield Change(Part.TOPICS, "create", name, None, _shape(topic))
        else:
            yield from _topic_changes(topic, there)
    yield from (_delete(actual.topics[name]) for name in sorted(desired.absent & set(actual.topics)))


def _topic_changes(wanted: TopicState, there: TopicState) -> Iterator[Change]:
    if wanted.partitions > there.partitions:
        why = (
            "the records of a key would no longer share a partition, nor keep their order: declare as many as it has, "
            "or let all be read and make a new topic"
        )
        risk = Risk.IRREVERSIBLE if wanted.keyed else Risk.SAFE
        blocked = why if wanted.keyed else ""
        yield Change(Part.TOPICS, "grow", wanted.name, there.partitions, wanted.partitions, risk, blocked=blocked)
    elif wanted.partitions < there.partitions:
        why = (
            "Kafka cannot take partitions from a topic: declare as many as it has, or make a new topic and move its "
            "records"
        )
        yield Change(
            Part.TOPICS, "shrink", wanted.name, there.partitions, wanted.partitions, Risk.IRREVERSIBLE, blocked=why
        )
    fewer = wanted.replication_factor < there.replication_factor
    moved = [_reassigned(wanted, there)] if wanted.replication_factor != there.replication_factor else []
    # More replicas before a higher minimum of those in sync, and a lower minimum before fewer replicas: so records are
    # taken all the while.
    yield from moved if not fewer else ()
    yield from _settings_changes(wanted, there)
    yield from moved if fewer else ()
    if there.throttled and not moved:
        yield Change(Part.TOPICS, "release", wanted.name, "throttled", "not throttled")


def _reassigned(wanted: TopicState, there: TopicState) -> Change:
    before, after = there.replication_factor, wanted.replication_factor
    needs = Allow.FEWER_REPLICAS if after < before else None
    return Change(Part.TOPICS, "reassign", wanted.name, before, after, Risk.CAUTION, needs)


def _settings_changes(wanted: TopicState, there: TopicState) -> Iterator[Change]:
    differing = {key: value for key, value in wanted.config.items() if there.config.get(key) != value}
    shorter = {key: value for key, value in differing.items() if key == "retention.ms" and _shorter(there, value)}
    for settings, risk, needs in (
        ({key: value for key, value in differing.items() if key not in shorter}, Risk.CAUTION, None),
        (shorter, Risk.IRREVERSIBLE, Allow.SHORTEN_RETENTION),
    ):
        if settings:
            before_settings = {key: there.config.get(key) for key in settings}
            yield Change(Part.TOPICS, "set", wanted.name, before_settings, settings, risk, needs)


def _shorter(there: TopicState, wanted: str) -> bool:
    """Whether records that are kept now would be deleted; -1 keeps them for ever."""
    has = int(there.config.get("retention.ms", wanted))
    return int(wanted) >= 0 and (has < 0 or int(wanted) < has)


def _delete(there: TopicState) -> Change:
    risk, needs = (Risk.IRREVERSIBLE, Allow.DELETE_DATA) if there.records else (Risk.CAUTION, None)
    return Change(Part.TOPICS, "delete", there.name, {**_shape(there), "records": there.records}, None, risk, needs)


def _shape(topic: TopicState) -> dict[str, Any]:
    return {
        "partitions": topic.partitions,
        "replication_factor": topic.replication_factor,
        "config": dict(sorted(topic.config.items())),
    }


def _subjects(desired: Desired, actual: Actual) -> Iterator[Change]:
    for name, wanted in desired.subjects.items():
        there = actual.subjects[name]
        if not there.has_wanted:
            risk = Risk.CAUTION if there.versions else Risk.SAFE
            after = {"versions": there.versions + 1, "kind": wanted.kind, "sha256": digest(wanted)}
            yield Change(Part.SCHEMAS, "register", name, {"versions": there.versions}, after, risk)
        if wanted.level and there.level in (None, "NONE"):
            yield Change(Part.SCHEMAS, "set level", name, there.level, wanted.level)


def digest(subject: WantedSubject) -> str:
    """Of its schema, as the plan shows it."""
    return hashlib.sha256(json.dumps(subject.schema, sort_keys=True).encode()).hexdigest()


def _tables(desired: Desired, actual: Actual) -> Iterator[Change]:
    if desired.control_tables and not has_control_tables(actual.tables):
        yield Change(Part.TABLES, "run", "control tables", None, list(CONTROL_STATEMENTS))
    for feed, layout in desired.feeds:
        missing = missing_statements(feed, actual.tables, layout, actual.views)
        if missing:
            yield _tables_made(feed.name, missing)
    for tables in desired.table_sets:
        missing = tables.missing(actual.tables, actual.views)
        if missing:
            yield _tables_made(tables.name, missing)
    for table, column in desired.dropped_columns:
        if column in actual.tables.get(f"{DATA_SCHEMA}.{table}", ()):
            statement = f"ALTER TABLE {data_table(table)} DROP COLUMN {quoted(column)}"
            yield Change(
                Part.TABLES, "drop", f"{table}.{column}", "a column", [statement], Risk.IRREVERSIBLE, Allow.DROP_COLUMN
            )


def _tables_made(name: str, made_by: list[str]) -> Change:
    # What is only made anew, with nothing made before it, is there already and changes.
    alters = any(one.startswith("ALTER") for one in made_by) or all("VIEW" in one.split(" AS\n")[0] for one in made_by)
    return Change(Part.TABLES, "run", name, None, made_by, Risk.CAUTION if alters else Risk.SAFE)


def _account(desired: Desired, actual: Actual) -> Iterator[Change]:
    wanted, there = desired.account, actual.account
    for name, compute in sorted(wanted.warehouses.items()):
        has = there.warehouses.get(name)
        if has is None:
            # It costs as soon as somebody works with it.
            yield _run(f"warehouse {name}", None, [create_warehouse(name, compute)], Risk.CAUTION)
        elif has != compute:
            yield _run(f"warehouse {name}", asdict(has), [alter_warehouse(name, compute)], Risk.CAUTION)
    for role in sorted(wanted.roles - there.roles):
        yield _run(f"role {role}", None, [create_role(role)])
    for grant in sorted(wanted.grants - there.grants):
        yield _run(str(grant), None, statements(grant))


def _run(target: str, before: Any, made_by: list[str], risk: Risk = Risk.SAFE) -> Change:
    return Change(Part.ACCOUNT, "run", target, before, made_by, risk)


def _tables_gone(desired: Desired, actual: Actual) -> Iterator[Change]:
    for feed, layout in desired.feeds:
        names = [table.name for table in layout.tables()]
        views = [f"DROP VIEW IF EXISTS {data_table(f'{name}_CURRENT')}" for name in reversed(names)]
        tables = [f"DROP TABLE IF EXISTS {data_table(name)}" for name in reversed(names)]
        if any(f"{DATA_SCHEMA}.{name}" in actual.tables for name in names):
            yield Change(
                Part.TABLES, "drop", feed.name, "tables", [*views, *tables], Risk.IRREVERSIBLE, Allow.DELETE_DATA
            )

    for tables_of in desired.table_sets:
        statements_of = [
            f"DROP {'VIEW' if name in tables_of.views else 'TABLE'} IF EXISTS {data_table(name, tables_of.schema)}"
            for name in tables_of.names
        ]
        if any(f"{tables_of.schema}.{name}" in actual.tables for name in tables_of.names):
            yield Change(
                Part.TABLES, "drop", tables_of.name, "tables", statements_of, Risk.IRREVERSIBLE, Allow.DELETE_DATA
            )


def _problems(desired: Desired, actual: Actual) -> Iterator[str]:
    """The limits that the cluster would be over when everything was made."""
    new = [one for name, one in desired.topics.items() if name not in actual.topics]
    grown = [(one, actual.topics[name]) for name, one in desired.topics.items() if name in actual.topics]
    for one in desired.topics.values():
        if one.replication_factor > actual.brokers:
            yield f"{one.name} needs {one.replication_factor} replicas, the cluster has {actual.brokers} brokers"
    topics = actual.all_topics + len(new)
    if topics > desired.limits.topics:
        yield f"there would be {topics} topics, more than the limit of {desired.limits.topics}"
    added = sum(one.partitions * one.replication_factor for one in new)
    added += sum(
        max(0, one.partitions * one.replication_factor - there.partitions * there.replication_factor)
        for one, there in grown
    )
    bound = desired.limits.replicas_per_broker * actual.brokers
    if added and actual.replicas + added > bound:
        total = actual.replicas + added
        yield f"there would be {total} partition replicas, more than {bound} for {actual.brokers} brokers"


_CHANGES_OF: Mapping[Part, Any] = {
    Part.USERS: _users,
    Part.RULES: _rules,
    Part.QUOTAS: _quotas,
    Part.TOPICS: _topics,
    Part.SCHEMAS: _subjects,
    Part.TABLES: _tables,
    Part.ACCOUNT: _account,
}
