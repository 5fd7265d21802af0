"""One order as the tables have it."""

# Values in these statements are written by `literal`.
# ruff: noqa: S608

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from snowflake.connector import SnowflakeConnection

from feedline.orders.warehouse.tables import EVENTS, EXECUTIONS, NOT_LOADED, ORDERS_SCHEMA
from feedline.warehouse.connection import Session
from feedline.warehouse.names import data_table, literal

STATE = (
    "STATUS", "PRODUCT", "SIDE", "SYMBOL", "ORDER_TYPE", "QUANTITY", "CASH_AMOUNT", "LIMIT_PRICE", "CURRENCY",
    "FILLED_QUANTITY", "FILLED_AMOUNT", "OPEN_QUANTITY", "ACCOUNT_ID", "SOURCE", "CLIENT", "ENTERED_AT",
    "LAST_EVENT_AT", "LAST_REPORT_AT",
)  # fmt: skip
EVENT = (
    "SEQUENCE", "KIND", "ORDER__QUANTITY", "ORDER__CASH_AMOUNT", "ORDER__LIMIT_PRICE", "TRANSACT_TIME", "_PARTITION",
    "_OFFSET",
)  # fmt: skip
EXECUTION = ("EXEC_ID", "EXEC_TYPE", "ORD_STATUS", "LAST_QTY", "LAST_PX", "CUM_QTY", "LEAVES_QTY", "TEXT")
REFUSED = ("VERDICT", "REASON", "_TOPIC", "_PARTITION", "_OFFSET")


@dataclass(frozen=True, slots=True)
class OneOrder:
    """state: by column of ORDERS_CURRENT, empty for an order that is not there; the others as rows."""

    state: dict[str, Any]
    events: list[dict[str, Any]]
    executions: list[dict[str, Any]]
    refused: list[dict[str, Any]]


def one_order(connection: SnowflakeConnection, order_id: str) -> OneOrder:
    """Everything the tables have of an order; raises WarehouseUnavailableError, TerminalError without tables."""
    session, name = Session(connection), literal(order_id)

    def rows(table: str, columns: tuple[str, ...], order: str) -> list[dict[str, Any]]:
        selected = ", ".join(columns)
        found = session.execute(
            f"SELECT {selected} FROM {table} WHERE ORDER_ID = {name} ORDER BY {order}", doing="cannot read the order"
        )
        return [dict(zip(columns, row, strict=True)) for row in found]

    state = rows(data_table("ORDERS_CURRENT", ORDERS_SCHEMA), STATE, "1")
    return OneOrder(
        state=state[0] if state else {},
        events=rows(EVENTS.full_name, EVENT, "SEQUENCE"),
        executions=rows(EXECUTIONS.full_name, EXECUTION, "TRANSACT_TIME, _OFFSET"),
        refused=rows(data_table(NOT_LOADED, ORDERS_SCHEMA), REFUSED, "_TOPIC, _PARTITION, _OFFSET"),
    )
