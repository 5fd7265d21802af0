"""The logical data model of a feed: its entities and attributes as the business calls them, who may see them, and how
they relate.

Types, keys and structure follow the feed's Avro schema; business names, descriptions, classification and owner are
people's, kept in a reviewed file beside the schema (`include/ldm/<feed>.yaml`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from feedline.catalog import Feed
from feedline.errors import ConfigurationError
from feedline.metadata.fields import SchemaField, business_keys, schema_fields
from feedline.warehouse.layout import Column, Source, TableLayout, feed_layout


class Classification(Enum):
    """Who may see an attribute; later ones are stricter."""

    PUBLIC = "public"
    INTERNAL = "internal"
    CONFIDENTIAL = "confidential"
    PERSONAL = "personal"

    @classmethod
    def of(cls, name: str) -> Classification:
        """Raises ConfigurationError for a name that is none of them."""
        try:
            return cls(name)
        except ValueError:
            known = ", ".join(one.value for one in cls)
            raise ConfigurationError(f"no classification {name!r}: there are {known}") from None


@dataclass(frozen=True, slots=True)
class Attribute:
    """path: of the field in the feed's records, `[]` behind an array; name: what the business calls it; type: in
    words; column and sql_type: where it is stored; key: part of the entity's key; former: names it had."""

    path: str
    name: str
    type: str
    column: str
    sql_type: str
    description: str = ""
    classification: Classification = Classification.INTERNAL
    key: bool = False
    optional: bool = False
    former: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entity:
    """One table. path: of the array whose items are its rows, empty for the feed's own records."""

    name: str
    title: str
    table: str
    attributes: tuple[Attribute, ...]
    path: str = ""
    description: str = ""

    @property
    def keys(self) -> tuple[Attribute, ...]:
        return tuple(one for one in self.attributes if one.key)


@dataclass(frozen=True, slots=True)
class Relation:
    """parent and child are entities, of this model or `feed.entity` of another; by: the child's attribute paths that
    name the parent; cardinality: `1:n` or `n:1` from parent to child."""

    parent: str
    child: str
    by: tuple[str, ...] = ()
    cardinality: str = "1:n"
    description: str = ""


@dataclass(frozen=True, slots=True)
class LogicalModel:
    """The model of one feed; the first entity is the feed's own records."""

    feed: str
    title: str
    owner: str
    entities: tuple[Entity, ...]
    relations: tuple[Relation, ...] = ()
    description: str = ""

    def entity(self, name: str) -> Entity:
        """Raises ConfigurationError when there is none of that name."""
        for one in self.entities:
            if one.name == name:
                return one
        raise ConfigurationError(f"the model has no entity {name!r}", feed=self.feed)

    def attributes(self) -> Mapping[str, Attribute]:
        """Every attribute by its path."""
        return {one.path: one for entity in self.entities for one in entity.attributes}


DEFAULT_OWNER = "unassigned"


def ldm_of_schema(avro: Mapping[str, Any], feed: Feed) -> LogicalModel:
    """The model that a schema alone gives: names made of the fields' names, a first guess at the classification.

    Raises ConfigurationError when the schema has something no table can hold.
    """
    fields = {one.path: one for one in schema_fields(avro)}
    layout = feed_layout(feed, avro)
    keys = business_keys(avro, feed.business_keys)
    root = feed.name
    entities = tuple(_entity(table, fields, keys, root) for table in layout.tables())
    return LogicalModel(
        feed=feed.name,
        title=feed.title,
        owner=DEFAULT_OWNER,
        entities=entities,
        relations=tuple(
            Relation(root, child.name, description=f"{entities[0].title} have {child.title.lower()}")
            for child in entities[1:]
        ),
        description=str(avro.get("doc", "")),
    )


def merged(reviewed: LogicalModel, derived: LogicalModel) -> LogicalModel:
    """The reviewed words on the derived structure: what a schema has gained appears, what it has lost is gone, and a
    renamed field keeps its words."""
    known = reviewed.attributes()
    titles = {one.name: one for one in reviewed.entities}
    entities = []
    for entity in derived.entities:
        attributes = tuple(_reviewed(one, known) for one in entity.attributes)
        words = titles.get(entity.name)
        kept = {"title": words.title, "description": words.description or entity.description} if words else {}
        entities.append(replace(entity, attributes=attributes, **kept))
    names = {one.name for one in entities}
    own = tuple(one for one in reviewed.relations if one.child in names or one.parent in names)
    told = {(one.parent, one.child) for one in own}
    return replace(
        derived,
        title=reviewed.title,
        owner=reviewed.owner,
        description=reviewed.description or derived.description,
        entities=tuple(entities),
        relations=(*own, *(one for one in derived.relations if (one.parent, one.child) not in told)),
    )


def _reviewed(attribute: Attribute, known: Mapping[str, Attribute]) -> Attribute:
    prefix = attribute.path[: attribute.path.rfind(".") + 1]
    paths = (attribute.path, *(f"{prefix}{name}" for name in attribute.former))
    words = next((known[path] for path in paths if path in known), None)
    if words is None:
        return attribute
    return replace(
        attribute,
        name=words.name,
        description=words.description or attribute.description,
        classification=words.classification,
    )


def _entity(table: TableLayout, fields: Mapping[str, SchemaField], keys: tuple[str, ...], root: str) -> Entity:
    array = ".".join(table.array) if table.array else ""
    prefix = f"{array}[]." if array else ""
    values = [column for column in table.columns if column.source is Source.VALUE]
    return Entity(
        name=f"{root}.{array}" if array else root,
        title=business_name(array or root),
        table=table.name,
        path=array,
        description=table.doc,
        attributes=tuple(_attribute(column, prefix, fields, () if array else keys) for column in values),
    )


def _attribute(column: Column, prefix: str, fields: Mapping[str, SchemaField], keys: tuple[str, ...]) -> Attribute:
    path = f"{prefix}{'.'.join(column.path)}"
    field = fields[path]
    return Attribute(
        path=path,
        name=business_name(path.removeprefix(prefix)),
        type=field.words,
        column=column.name,
        sql_type=column.sql_type,
        description=field.doc,
        classification=guessed_classification(path),
        key=path in keys,
        optional=field.nullable,
        former=field.aliases,
    )


_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_ACRONYMS = frozenset({"id", "isin", "cusip", "sedol", "iban", "bic", "lei", "ytd", "mtd", "fx", "nav", "usd", "url"})


def business_name(path: str) -> str:
    """`valuation.base.book_cost` -> `Valuation base book cost`; identifiers keep their capitals."""
    every = [word.lower() for word in _WORDS.findall(path)]
    # `account.account_name` is the account's name.
    words = [word for before, word in zip(["", *every], every, strict=False) if word != before]
    spelled = [word.upper() if word in _ACRONYMS else word for word in words]
    text = " ".join(spelled)
    return text[:1].upper() + text[1:] if text else path


# First guesses for a reviewer, strictest first; by words of the path.
_PERSONAL = frozenset(
    {
        "email",
        "phone",
        "birth",
        "passport",
        "ssn",
        "surname",
        "approved",
        "approver",
        "contact",
        "trader",
        "analyst",
        "prepared",
        "reviewed",
    }
)
_CONFIDENTIAL = frozenset(
    {"account", "counterparty", "quantity", "value", "cost", "balance", "amount", "price", "assets", "proceeds", "gain"}
)
_PUBLIC = frozenset({"isin", "cusip", "sedol", "ticker", "currency", "country", "exchange", "mic", "lei", "bic"})


def guessed_classification(path: str) -> Classification:
    """By the words of a path: people's details are personal, holdings and money confidential, market standards
    public, all else internal."""
    words = {word.lower() for word in _WORDS.findall(path)}
    for guess, marks in (
        (Classification.PERSONAL, _PERSONAL),
        (Classification.CONFIDENTIAL, _CONFIDENTIAL),
        (Classification.PUBLIC, _PUBLIC),
    ):
        if words & marks:
            return guess
    return Classification.INTERNAL
