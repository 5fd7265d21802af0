"""Whether the tables, as they are, can hold what is about to be loaded into them."""

# Names in these statements are checked by `quoted`, values written by `literal`.
# ruff: noqa: S608

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping

from feedline.catalog import Feed
from feedline.errors import ConfigurationError
from feedline.warehouse.connection import Session
from feedline.warehouse.layout import Column, FeedLayout, metadata_of
from feedline.warehouse.names import DATABASE, NESTING, literal

_NUMBER = re.compile(r"NUMBER\((\d+),(\d+)\)")

# By table and column: precision and scale of a number, None of any other type.
TableColumns = Mapping[str, Mapping[str, tuple[int, int] | None]]


def table_columns(session: Session, feed: Feed, schema: str = "IHUB") -> TableColumns:
    """The columns that the feed's table and child tables have now."""
    return columns_of(session, feed.table, schema)


def columns_of(session: Session, table: str, schema: str) -> TableColumns:
    """The columns that a table and its child tables have now."""
    children = literal(f"{table}{NESTING}")
    rows = session.execute(
        "SELECT TABLE_NAME, COLUMN_NAME, NUMERIC_PRECISION, NUMERIC_SCALE "
        f"FROM {DATABASE}.INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = {literal(schema)} "
        f"AND (TABLE_NAME = {literal(table)} OR STARTSWITH(TABLE_NAME, {children}))",
        doing="cannot read the columns of the tables",
    )
    found: dict[str, dict[str, tuple[int, int] | None]] = defaultdict(dict)
    for name, column, precision, scale in rows:
        found[name][column] = None if precision is None else (int(precision), int(scale or 0))
    return dict(found)


def require_columns(columns: TableColumns, layout: FeedLayout, metadata: Collection[Column] | None = None) -> None:
    """Raises ConfigurationError unless every column of the layout, and of the metadata (a feed's when not named), is
    there and wide enough.

    COPY would pass over a column that is missing and round a number that is too fine, and say nothing.
    """
    for table in layout.tables():
        there = columns.get(table.name)
        if there is None:
            raise ConfigurationError(f"there is no table {table.name}: provision the feed's tables first")
        for column in (*table.columns, *(metadata_of(table) if metadata is None else metadata)):
            if column.name not in there:
                raise _too_small(table.name, column, "is missing: provision the feed's tables again")
            wanted = _NUMBER.fullmatch(column.sql_type)
            if wanted and not _holds(there[column.name], int(wanted[1]), int(wanted[2])):
                raise _too_small(table.name, column, f"cannot hold {column.sql_type} exactly: widen it by hand")


def _holds(has: tuple[int, int] | None, precision: int, scale: int) -> bool:
    return has is not None and has[1] >= scale and has[0] - has[1] >= precision - scale


def _too_small(table: str, column: Column, what: str) -> ConfigurationError:
    return ConfigurationError(f"column {column.name} of table {table} {what}", field=".".join(column.path) or None)
