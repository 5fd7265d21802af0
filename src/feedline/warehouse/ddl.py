"""The statements that make a feed's tables and views, and the control tables."""

# Names in these statements are checked by `quoted`, values written by `literal`.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Collection, Mapping

from feedline.catalog import Feed
from feedline.warehouse.layout import Column, FeedLayout, TableLayout, metadata_of
from feedline.warehouse.names import (
    CONSUMER_CHECKPOINT,
    CONTROL_SCHEMA,
    DATA_SCHEMA,
    DATABASE,
    DELIVERY,
    ERROR_RESOLUTION,
    LOAD_LEDGER,
    LOAD_STAGE,
    comment,
    current_view,
    data_table,
    fence_table,
    literal,
    quoted,
)
from feedline.warehouse.sla_ddl import SLA_STATEMENTS
from feedline.warehouse.view_definitions import marked

# No primary keys: Snowflake does not enforce them, so they would promise what only the fence and the ledger keep.
CONTROL_STATEMENTS = (
    f"CREATE DATABASE IF NOT EXISTS {DATABASE}",
    f"CREATE SCHEMA IF NOT EXISTS {DATA_SCHEMA}",
    f"CREATE SCHEMA IF NOT EXISTS {CONTROL_SCHEMA}",
    f"CREATE STAGE IF NOT EXISTS {LOAD_STAGE}",
    f"""CREATE TABLE IF NOT EXISTS {LOAD_LEDGER} (
  LOAD_ID VARCHAR(36) NOT NULL COMMENT 'The attempt that wrote the row; its files lay under this name on the stage.',
  FEED VARCHAR NOT NULL COMMENT 'Feed of the micro-batch.',
  DELIVERY_ID VARCHAR NOT NULL COMMENT 'Delivery of the micro-batch.',
  BUSINESS_DATE DATE NOT NULL COMMENT 'Business date of the delivery.',
  CYCLE VARCHAR(8) NOT NULL COMMENT 'EOD or INTRADAY.',
  CORRELATION_ID VARCHAR(36) NOT NULL COMMENT 'The micro-batch: once LOADED, whatever the number of its messages.',
  BATCH_INDEX NUMBER(10,0) NOT NULL COMMENT 'Its place in its source file; -2: a corrected record.',
  SOURCE_FILE VARCHAR NOT NULL COMMENT 'The file its records came from.',
  TOPIC VARCHAR NOT NULL COMMENT 'Where the message lies: topic.',
  PARTITION NUMBER(10,0) NOT NULL COMMENT 'Where the message lies: partition.',
  MESSAGE_OFFSET NUMBER(19,0) NOT NULL COMMENT 'Where the message lies: offset.',
  RECORDS NUMBER(10,0) NOT NULL COMMENT 'Records in it.',
  RAW_BYTES NUMBER(19,0) NOT NULL COMMENT 'Bytes of its value before compression.',
  STATUS VARCHAR(9) NOT NULL COMMENT 'LOADED, DUPLICATE (loaded before) or ERROR (cannot be decoded).',
  REASON VARCHAR COMMENT 'Of an ERROR: why.',
  LOADED_AT TIMESTAMP_TZ NOT NULL COMMENT 'When the load that wrote the row decoded it.'
) COMMENT = 'One row a message that a load has dealt with.'""",
    f"""CREATE TABLE IF NOT EXISTS {CONSUMER_CHECKPOINT} (
  CONSUMER_GROUP VARCHAR NOT NULL COMMENT 'feedline.<feed>.',
  TOPIC VARCHAR NOT NULL COMMENT 'Topic of the feed.',
  PARTITION NUMBER(10,0) NOT NULL COMMENT 'Partition of the topic.',
  NEXT_OFFSET NUMBER(19,0) NOT NULL COMMENT 'Every message of the feed below it has been dealt with.',
  EPOCH NUMBER(19,0) NOT NULL COMMENT 'How often the row has moved.',
  MOVED_AT TIMESTAMP_TZ NOT NULL COMMENT 'When it moved last.'
) COMMENT = 'How far each partition has been loaded, moved in the transaction that loads.'""",
    f"""CREATE TABLE IF NOT EXISTS {DELIVERY} (
  DELIVERY_ID VARCHAR NOT NULL COMMENT 'The delivery.',
  FEED VARCHAR NOT NULL COMMENT 'Its feed.',
  BUSINESS_DATE DATE NOT NULL COMMENT 'Its business date.',
  CYCLE VARCHAR(8) NOT NULL COMMENT 'EOD or INTRADAY.',
  STATUS VARCHAR(8) NOT NULL COMMENT 'COMPLETE: every check passed; FAILED: one did not.',
  SOURCE_FILES NUMBER(10,0) NOT NULL COMMENT 'Files read.',
  SOURCE_RECORDS NUMBER(19,0) NOT NULL COMMENT 'Records read from them.',
  BATCHES NUMBER(10,0) NOT NULL COMMENT 'Micro-batches produced.',
  RECORDS NUMBER(19,0) NOT NULL COMMENT 'Records produced.',
  ERROR_RECORDS NUMBER(19,0) NOT NULL COMMENT 'Records sent to the error topic instead.',
  RAW_BYTES NUMBER(19,0) NOT NULL COMMENT 'Bytes of uncompressed source.',
  LOADED_RECORDS NUMBER(19,0) NOT NULL COMMENT 'Rows of its table when it was validated.',
  PRODUCED_AT TIMESTAMP_TZ NOT NULL COMMENT 'When the last micro-batch was acknowledged.',
  VALIDATED_AT TIMESTAMP_TZ NOT NULL COMMENT 'When the status was written.',
  MANIFEST VARCHAR NOT NULL COMMENT 'The manifest as JSON.',
  REPORT VARCHAR NOT NULL COMMENT 'Every check of the validation as JSON.'
) COMMENT = 'One row a delivery: what was announced and whether it arrived whole.'""",
    f"""CREATE TABLE IF NOT EXISTS {ERROR_RESOLUTION} (
  CORRELATION_ID VARCHAR NOT NULL COMMENT 'The error: the id that its message on the error topic has.',
  FEED VARCHAR NOT NULL COMMENT 'Its feed.',
  DELIVERY_ID VARCHAR COMMENT 'Its delivery, unless its message does not say.',
  RECORDS NUMBER(10,0) NOT NULL COMMENT 'Records in it.',
  RESOLUTION VARCHAR(9) NOT NULL COMMENT 'DISMISSED: it stays out; REDRIVE: somebody had it sent again.',
  REASON VARCHAR NOT NULL COMMENT 'Why.',
  RESOLVED_BY VARCHAR NOT NULL COMMENT 'Who decided.',
  RESOLVED_AT TIMESTAMP_TZ NOT NULL COMMENT 'When.'
) COMMENT = 'Who decided what of a refused record or micro-batch; whether a redrive loaded it, the ledger says.'""",
    *SLA_STATEMENTS,
)


def feed_statements(feed: Feed, layout: FeedLayout) -> tuple[str, ...]:
    """Create what is not there yet of one feed: fence, tables, views; what is there stays as it is."""
    return (
        create_fence(feed),
        fill_fence(fence_table(feed.table)),
        *(create_table(table) for table in layout.tables()),
        create_current_view(feed, layout),
        *(create_current_child_view(feed, child) for child in layout.children),
    )


def create_fence(feed: Feed) -> str:
    return create_fence_table(fence_table(feed.table), feed.name)


def create_fence_table(fence: str, name: str) -> str:
    """name: of what is loaded behind it."""
    purpose = comment(f"Locked by the load of {name} that is writing.")
    return f"CREATE TABLE IF NOT EXISTS {fence} (TURN NUMBER(19,0) NOT NULL) COMMENT = {purpose}"


def fill_fence(fence: str) -> str:
    """Its one row, unless it is there."""
    return f"INSERT INTO {fence} (TURN) SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM {fence})"


def create_table(table: TableLayout, schema: str = DATA_SCHEMA, metadata: Collection[Column] | None = None) -> str:
    """metadata: the columns of where a row came from, a feed's when they are not named."""
    named = metadata_of(table) if metadata is None else metadata
    columns = ",\n".join(f"  {column_definition(column)}" for column in (*table.columns, *named))
    return f"CREATE TABLE IF NOT EXISTS {data_table(table.name, schema)} (\n{columns}\n) COMMENT = {comment(table.doc)}"


def column_definition(column: Column) -> str:
    """Name, type and comment. Data columns are nullable: a later schema may drop a field that an older one has."""
    remark = f" COMMENT {comment(column.doc)}" if column.doc else ""
    return f"{quoted(column.name)} {column.sql_type}{remark}"


def add_column(table: TableLayout, column: Column, schema: str = DATA_SCHEMA) -> str:
    return f"ALTER TABLE {data_table(table.name, schema)} ADD COLUMN {column_definition(column)}"


def widen_column(table: TableLayout, column: Column) -> str:
    """A number of more digits before the point: Snowflake does that in place, and nothing else to a number's type."""
    return f"ALTER TABLE {data_table(table.name)} ALTER COLUMN {quoted(column.name)} SET DATA TYPE {column.sql_type}"


def create_current_view(feed: Feed, layout: FeedLayout, existing: Collection[str] = ()) -> str:
    """`<TABLE>_CURRENT`: of each business key and business date, the row of the latest COMPLETE delivery, and of an
    end of day before any of the day's intraday deliveries.

    existing: the columns that the table has; a field that was renamed shows under both of its names.
    """
    renamed = _renamed(layout.table, existing)
    keys = ", ".join(_either("T", layout.column_of(path).name, renamed) for path in feed.business_keys)
    view = data_table(current_view(feed.table))
    purpose = f"Rows of {feed.table} of the latest complete delivery per business key and business date."
    return marked(
        f"CREATE OR REPLACE VIEW {view} COPY GRANTS COMMENT = {comment(purpose)} AS\n"
        f"SELECT {_columns('T', renamed)} FROM {data_table(feed.table)} T\n"
        f'JOIN {DELIVERY} D ON D.DELIVERY_ID = T."_DELIVERY_ID" AND D.FEED = {literal(feed.name)}'
        " AND D.STATUS = 'COMPLETE'\n"
        f'QUALIFY ROW_NUMBER() OVER (PARTITION BY {keys}, T."_BUSINESS_DATE"'
        # The end of day is the last word, even over an intraday delivery that was produced again after it.
        f" ORDER BY IFF(D.CYCLE = 'EOD', 0, 1)"
        f', D.PRODUCED_AT DESC, T."_DELIVERY_ID" DESC, T."_CORRELATION_ID", T."_RECORD_INDEX") = 1'
    )


def _renamed(table: TableLayout, existing: Collection[str]) -> dict[str, tuple[str, ...]]:
    """By column, the columns it was before, as far as the table has them."""
    now = {column.name for column in table.columns}
    former = {
        column.name: tuple(name for name in column.former if name in existing and name not in now)
        for column in table.columns
    }
    return {name: names for name, names in former.items() if names}


def _either(alias: str, name: str, renamed: Mapping[str, tuple[str, ...]]) -> str:
    every = ", ".join(f"{alias}.{quoted(one)}" for one in (name, *renamed.get(name, ())))
    return f"COALESCE({every})" if name in renamed else every


def _columns(alias: str, renamed: Mapping[str, tuple[str, ...]]) -> str:
    """All columns; one that was renamed has under each of its names the value of whichever was filled."""
    if not renamed:
        return f"{alias}.*"
    names = [(name, one) for name, former in renamed.items() for one in (name, *former)]
    left_out = ", ".join(quoted(one) for _, one in names)
    shown = ", ".join(f"{_either(alias, name, renamed)} AS {quoted(one)}" for name, one in names)
    return f"{alias}.* EXCLUDE ({left_out}), {shown}"


def create_current_child_view(feed: Feed, child: TableLayout, existing: Collection[str] = ()) -> str:
    """The child rows of the parent view's rows; existing: as of `create_current_view`."""
    view = data_table(current_view(child.name))
    purpose = f"Rows of {child.name} that belong to rows of {current_view(feed.table)}."
    return marked(
        f"CREATE OR REPLACE VIEW {view} COPY GRANTS COMMENT = {comment(purpose)} AS\n"
        f"SELECT {_columns('C', _renamed(child, existing))} FROM {data_table(child.name)} C\n"
        f"JOIN {data_table(current_view(feed.table))} P"
        f' ON P."_CORRELATION_ID" = C."_CORRELATION_ID" AND P."_RECORD_INDEX" = C."_RECORD_INDEX"'
    )
