"""Makes the tables of a catalogue: only what is missing, so that running it again changes nothing."""

# Names in these statements are checked by `quoted`, values written by `literal`.
# ruff: noqa: S608

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet

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
)
from feedline.warehouse.layout import TableLayout, feed_layout, metadata_of
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
)

Existing = Mapping[str, AbstractSet[str]]


def provision_tables(connection: SnowflakeConnection, catalog: Catalog) -> list[str]:
    """Creates what is missing of the control tables and of every feed's tables and views.

    A field that a schema has gained becomes a column; nothing is ever dropped or retyped. Returns the statements run,
    none when all was there. Raises TerminalError when the warehouse refuses one, for want of a privilege for example.
    """
    session = Session(connection)
    existing = _existing(session)
    statements = [
        *([] if _has_control_tables(existing) else CONTROL_STATEMENTS),
        *(statement for feed in catalog.feeds.values() for statement in _missing(feed, existing)),
    ]
    for statement in statements:
        session.execute(statement, doing=f"cannot provision with `{statement.splitlines()[0]}`")
    return statements


def _existing(session: Session) -> dict[str, set[str]]:
    """Columns by table or view, `SCHEMA.NAME`; nothing when the database is not there yet."""
    found: dict[str, set[str]] = defaultdict(set)
    try:
        rows = session.execute(
            f"SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME FROM {DATABASE}.INFORMATION_SCHEMA.COLUMNS "
            "WHERE TABLE_SCHEMA IN ('IHUB', 'CONTROL')",
            doing="cannot read which tables there are",
        )
    except TerminalError:
        return found
    for schema, table, column in rows:
        found[f"{DATABASE}.{schema}.{table}"].add(column)
    return found


def _has_control_tables(existing: Existing) -> bool:
    return {LOAD_LEDGER, CONSUMER_CHECKPOINT, DELIVERY, ERROR_RESOLUTION, FEED_STAGE, SLA_ALERT, SLA_FENCE} <= set(
        existing
    )


def _missing(feed: Feed, existing: Existing) -> Iterator[str]:
    layout = feed_layout(feed)
    tables = [f"{DATA_SCHEMA}.{table.name}" for table in layout.tables()]
    needed = {*tables, *(f"{table}_CURRENT" for table in tables), fence_table(feed.table).replace('"', "")}
    added = [statement for table in layout.tables() for statement in _missing_columns(table, existing)]
    yield from added
    if not needed <= set(existing):
        yield from feed_statements(feed, layout)
    elif added:
        # A view's `*` stands for the columns there were when it was made.
        yield create_current_view(feed, layout)
        yield from (create_current_child_view(feed, child) for child in layout.children)


def _missing_columns(table: TableLayout, existing: Existing) -> Iterator[str]:
    there = existing.get(f"{DATA_SCHEMA}.{table.name}")
    for column in (*table.columns, *metadata_of(table)):
        if there is not None and column.name not in there:
            yield add_column(table, column)
