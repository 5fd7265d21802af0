"""A feed that is to be added: what a person has decided of it, and all that follows from that.

Nothing is written here; `feedline.metadata.added_feeds` does that.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from feedline.batch.schemas import batch_subject
from feedline.catalog import Catalog, Feed
from feedline.catalog.feeds import FEED_NAME
from feedline.catalog.loading import feed_of
from feedline.errors import ConfigurationError, FeedTakenError
from feedline.metadata.discovery.decide import FORM, FORMAT, ORIGINAL
from feedline.metadata.draft import with_keys
from feedline.metadata.edits import edited, find_field, renamed
from feedline.metadata.fields import SchemaField, schema_fields
from feedline.metadata.ldm import DEFAULT_OWNER, Classification, LogicalModel, business_name, ldm_of_schema
from feedline.metadata.ldm_ddl import ddl_preview
from feedline.metadata.ldm_relations import relations_between
from feedline.warehouse.layout import feed_layout
from feedline.warehouse.names import current_view

# Names that something else has: a task of the feed Dags, an address of the metadata service.
RESERVED = frozenset({"choose_feeds", "search"})


@dataclass(frozen=True, slots=True)
class Words:
    """What people call an attribute; None leaves what the schema's names give."""

    name: str | None = None
    classification: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class NewFeed:
    """avro: the schema that discovery or a producer gave; edits: of it, as `feedline.metadata.edits.edited` takes them,
    by the paths that avro has; words: by those paths too. topic: one of the catalogue, its first when None. rows and
    size: records and bytes of a business date, as far as anybody knows."""

    name: str
    avro: Mapping[str, Any] = field(repr=False)
    title: str = ""
    owner: str = ""
    description: str = ""
    topic: str | None = None
    edits: tuple[Mapping[str, Any], ...] = ()
    words: Mapping[str, Words] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    control_totals: tuple[str, ...] = ()
    fund_field: str | None = None
    serialization: Literal["avro", "json"] = "avro"
    rows: int = 1
    size: int = 0


@dataclass(frozen=True, slots=True)
class Addition:
    """What adding a feed writes and makes. entry: its catalogue entry; ddl: the statements of its tables; converted:
    paths of fields that stand otherwise in the documents than in the feed's files."""

    feed: Feed
    model: LogicalModel = field(repr=False)
    entry: Mapping[str, Any] = field(repr=False)
    ddl: tuple[str, ...] = field(repr=False)
    converted: tuple[str, ...] = ()


def shaped(new: NewFeed) -> dict[str, Any]:
    """The feed's schema: the edits made, the descriptions in it, a renamed field with the name that documents have.

    Raises ConfigurationError for what cannot be done.
    """
    schema_fields(new.avro)
    schema: dict[str, Any] = copy.deepcopy(dict(new.avro))
    for path, words in new.words.items():
        _, entry = find_field(schema, path)
        if words.description:
            entry["doc"] = words.description
    names = _new_names(new.edits)
    for path, name in names.items():
        _, entry = find_field(schema, path)
        if name != entry["name"]:
            entry.setdefault(ORIGINAL, entry["name"])
    # What lies below a renamed field is edited by its old path, so before it.
    schema = edited(schema, sorted(new.edits, key=lambda one: -str(one.get("path", "")).count(".")))
    if new.keys:
        schema = with_keys(schema, [renamed(key, names) for key in new.keys])
    if new.description:
        schema["doc"] = new.description
    fields = schema.pop("fields")
    return {**schema, "fields": fields}


def addition_of(new: NewFeed, catalog: Catalog, folder: Path) -> Addition:
    """All that follows from it, beside the feeds that there are; folder: the catalogue's.

    Raises ConfigurationError, and FeedTakenError when a name that it needs belongs to another feed.
    """
    others = {name: one for name, one in catalog.feeds.items() if name != new.name}
    if new.name in RESERVED or not FEED_NAME.match(new.name):
        raise ConfigurationError(
            f"{new.name[:80]!r} cannot be the name of a feed: 2 to 63 lower-case letters, digits and _, the first a "
            f"letter, and not {' or '.join(sorted(RESERVED))}"
        )
    topics = {one.name: one for one in catalog.topics()}
    topic = new.topic or next(iter(topics))
    if topic not in topics:
        raise ConfigurationError(
            f"no topic {topic[:80]!r} in the catalogue; it has: {', '.join(topics)}", feed=new.name
        )
    schema = shaped(new)
    if not schema.get("businessKeys"):
        raise ConfigurationError(
            "no field names a record, and a table needs to know: declare the business keys", feed=new.name
        )
    schema = with_keys(schema, schema["businessKeys"])
    entry = _entry(new, topic)
    feed = feed_of(new.name, entry, topics, folder, schema)
    _check_totals(feed)
    layout = feed_layout(feed)
    _refuse_taken(feed, others.values())
    model = _model(new, feed, others)
    converted = tuple(one.path for one in schema_fields(schema) if _stands_otherwise(one))
    return Addition(feed, model, entry, ddl_preview(feed, layout, model), converted)


def described_fields(new: NewFeed) -> list[tuple[SchemaField, Words]]:
    """Every field as it would be, with what people would call it, also where there can be no table yet."""
    names = _new_names(new.edits)
    words = {renamed(path, names): one for path, one in new.words.items()}
    return [(one, words.get(one.path, Words())) for one in schema_fields(shaped(new))]


def _new_names(edits: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {str(one.get("path", "")): str(one["name"]) for one in edits if one.get("name") and "add" not in one}


def _entry(new: NewFeed, topic: str) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "title": new.title.strip() or business_name(new.name),
        "topic": topic,
        "schema": f"schemas/{new.name}.avsc",
        "serialization": new.serialization,
        "volume": {"rows": max(1, new.rows), "kilobytes": max(1, new.size // 1000)},
    }
    names = _new_names(new.edits)
    if new.control_totals:
        entry["control_totals"] = [renamed(path, names) for path in new.control_totals]
    if new.fund_field:
        entry["fund_field"] = renamed(new.fund_field, names)
    return entry


def _check_totals(feed: Feed) -> None:
    fields = {one.path: one for one in schema_fields(feed.schema)}
    for path in feed.control_totals:
        one = fields.get(path)
        if one is None or one.kind not in ("decimal", "long", "int") or "[]" in path:
            raise ConfigurationError(
                "a control total is a decimal or an integer that a record has once", feed=feed.name, field=path
            )
    if feed.fund_field and (feed.fund_field not in fields or not fields[feed.fund_field].is_leaf):
        raise ConfigurationError("no such field to name the fund", feed=feed.name, field=feed.fund_field)


def _refuse_taken(feed: Feed, others: Iterable[Feed]) -> None:
    own = _relations_of(feed)
    for other in others:
        taken = own & _relations_of(other)
        if taken:
            raise FeedTakenError(
                f"the table or view {min(taken)} belongs to the feed {other.name}: choose another name", feed=feed.name
            )
        if batch_subject(other) == batch_subject(feed):
            raise FeedTakenError(
                f"the record {feed.full_name} is that of the feed {other.name} on the same topic: give the schema's "
                "record another name",
                feed=feed.name,
            )


def _relations_of(feed: Feed) -> set[str]:
    """Names of its tables and views."""
    tables = {table.name for table in feed_layout(feed).tables()}
    return tables | {current_view(table) for table in tables}


def _model(new: NewFeed, feed: Feed, others: Mapping[str, Feed]) -> LogicalModel:
    derived = ldm_of_schema(feed.schema, feed)
    names = _new_names(new.edits)
    words = {renamed(path, names): one for path, one in new.words.items()}
    entities = tuple(
        replace(
            entity,
            attributes=tuple(
                replace(
                    one,
                    name=told.name or one.name,
                    classification=(
                        Classification.of(told.classification) if told.classification else one.classification
                    ),
                    # What the documents call it is no name that the attribute had here.
                    former=(),
                )
                for one in entity.attributes
                for told in (words.get(one.path, Words()),)
            ),
        )
        for entity in derived.entities
    )
    return replace(
        derived,
        owner=new.owner.strip() or DEFAULT_OWNER,
        entities=entities,
        relations=(*derived.relations, *relations_between(Catalog({**others, feed.name: feed}), feed)),
    )


def _stands_otherwise(one: SchemaField) -> bool:
    """Whether `feedline.metadata.discovery.records` has to rewrite the field."""
    spec = one.spec
    form = spec.get(FORM) if isinstance(spec, Mapping) else None
    dated = isinstance(spec, Mapping) and FORMAT in spec
    return ORIGINAL in one.attributes or dated or form in ("json", "number", "empty", "map")
