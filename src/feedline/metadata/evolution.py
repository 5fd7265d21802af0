"""A feed's schema from one version to the next, end to end: held against the versions before it, the tables made
ready, registered, written into the files.

The order is what makes it safe while producers and loaders run: everything is checked before anything is changed; the
tables change before a message of the new version can exist, and only by adding and widening, so that the old version
goes on loading; a run that was killed anywhere is finished by running it again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from snowflake.connector import SnowflakeConnection

from feedline.batch.json_batch import json_schema_of
from feedline.batch.schemas import batch_schema, batch_subject
from feedline.catalog import Catalog, Feed
from feedline.errors import ConfigurationError, LostRaceError
from feedline.metadata.compatibility import DEFAULT_LEVEL, Finding, Severity, Verdict, check_compatibility
from feedline.metadata.ldm import LogicalModel
from feedline.metadata.ldm_ddl import create_tag, described, tag_statements
from feedline.metadata.registry_errors import INCOMPATIBLE, INVALID_SCHEMA, SchemaRefusedError
from feedline.metadata.subjects import Subjects, Version
from feedline.warehouse.connection import Session
from feedline.warehouse.layout import feed_layout, metadata_of
from feedline.warehouse.names import DATA_SCHEMA, current_view, fence_table
from feedline.warehouse.provision import Existing, existing_columns, missing_statements, provision_tables

# Where a version whose registered text is a JSON Schema keeps the record schema that the tables are made from.
AVRO_PROPERTY = "feedline.avro"
ROLLBACK_PROPERTY = "rollback"


@dataclass(frozen=True, slots=True)
class EvolutionPlan:
    """What registering a schema would do. base: the version it follows, 0 when it would be the first; statements: what
    changes in the warehouse."""

    feed: Feed = field(repr=False)
    base: int
    verdict: Verdict
    statements: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """As the API and the command show it."""
        return {
            "feed": self.feed.name,
            "base": self.base,
            "compatible": self.verdict.compatible,
            "level": self.verdict.level,
            "summary": self.verdict.summary,
            "changes": [
                {"kind": one.kind.value, "path": one.path, "before": one.before, "after": one.after, "text": one.text}
                for one in self.verdict.changes
            ],
            "findings": [
                {**asdict(one), "severity": one.severity.value, "text": one.text} for one in self.verdict.findings
            ],
            "ddl": list(self.statements),
        }


def record_schemas(subjects: Subjects, feed: Feed) -> list[tuple[Version, Mapping[str, Any]]]:
    """Every version of a feed with the schema of its records, oldest first; none when none is registered."""
    subject = batch_subject(feed)
    return [(one, record_of(one, feed)) for one in subjects.history(subject)] if subjects.has(subject) else []


def record_of(version: Version, feed: Feed) -> Mapping[str, Any]:
    """The schema of the records in a version's batches; of a feed sent as JSON the one it was registered with, the
    catalogue's when it was registered elsewhere."""
    if version.kind == "JSON":
        kept = ((version.metadata or {}).get("properties") or {}).get(AVRO_PROPERTY)
        return json.loads(kept) if kept else feed.schema
    try:
        record: Mapping[str, Any] = version.schema["fields"][0]["type"]["items"]
    except (KeyError, TypeError, IndexError):
        raise SchemaRefusedError(
            INVALID_SCHEMA, f"version {version.version} of {version.subject} is not a batch of records", feed=feed.name
        ) from None
    # Registries leave out the namespace of what lies in a type that has the same one.
    namespace = version.schema.get("namespace")
    return record if "namespace" in record or not namespace else {**_head(record), "namespace": namespace, **record}


def _head(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: record[name] for name in ("type", "name") if name in record}


def needed_fields(feed: Feed) -> tuple[str, ...]:
    """What the catalogue uses of a feed's records."""
    return tuple(filter(None, (*feed.business_keys, *feed.control_totals, feed.fund_field, feed.batch.group_by)))


def plan_evolution(
    feed: Feed,
    schema: Mapping[str, Any],
    versions: list[tuple[Version, Mapping[str, Any]]],
    level: str = DEFAULT_LEVEL,
    *,
    model: LogicalModel | None = None,
    existing: Existing | None = None,
) -> EvolutionPlan:
    """What a schema would change; nothing is changed. existing: the warehouse's columns, else those that the last
    version's tables have. Raises ConfigurationError for a schema that cannot be read."""
    history = [(version.version, record) for version, record in versions]
    verdict = check_compatibility(schema, history, level, needed=needed_fields(feed))
    try:
        after = replace(feed, schema=schema)
        layout = feed_layout(after)
    except ConfigurationError as error:
        why = "A feed's records are kept in tables."
        finding = Finding(
            Severity.BREAKING, error.where.field or "", error.reason, why, "change that part of the schema."
        )
        return EvolutionPlan(feed, _base(versions), replace(verdict, findings=(finding, *verdict.findings)), ())
    if existing is None:
        existing = _columns_of(replace(feed, schema=history[-1][1])) if history else {}
    statements = missing_statements(after, existing, described(layout, model) if model else layout)
    tags = [create_tag(), *tag_statements(model)] if model and statements else []
    return EvolutionPlan(after, _base(versions), verdict, (*statements, *tags))


def evolve(
    feed: Feed,
    schema: Mapping[str, Any],
    *,
    subjects: Subjects,
    connection: SnowflakeConnection,
    by: str,
    what: str = "",
    model: LogicalModel | None = None,
    expected: int | None = None,
) -> tuple[EvolutionPlan, Version]:
    """Checks, makes the tables ready, registers. expected: the version that the caller has looked at.

    Raises SchemaRefusedError 40901 with the findings before anything is changed, LostRaceError when another version
    was registered in between, and what registry, broker and warehouse raise; running it again finishes what was begun.
    """
    subject = batch_subject(feed)
    versions = record_schemas(subjects, feed)
    level = subjects.level(subject) if versions else DEFAULT_LEVEL
    plan = plan_evolution(feed, schema, versions, level if level != "NONE" else DEFAULT_LEVEL, model=model)
    if expected is not None and plan.base != expected:
        raise LostRaceError(
            f"version {plan.base} was registered since version {expected} was looked at: look at it, then register "
            "again",
            feed=feed.name,
        )
    text, kind = registered_form(plan.feed)
    refuse_incompatible(plan)
    if versions and not subjects.compatible(subject, text, "latest", kind):
        raise SchemaRefusedError(
            INCOMPATIBLE,
            f"the registry finds the schema incompatible ({level}) with version {plan.base}",
            feed=feed.name,
        )
    provision_tables(
        connection,
        Catalog({feed.name: plan.feed}),
        layout_of=lambda one: described(feed_layout(one), model) if model else feed_layout(one),
        tags_of=lambda _: (create_tag(), *tag_statements(model)) if model else (),
    )
    metadata = {"properties": {AVRO_PROPERTY: json.dumps(schema)}} if kind == "JSON" else None
    registered = subjects.register(subject, text, kind=kind, by=by, what=what, metadata=metadata)
    subjects.ensure_level(subject, DEFAULT_LEVEL)
    return plan, registered


def refuse_incompatible(plan: EvolutionPlan) -> None:
    """Raises SchemaRefusedError 40901 with what to do instead, unless the plan is compatible."""
    broken = [one for one in plan.verdict.findings if one.severity is Severity.BREAKING]
    if broken:
        reasons = " ".join(one.text for one in broken[:5])
        raise SchemaRefusedError(INCOMPATIBLE, reasons, plan.document(), feed=plan.feed.name)


def roll_back(feed: Feed, to: int, *, subjects: Subjects, by: str, expected: int | None = None) -> Version:
    """Makes an earlier version the latest again, as a new version: nothing is deleted, so every message on the topic
    can still be read, and the tables keep their columns.

    Raises SchemaRefusedError 40402 for a version there is not, 40901 when messages of the later versions could not be
    read by it (symbols of an enum without a default, for example), LostRaceError as `evolve`.
    """
    subject = batch_subject(feed)
    versions = record_schemas(subjects, feed)
    target = next((record for version, record in versions if version.version == to), None)
    latest = versions[-1][0].version if versions else 0
    if target is None:
        raise SchemaRefusedError(40402, f"Version {to} not found.", feed=feed.name)
    if expected is not None and latest != expected:
        raise LostRaceError(f"version {latest} was registered since version {expected} was looked at", feed=feed.name)
    if to == latest:
        raise ConfigurationError(f"version {to} is the latest already: there is nothing to roll back", feed=feed.name)
    text, kind = registered_form(replace(feed, schema=target))
    # Registries give an equal text its old version; a mark makes it a new one.
    text = {**text, ROLLBACK_PROPERTY: {"to": to, "from": latest}}
    if not subjects.compatible(subject, text, "latest", kind):
        raise SchemaRefusedError(
            INCOMPATIBLE,
            f"messages of version {latest} could not be read with version {to}: register a version that has both "
            "instead",
            feed=feed.name,
        )
    metadata = {"properties": {AVRO_PROPERTY: json.dumps(target)}} if kind == "JSON" else None
    what = f"rolled back to version {to}"
    return subjects.register(subject, text, kind=kind, by=by, what=what, metadata=metadata)


def registered_form(feed: Feed) -> tuple[dict[str, Any], str]:
    """The batch schema as it is registered, and its kind."""
    schema = batch_schema(feed)
    return (json_schema_of(schema), "JSON") if feed.serialization == "json" else (schema, "AVRO")


def warehouse_columns(connection: SnowflakeConnection) -> Existing:
    """For `plan_evolution`: what the warehouse has now."""
    return existing_columns(Session(connection))


def _base(versions: list[tuple[Version, Mapping[str, Any]]]) -> int:
    return versions[-1][0].version if versions else 0


def _columns_of(feed: Feed) -> Existing:
    """The columns that the tables and views of a schema have."""
    found: dict[str, dict[str, tuple[int, int] | None]] = {fence_table(feed.table).replace('"', ""): {}}
    for table in feed_layout(feed).tables():
        columns = {one.name: _number(one.sql_type) for one in (*table.columns, *metadata_of(table))}
        found[f"{DATA_SCHEMA}.{table.name}"] = columns
        found[f"{DATA_SCHEMA}.{current_view(table.name)}"] = columns
    return found


def _number(sql_type: str) -> tuple[int, int] | None:
    if not sql_type.startswith("NUMBER("):
        return None
    precision, scale = sql_type[7:-1].split(",")
    return int(precision), int(scale)
