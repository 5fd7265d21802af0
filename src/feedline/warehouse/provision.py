"""Makes the tables of a catalogue: only what is missing, so that running it again changes nothing."""

# Names in these statements are checked by `quoted`, values written by `literal`.
# ruff: noqa: S608

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

from snowflake.connector import SnowflakeConnection

from feedline.catalog import Catalog, Feed
from feedline.errors import TerminalError
from feedline.warehouse.connection import Session
from feedline.warehouse.ddl import (
    CONTROL_STATEMENTS,
    add_column,
    create_current_child_view,
    create_current_view,
    feed_statements,
    widen_column,
)
from feedline.warehouse.layout import Column, FeedLayout, TableLayout, feed_layout, metadata_of
from feedline.warehouse.names import (
    CONSUMER_CHECKPOINT,
    DATA_SCHEMA,
    DATABASE,
    DELIVERY,
    ERROR_RESOLUTION,
    FEED_STAGE,
    LOAD_LEDGER,
    SLA_ALERT,
    SLA_FENCE,
    fence_table,
    literal,
)
from feedline.warehouse.view_definitions import Definitions, existing_definitions, is_outdated

_NUMBER = re.compile(r"NUMBER\((\d+),(\d+)\)")

# By `SCHEMA.NAME` of a table or view its columns, each with precision and scale if it is a number.
Existing = Mapping[str, Mapping[str, tuple[int, int] | None]]
LayoutOf = Callable[[Feed], FeedLayout]
StatementsOf = Callable[[Feed], Iterable[str]]


def provision_tables(
    connection: SnowflakeConnection,
    catalog: Catalog,
    *,
    layout_of: LayoutOf = feed_layout,
    tags_of: StatementsOf = lambda _: (),
) -> list[str]:
    """Creates what is missing of the control tables and of every feed's tables and views.

    A field that a schema has gained becomes a column, a decimal that it has widened is widened in place, a view that
    was declared otherwise is made anew; nothing is ever dropped or narrowed. layout_of: the tables with other comments
    than the schema's; tags_of: what to run after a feed's tables were made or changed. Returns the statements run, none
    when all was there. Raises TerminalError when the warehouse refuses one, for want of a privilege for example.
    """
    session = Session(connection)
    existing = existing_columns(session)
    views = existing_definitions(session, [DATA_SCHEMA.rpartition(".")[2]]) if existing else {}
    statements = [] if has_control_tables(existing) else list(CONTROL_STATEMENTS)
    for feed in catalog.feeds.values():
        missing = missing_statements(feed, existing, layout_of(feed), views)
        statements += [*missing, *(tags_of(feed) if missing else ())]
    for statement in statements:
        session.execute(statement, doing=f"cannot provision with `{statement.splitlines()[0]}`")
    return statements


def existing_columns(
    session: Session, schemas: Iterable[str] = ("IHUB", "CONTROL")
) -> dict[str, dict[str, tuple[int, int] | None]]:
    """What the warehouse has now; nothing when the database is not there yet."""
    found: dict[str, dict[str, tuple[int, int] | None]] = defaultdict(dict)
    try:
        rows = session.execute(
            "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, NUMERIC_PRECISION, NUMERIC_SCALE "
            f"FROM {DATABASE}.INFORMATION_SCHEMA.COLUMNS "
            f"WHERE TABLE_SCHEMA IN ({', '.join(map(literal, schemas))})",
            doing="cannot read which tables there are",
        )
    except TerminalError:
        return found
    for schema, table, column, precision, scale in rows:
        number = None if precision is None else (int(precision), int(scale or 0))
        found[f"{DATABASE}.{schema}.{table}"][column] = number
    return found


def has_control_tables(existing: Existing) -> bool:
    """Whether every table that accounts for loads is there."""
    return {LOAD_LEDGER, CONSUMER_CHECKPOINT, DELIVERY, ERROR_RESOLUTION, FEED_STAGE, SLA_ALERT, SLA_FENCE} <= set(
        existing
    )


def missing_statements(
    feed: Feed, existing: Existing, layout: FeedLayout | None = None, views: Definitions | None = None
) -> list[str]:
    """What turns the tables and views of a feed into those of the layout (its schema's unless given), in order; none
    when they are. views: the queries of the views there are; when they are not known they are not compared."""
    layout, known = layout or feed_layout(feed), views or {}
    tables = [f"{DATA_SCHEMA}.{table.name}" for table in layout.tables()]
    needed = {*tables, *(f"{table}_CURRENT" for table in tables), fence_table(feed.table).replace('"', "")}
    changed = [statement for table in layout.tables() for statement in _missing_columns(table, existing)]
    made = [] if needed <= set(existing) else list(feed_statements(feed, layout))
    wanted = [create_current_view(feed, layout, existing.get(tables[0], ()))]
    for child in layout.children:
        wanted.append(create_current_child_view(feed, child, existing.get(f"{DATA_SCHEMA}.{child.name}", ())))  # noqa: PERF401
    outdated = any(is_outdated(view, known.get(f"{table}_CURRENT")) for table, view in zip(tables, wanted, strict=True))
    if not changed and not outdated and not any(_lacks_columns(existing, table) for table in tables):
        return made
    # A view's `*` stands for the columns there were when it was made.
    return [*changed, *made, *wanted]


def _lacks_columns(existing: Existing, table: str) -> bool:
    """Whether a view is older than a column of its table, as when an earlier run was killed between the two."""
    view = existing.get(f"{table}_CURRENT")
    return view is not None and not set(existing.get(table, ())) <= set(view)


def _missing_columns(table: TableLayout, existing: Existing) -> Iterator[str]:
    there = existing.get(f"{DATA_SCHEMA}.{table.name}")
    if there is None:
        return
    for column in (*table.columns, *metadata_of(table)):
        if column.name not in there:
            yield add_column(table, column)
        elif _is_widened(there[column.name], column):
            yield widen_column(table, column)


def _is_widened(has: tuple[int, int] | None, column: Column) -> bool:
    wanted = _NUMBER.fullmatch(column.sql_type)
    if wanted is None or has is None:
        return False
    return has[1] == int(wanted[2]) and has[0] < int(wanted[1])
