"""End-of-day books of orders, held against each other: topics, events, executions, and the engine's own book."""

# Values in these statements are written by `literal`.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from snowflake.connector import SnowflakeConnection

from feedline.orders.reconcile.engine_side import engine_lines, read_engine_side
from feedline.orders.reconcile.report import Line, Reconciliation, line
from feedline.orders.refused import Place, refused_places
from feedline.orders.topics import OrderTopics
from feedline.orders.warehouse.tables import EVENTS, EXECUTIONS, LEDGER, NOT_LOADED, ORDERS_SCHEMA, TABLES
from feedline.settings import Settings
from feedline.warehouse.connection import Session
from feedline.warehouse.names import data_table, literal

_CURRENT = data_table("ORDERS_CURRENT", ORDERS_SCHEMA)
# What the engine says of a whole order.
_OF_ORDER = "X.EXEC_TYPE NOT IN ('CANCEL_REJECTED', 'ORDER_STATUS')"


def reconcile(
    settings: Settings,
    connection: SnowflakeConnection,
    business_date: date,
    *,
    topics: OrderTopics | None = None,
    engine_folder: Path | None = None,
) -> Reconciliation:
    """Holds the books of the orders that had an event or a report on that date against each other.

    Looks at what is loaded: load first. engine_folder: the engine's own folder, with its book; without it the FIX side
    is what its reports say. Raises WarehouseUnavailableError, BrokerUnavailableError, ConfigurationError.
    """
    names = topics or OrderTopics()
    refused = refused_places(settings.acting_as("loader").kafka, names)
    day = _Day(Session(connection), business_date, names)
    lines = [*day.loading(), *day.parked(refused), *day.sending(refused), *day.executions(), *day.states()]
    if engine_folder is not None:
        sent = [(order_id, sequence) for order_id, sequence, place in day.events() if place not in refused]
        lines += engine_lines(read_engine_side(engine_folder), sent, day.exec_ids(), day.stands())
    return Reconciliation(business_date, tuple(lines))


class _Day:
    """The queries over one business date."""

    def __init__(self, session: Session, business_date: date, topics: OrderTopics) -> None:
        self._session = session
        self._out, self._executions = literal(topics.out), literal(topics.executions)
        self._topics = topics
        self._date = literal(business_date)
        self._orders = (
            f"SELECT ORDER_ID FROM {EVENTS.full_name} WHERE _BUSINESS_DATE = {self._date} AND _TOPIC = {self._out} "
            f"UNION SELECT ORDER_ID FROM {EXECUTIONS.full_name} "
            f"WHERE _BUSINESS_DATE = {self._date} AND _TOPIC = {self._executions}"
        )

    def loading(self) -> Iterator[Line]:
        """Of all dates: messages read, and what became of them."""
        for table in TABLES:
            topic = literal(table.topic(self._topics))
            [(messages,)] = self._rows(
                f"SELECT COALESCE(SUM(MESSAGES), 0) FROM {data_table(LEDGER, ORDERS_SCHEMA)} WHERE TOPIC = {topic}"
            )
            [(rows, ids)] = self._rows(
                f"SELECT COUNT(*), COUNT(DISTINCT {table.layout.column_of(table.id_field).name}) "
                f"FROM {table.full_name} WHERE _TOPIC = {topic}"
            )
            [(left,)] = self._rows(
                f"SELECT COUNT(*) FROM {data_table(NOT_LOADED, ORDERS_SCHEMA)} WHERE _TOPIC = {topic}"
            )
            yield line("loading", f"messages of {table.topic(self._topics)}", int(messages), int(rows) + int(left))
            yield line("loading", f"rows of {table.table}, and ids", int(rows), int(ids))

    def parked(self, refused: set[Place]) -> Iterator[Line]:
        """Of all dates: an event that misses the one before is loaded when that comes, or refused by the gateway."""
        waiting = self._rows(
            f"SELECT ORDER_ID, _PARTITION, _OFFSET FROM {data_table(NOT_LOADED, ORDERS_SCHEMA)} "
            f"WHERE _TOPIC = {self._out} AND VERDICT = 'PARKED'"
        )
        left = [
            str(order_id) for order_id, partition, offset in waiting if (int(partition), int(offset)) not in refused
        ]
        yield line("loading", "events that wait for one before, not refused", 0, len(left), left)

    def sending(self, refused: set[Place]) -> Iterator[Line]:
        """Every accepted event has an answer of the engine or was refused with a reason."""
        events = self._rows(f"SELECT COUNT(*) {self._accepted()}")
        unanswered = [
            (str(order_id), (int(partition), int(offset)))
            for order_id, partition, offset in self._rows(
                f"SELECT E.ORDER_ID, E._PARTITION, E._OFFSET {self._accepted()} AND NOT EXISTS (SELECT 1 FROM "
                f"{EXECUTIONS.full_name} X WHERE X.ORDER_ID = E.ORDER_ID AND X.SEQUENCE = E.SEQUENCE)"
            )
        ]
        turned_away = [order_id for order_id, place in unanswered if place in refused]
        silent = [order_id for order_id, place in unanswered if place not in refused]
        accepted = int(events[0][0])
        answered = accepted - len(unanswered)
        yield line("sending", "events accepted; answered or refused", accepted, answered + len(turned_away), silent)
        orphans = self._names(
            f"SELECT X.ORDER_ID FROM {EXECUTIONS.full_name} X WHERE X._BUSINESS_DATE = {self._date} "
            f"AND X._TOPIC = {self._executions} AND NOT EXISTS (SELECT 1 FROM {EVENTS.full_name} E "
            "WHERE E.ORDER_ID = X.ORDER_ID AND E.SEQUENCE = X.SEQUENCE)"
        )
        yield line("sending", "executions of no accepted event", 0, len(orphans), orphans)

    def executions(self) -> Iterator[Line]:
        """Fills add up to what the engine says is filled, and to no more than was ordered."""
        rows = self._rows(
            "SELECT X.ORDER_ID, CAST(SUM(IFF(X.EXEC_TYPE = 'TRADE', X.LAST_QTY, 0)) AS NUMBER(38,4)), MAX(X.CUM_QTY) "
            f"FROM {EXECUTIONS.full_name} X WHERE {_OF_ORDER} AND X.ORDER_ID IN ({self._orders}) GROUP BY X.ORDER_ID"
        )
        filled = sum((Decimal(cum) for _, _, cum in rows), Decimal(0))
        executed = sum((Decimal(total or 0) for _, total, _ in rows), Decimal(0))
        differing = [str(order_id) for order_id, total, cum in rows if Decimal(total or 0) != Decimal(cum)]
        yield line("executions", "filled quantity, and sum of fills", filled, executed, differing)
        over = self._names(
            f"SELECT ORDER_ID FROM {_CURRENT} WHERE ORDER_ID IN ({self._orders}) AND FILLED_QUANTITY > QUANTITY"
        )
        yield line("executions", "orders filled beyond their quantity", 0, len(over), over)

    def states(self) -> Iterator[Line]:
        """A state and the quantities beside it say the same."""
        [(orders,)] = self._rows(f"SELECT COUNT(*) FROM {_CURRENT} WHERE ORDER_ID IN ({self._orders})")
        differing = self._names(
            f"SELECT ORDER_ID FROM {_CURRENT} WHERE ORDER_ID IN ({self._orders}) AND NOT CASE STATUS "
            "WHEN 'FILLED' THEN OPEN_QUANTITY = 0 AND COALESCE(FILLED_QUANTITY = QUANTITY, FILLED_QUANTITY > 0) "
            "WHEN 'PARTIALLY_FILLED' THEN FILLED_QUANTITY > 0 AND OPEN_QUANTITY > 0 "
            "WHEN 'NEW' THEN FILLED_QUANTITY = 0 AND OPEN_QUANTITY > 0 "
            "WHEN 'REJECTED' THEN FILLED_QUANTITY = 0 AND OPEN_QUANTITY = 0 "
            "WHEN 'ENTERED' THEN REPORTS = 0 ELSE OPEN_QUANTITY = 0 END"
        )
        yield line(
            "states", "orders whose state fits their quantities", int(orders), int(orders) - len(differing), differing
        )
        lost = self._names(
            f"SELECT E.ORDER_ID {self._accepted()} AND E.KIND = 'CANCEL' AND EXISTS (SELECT 1 FROM "
            f"{EXECUTIONS.full_name} X WHERE X.ORDER_ID = E.ORDER_ID AND X.SEQUENCE = E.SEQUENCE "
            f"AND X.EXEC_TYPE = 'CANCELED') AND NOT EXISTS (SELECT 1 FROM {_CURRENT} C "
            "WHERE C.ORDER_ID = E.ORDER_ID AND C.STATUS = 'CANCELED')"
        )
        yield line("states", "cancelled orders that stand otherwise", 0, len(lost), lost)

    def events(self) -> list[tuple[str, int, Place]]:
        """Order, sequence and place of every event of these orders, of whatever date."""
        rows = self._rows(
            f"SELECT ORDER_ID, SEQUENCE, _PARTITION, _OFFSET FROM {EVENTS.full_name} WHERE ORDER_ID IN ({self._orders})"
        )
        return [(str(order_id), int(number), (int(p), int(offset))) for order_id, number, p, offset in rows]

    def exec_ids(self) -> set[str]:
        return set(self._names(f"SELECT EXEC_ID FROM {EXECUTIONS.full_name} WHERE ORDER_ID IN ({self._orders})"))

    def stands(self) -> dict[str, tuple[str, Decimal]]:
        """Status and filled quantity of each of these orders."""
        rows = self._rows(
            f"SELECT ORDER_ID, STATUS, FILLED_QUANTITY FROM {_CURRENT} WHERE ORDER_ID IN ({self._orders})"
        )
        return {str(order_id): (str(status), Decimal(filled)) for order_id, status, filled in rows}

    def _accepted(self) -> str:
        return f"FROM {EVENTS.full_name} E WHERE E._BUSINESS_DATE = {self._date} AND E._TOPIC = {self._out}"

    def _names(self, sql: str) -> list[str]:
        return [str(row[0]) for row in self._rows(sql)]

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self._session.execute(sql, doing="cannot reconcile the orders")
