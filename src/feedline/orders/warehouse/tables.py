"""The tables of orders: what is loaded from which topic, into which columns, and the views made of them."""

# Names in these statements are constants or checked by `quoted`.

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from snowflake.connector import SnowflakeConnection

from feedline.orders.model.schemas import EXECUTION_REPORT, ORDER_EVENT, order_schema
from feedline.orders.topics import OrderTopics
from feedline.orders.warehouse.views import VIEWS
from feedline.warehouse.connection import Session
from feedline.warehouse.ddl import (
    CONTROL_STATEMENTS,
    add_column,
    column_definition,
    create_fence_table,
    create_table,
    fill_fence,
)
from feedline.warehouse.layout import Column, FeedLayout, record_layout
from feedline.warehouse.names import DATABASE, comment, data_table, fence_table
from feedline.warehouse.provision import Existing, existing_columns, has_control_tables
from feedline.warehouse.view_definitions import Definitions, existing_definitions, is_outdated

SCHEMA = "ORDERS"
ORDERS_SCHEMA = f"{DATABASE}.{SCHEMA}"

_PLACE = (
    Column("_TOPIC", "VARCHAR", "The Kafka topic.", ()),
    Column("_PARTITION", "NUMBER(10,0)", "The topic's partition.", ()),
    Column("_OFFSET", "NUMBER(19,0)", "The message's offset in the partition.", ()),
    Column("_LOAD_ID", "VARCHAR(36)", "The load that wrote the row.", ()),
    Column("_LOADED_AT", "TIMESTAMP_TZ", "When that load judged the message.", ()),
)
METADATA = (
    Column("_CORRELATION_ID", "VARCHAR", "The message's correlation id.", ()),
    Column("_BUSINESS_DATE", "DATE", "The exchange's date at the transact time.", ()),
    *_PLACE,
)
FACTS = Column("_FACTS", "VARCHAR", "Digests by which a later event is judged.", ())

# Every message that is in neither table, with the reason: what the ledger counts adds up to the topic.
NOT_LOADED = "ORDER_NOT_LOADED"
NOT_LOADED_COLUMNS = (
    Column("ORDER_ID", "VARCHAR", "The order, as far as the message tells.", ()),
    Column("ID", "VARCHAR", "Its event's or execution's id, as far as it tells.", ()),
    Column(
        "VERDICT", "VARCHAR(8)", "REPEAT (is loaded), REFUSED, PARKED (an event before it is missing), CORRUPT.", ()
    ),
    Column("REASON", "VARCHAR", "Why.", ()),
    *_PLACE,
)
LEDGER = "ORDER_LEDGER"
LEDGER_COLUMNS = (
    Column("LOAD_ID", "VARCHAR(36)", "The load.", ()),
    Column("TABLE_NAME", "VARCHAR", "The table it filled.", ()),
    Column("TOPIC", "VARCHAR", "The topic it read.", ()),
    Column("PARTITION", "NUMBER(10,0)", "The partition.", ()),
    Column("FIRST_OFFSET", "NUMBER(19,0)", "Where the checkpoint was.", ()),
    Column("NEXT_OFFSET", "NUMBER(19,0)", "Where it is after this.", ()),
    Column("MESSAGES", "NUMBER(19,0)", "Messages between the two.", ()),
    Column("LOADED", "NUMBER(19,0)", "Rows of them in the table.", ()),
    Column("NOT_LOADED", "NUMBER(19,0)", f"Rows of them in {NOT_LOADED}.", ()),
    Column("LOADED_AT", "TIMESTAMP_TZ", "When.", ()),
)


@dataclass(frozen=True, slots=True)
class OrderTable:
    """name: what its loads are called in checkpoints; record: the name of the schema of its messages; id_field: what a
    row is known by; metadata: columns beside the record's."""

    name: str
    table: str
    record: str
    id_field: str
    metadata: tuple[Column, ...]

    @property
    def layout(self) -> FeedLayout:
        return _layout(self)

    @property
    def full_name(self) -> str:
        return data_table(self.table, ORDERS_SCHEMA)

    @property
    def fence(self) -> str:
        return fence_table(self.table)

    def topic(self, topics: OrderTopics) -> str:
        return topics.out if self is EVENTS else topics.executions


EVENTS = OrderTable("orders.events", "ORDER_EVENTS", ORDER_EVENT, "eventId", (*METADATA, FACTS))
EXECUTIONS = OrderTable("orders.executions", "EXECUTIONS", EXECUTION_REPORT, "execId", METADATA)
TABLES = (EVENTS, EXECUTIONS)


@cache
def _layout(table: OrderTable) -> FeedLayout:
    return record_layout(table.name, table.table, order_schema(table.record))


def provision_order_tables(connection: SnowflakeConnection) -> list[str]:
    """Makes what is missing of the control tables, tables and views of orders; the statements run, none when all is
    there. A field that a schema has gained becomes a column, a view that was declared otherwise is made anew; nothing
    is dropped. Raises TerminalError when refused."""
    session = Session(connection)
    for statement in CONTROL_STATEMENTS[:1]:
        session.execute(statement, doing="cannot make the database")
    existing = existing_columns(session, (SCHEMA, "CONTROL"))
    control = [] if has_control_tables(existing) else CONTROL_STATEMENTS
    statements = [*control, *order_statements(existing, existing_definitions(session, [SCHEMA]))]
    for statement in statements:
        session.execute(statement, doing=f"cannot provision with `{statement.splitlines()[0]}`")
    return statements


def order_names() -> tuple[str, ...]:
    """The tables of the schema of orders, and before them their views, in the order in which they can be dropped."""
    return (*reversed(list(VIEWS)), *(one.table for one in TABLES), NOT_LOADED, LEDGER)


def order_statements(existing: Existing, views: Definitions) -> list[str]:
    """What turns the tables and views there are into those declared here, in order, control tables apart; none when
    they are."""
    added = [
        add_column(table, column, ORDERS_SCHEMA)
        for one in TABLES
        for table in one.layout.tables()
        for column in (*table.columns, *one.metadata)
        if (there := existing.get(_place(one.table))) is not None and column.name not in there
    ]
    fences = {one.fence.replace('"', "") for one in TABLES}
    made = [
        f"CREATE SCHEMA IF NOT EXISTS {ORDERS_SCHEMA}",
        *(create_table(table, ORDERS_SCHEMA, one.metadata) for one in TABLES for table in one.layout.tables()),
        _plain_table(NOT_LOADED, NOT_LOADED_COLUMNS, "Messages of orders that no table has, with the reason."),
        _plain_table(LEDGER, LEDGER_COLUMNS, "One row a partition of each transaction that loaded orders."),
        *(create_fence_table(one.fence, one.name) for one in TABLES),
        *(fill_fence(one.fence) for one in TABLES),
    ]
    if {*map(_place, order_names()), *fences} <= existing.keys():
        made = []
    outdated = any(is_outdated(statement, views.get(_place(name))) for name, statement in VIEWS.items())
    return [*added, *made, *VIEWS.values()] if added or made or outdated else []


def _place(name: str) -> str:
    return f"{ORDERS_SCHEMA}.{name}"


def _plain_table(name: str, columns: tuple[Column, ...], purpose: str) -> str:
    defined = ",\n".join(f"  {column_definition(column)}" for column in columns)
    return f"CREATE TABLE IF NOT EXISTS {data_table(name, ORDERS_SCHEMA)} (\n{defined}\n) COMMENT = {comment(purpose)}"
