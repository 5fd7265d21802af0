"""Which tables and columns hold the records of an Avro schema.

A record becomes one row. A field of a nested record becomes `PARENT__CHILD`; an array of records a child table, one
row an item; an array of scalars one ARRAY column. Two kinds of column are added where flattening would otherwise lose
something: `<ARRAY>__COUNT` (NULL for a null array, 0 for an empty one) and, for a nullable record that can be all
nulls, `<RECORD>__PRESENT`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from feedline.catalog.feeds import AvroSchema, Feed
from feedline.errors import ConfigurationError
from feedline.warehouse.names import NESTING, column_name

Path = tuple[str, ...]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# Far over what a table takes, and walked in under a second: named types used again and again multiply.
MAX_DEPTH = 64
MAX_STEPS = 50_000
# Snowflake's widest NUMBER.
MAX_PRECISION = 38

_PLAIN = {
    "string": "VARCHAR",
    "boolean": "BOOLEAN",
    "int": "NUMBER(10,0)",
    "long": "NUMBER(19,0)",
    "float": "FLOAT",
    "double": "FLOAT",
    "bytes": "BINARY",
    "fixed": "BINARY",
    "enum": "VARCHAR",
}
_LOGICAL = {
    "date": "DATE",
    "timestamp-micros": "TIMESTAMP_TZ",
    "timestamp-millis": "TIMESTAMP_TZ",
    "uuid": "VARCHAR",
}


class Source(Enum):
    """What a column is filled from: the value at its path, or the length or presence of it."""

    VALUE = "value"
    COUNT = "count"
    PRESENT = "present"


@dataclass(frozen=True, slots=True)
class Column:
    """`path` leads from the record (in a child table: from the item) to the field; `former`: the columns of the names
    that the field had, its aliases."""

    name: str
    sql_type: str
    doc: str
    path: Path
    source: Source = Source.VALUE
    former: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TableLayout:
    """`array` is the path of the array whose items are the rows, or None when records are."""

    name: str
    doc: str
    columns: tuple[Column, ...]
    array: Path | None = None


@dataclass(frozen=True, slots=True)
class FeedLayout:
    """A feed's table and its child tables."""

    table: TableLayout
    children: tuple[TableLayout, ...] = ()

    def tables(self) -> tuple[TableLayout, ...]:
        return (self.table, *self.children)

    def column_of(self, field: str) -> Column:
        """The column of a dotted field path of the record; raises ConfigurationError when there is none."""
        path = tuple(field.split("."))
        for column in self.table.columns:
            if column.path == path and column.source is Source.VALUE:
                return column
        raise ConfigurationError(f"no column of {self.table.name} holds one value of the field", field=field)


# Of the delivery: the same columns in every table, filled for every row. `_RECORD_INDEX` counts from 0 in the batch.
METADATA = (
    Column("_CORRELATION_ID", "VARCHAR(36)", "The micro-batch the row came in.", ()),
    Column("_RECORD_INDEX", "NUMBER(10,0)", "The record's place in its micro-batch, from 0.", ()),
    Column("_DELIVERY_ID", "VARCHAR", "The delivery the row belongs to.", ()),
    Column("_BUSINESS_DATE", "DATE", "The delivery's business date.", ()),
    Column("_CYCLE", "VARCHAR(8)", "EOD or INTRADAY.", ()),
    Column("_TOPIC", "VARCHAR", "The Kafka topic.", ()),
    Column("_PARTITION", "NUMBER(10,0)", "The topic's partition.", ()),
    Column("_OFFSET", "NUMBER(19,0)", "The message's offset in the partition.", ()),
    Column("_LOADED_AT", "TIMESTAMP_TZ", "When the load that wrote the row decoded it.", ()),
)
ITEM_INDEX = Column("_ITEM_INDEX", "NUMBER(10,0)", "The item's place in its array, from 0.", ())


def metadata_of(table: TableLayout) -> tuple[Column, ...]:
    return METADATA if table.array is None else (*METADATA, ITEM_INDEX)


def feed_layout(feed: Feed, schema: AvroSchema | None = None) -> FeedLayout:
    """The tables of a feed, by its own schema or by another one that its batches were written with.

    Raises ConfigurationError naming the field when the schema has something no column can hold, contains itself, or
    is deeper or larger than any table.
    """
    return record_layout(feed.name, feed.table, feed.schema if schema is None else schema, title=feed.title)


def record_layout(name: str, table: str, record: AvroSchema, *, title: str = "") -> FeedLayout:
    """As `feed_layout`, of any record. name: what errors call it; title: of the table when the record has no doc."""
    try:
        walk = _Walk(name, table, named_types(record))
        columns = tuple(walk.columns(record, ()))
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigurationError(
            f"the schema cannot be read: {type(error).__name__} {str(error)[:80]}", feed=name
        ) from error
    layout = FeedLayout(TableLayout(table, str(record.get("doc", title)), columns), tuple(walk.children))
    for one in layout.tables():
        _check_unique(one, name)
    return layout


def _check_unique(table: TableLayout, feed: str) -> None:
    seen: dict[str, Column] = {}
    for column in (*table.columns, *metadata_of(table)):
        if column.name in seen:
            raise ConfigurationError(
                f"two fields of table {table.name} would both be column {column.name}: rename one",
                feed=feed,
                field=".".join(column.path),
            )
        seen[column.name] = column


def named_types(schema: Any, namespace: str | None = None) -> dict[str, Mapping[str, Any]]:
    """The records, enums and fixed types defined anywhere in a schema, by short and by full name."""
    found: dict[str, Mapping[str, Any]] = {}
    if isinstance(schema, list):
        for branch in schema:
            found |= named_types(branch, namespace)
    elif isinstance(schema, Mapping):
        if schema.get("type") in ("record", "enum", "fixed"):
            namespace = schema.get("namespace", namespace)
            found[schema["name"]] = schema
            if namespace:
                found[f"{namespace}.{schema['name']}"] = schema
            for field in schema.get("fields", ()):
                found |= named_types(field["type"], namespace)
        else:
            found |= named_types(schema.get("items"), namespace)
            if not isinstance(schema.get("type"), str):
                found |= named_types(schema.get("type"), namespace)
    return found


class _Walk:
    """One pass over a schema: yields the table's columns, gathers its child tables."""

    def __init__(self, feed: str, table: str, names: Mapping[str, Mapping[str, Any]]) -> None:
        self._feed = feed
        self._table = table
        self._names = names
        self._steps = 0
        self.children: list[TableLayout] = []

    def columns(self, record: Mapping[str, Any], parent: Path, *, in_array: bool = False) -> Iterator[Column]:
        for field in record["fields"]:
            path = (*parent, field["name"])
            kind, nullable = self._resolve(field["type"], path)
            doc = str(field.get("doc", ""))
            if _type_of(kind) == "record":
                if nullable and self._can_be_all_null(kind, path):
                    name = f"{column_name(path)}{NESTING}PRESENT"
                    yield Column(name, "BOOLEAN", f"Whether there is one: {doc}", path, Source.PRESENT)
                yield from self.columns(kind, path, in_array=in_array)
            elif _type_of(kind) == "array":
                yield self._array(kind, path, doc, in_array=in_array)
            else:
                former = tuple(column_name((*parent, alias)) for alias in _legal(field.get("aliases", ())))
                yield Column(column_name(path), self._scalar(kind, path), doc, path, former=former)

    def _array(self, kind: Mapping[str, Any], path: Path, doc: str, *, in_array: bool) -> Column:
        items, _ = self._resolve(kind["items"], path)
        if _type_of(items) not in ("record", "array"):
            return Column(column_name(path), "ARRAY", doc, path)
        if in_array or _type_of(items) == "array":
            raise self._refuse("an array inside an array has no table: move it one level up", path)
        name = f"{self._table}{NESTING}{column_name(path)}"
        self.children.append(TableLayout(name, doc, tuple(self.columns(items, (), in_array=True)), array=path))
        return Column(
            f"{column_name(path)}{NESTING}COUNT", "NUMBER(10,0)", f"Rows in {name}: {doc}", path, Source.COUNT
        )

    def _resolve(self, kind: Any, path: Path) -> tuple[Any, bool]:
        """A type without its null branch and its name reference, and whether it may be null."""
        self._steps += 1
        if len(path) > MAX_DEPTH:
            raise self._refuse(f"it is more than {MAX_DEPTH} levels deep, or a type contains itself", path[:8])
        if self._steps > MAX_STEPS:
            raise self._refuse(f"it has more than {MAX_STEPS:,} fields, each use of a type counted: split it", path[:8])
        nullable = False
        if isinstance(kind, list):
            branches = [branch for branch in kind if branch != "null"]
            if len(branches) != 1:
                raise self._refuse("only a union of null and one other type has a column", path)
            nullable, kind = len(branches) < len(kind), branches[0]
        if isinstance(kind, str):
            kind = self._names.get(kind, kind)
        elif not isinstance(kind.get("type"), str):
            inner, also = self._resolve(kind["type"], path)
            kind, nullable = inner, nullable or also
        return kind, nullable

    def _can_be_all_null(self, record: Mapping[str, Any], path: Path) -> bool:
        for field in record["fields"]:
            kind, nullable = self._resolve(field["type"], (*path, field["name"]))
            if _type_of(kind) == "record":
                certain = not nullable and not self._can_be_all_null(kind, path)
            else:
                # Of an array of records only the count is a column, and that is never NULL for an array that is there.
                certain = not nullable
            if certain:
                return False
        return True

    def _scalar(self, kind: Any, path: Path) -> str:
        logical = kind.get("logicalType") if isinstance(kind, Mapping) else None
        if logical == "decimal":
            return self._number(kind.get("precision"), kind.get("scale", 0), path)
        if logical in _LOGICAL:
            return _LOGICAL[str(logical)]
        if _type_of(kind) not in _PLAIN:
            raise self._refuse(f"a field of type {_type_of(kind)!r} has no column", path)
        return _PLAIN[_type_of(kind)]

    def _number(self, precision: Any, scale: Any, path: Path) -> str:
        # A bool is an int to Python and no number to Avro.
        whole = type(precision) is int and type(scale) is int
        if not whole or not 1 <= precision <= MAX_PRECISION or not 0 <= scale <= precision:
            raise self._refuse(
                f"a decimal has 1 to {MAX_PRECISION} digits, of which the scale counts 0 to all, "
                f"not {str(precision)[:20]} and {str(scale)[:20]}",
                path,
            )
        return f"NUMBER({precision},{scale})"

    def _refuse(self, reason: str, path: Path) -> ConfigurationError:
        return ConfigurationError(f"the schema cannot become a table: {reason}", feed=self._feed, field=".".join(path))


def _legal(aliases: Iterable[str]) -> Iterator[str]:
    """Names that a field can have had; a key of the source that Avro does not allow is an alias too."""
    return (alias for alias in aliases if _NAME.fullmatch(alias))


def _type_of(kind: Any) -> str:
    return str(kind["type"] if isinstance(kind, Mapping) else kind)
