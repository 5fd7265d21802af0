"""End-of-day books of orders, held against each other: topics, events, executions, and the engine's own book."""

# Values in these statements are written by `literal`.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from snowflake.connector import SnowflakeConnection

from feedline.orders.reconcile.engine_side import engine_lines, read_engine_side
from feedline.orders.reconcile.report import Line, Reconciliation, line
from feedline.orders.refused import REPORT_REFUSED, Place, RefusedMessage, refused_messages
from feedline.orders.topics import OrderTopics
from feedline.orders.warehouse.judging import having
from feedline.orders.warehouse.rows import EXCHANGE_ZONE
from feedline.orders.warehouse.tables import EVENTS, EXECUTIONS, LEDGER, NOT_LOADED, ORDERS_SCHEMA, TABLES
from feedline.settings import Settings
from feedline.warehouse.connection import Session
from feedline.warehouse.names import data_table, literal

_CURRENT = data_table("ORDERS_CURRENT", ORDERS_SCHEMA)
# What the engine says of a whole order.
_OF_ORDER = "X.EXEC_TYPE NOT IN ('CANCEL_REJECTED', 'ORDER_STATUS')"
# What no day's books have looked at is looked at for so long: more than lies between the books of two trading days, and
# less than `orders.ERROR` keeps the reason of a refusal.
LOOK_BACK, REASONS_KEPT = timedelta(days=5), timedelta(days=6)


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
    refused: set[Place] = set()
    unread: list[RefusedMessage] = []
    for one in refused_messages(settings.acting_as("loader").kafka, names):
        if one.topic == names.out:
            refused.add((one.partition, one.offset))
        elif one.code == REPORT_REFUSED:
            unread.append(one)
    day = _Day(Session(connection), business_date, names)
    lines = [
        *day.loading(),
        *day.parked(refused),
        *day.sending(refused),
        *day.of_other_dates(refused),
        *day.executions(),
        *day.unread(unread),
        *day.states(),
    ]
    if engine_folder is not None:
        sent = [(order_id, sequence) for order_id, sequence, place in day.events() if place not in refused]
        lines += engine_lines(read_engine_side(engine_folder), sent, day.exec_ids(), day.stands())
    return Reconciliation(business_date, tuple(lines))


def looked_back(business_date: date, now: datetime) -> tuple[datetime, datetime]:
    """From when to when (not included) something has come that the books of that date look at, whatever its own date:
    nothing when the date is long ago."""
    end = datetime.combine(business_date + timedelta(days=1), time(), EXCHANGE_ZONE)
    return max(end - LOOK_BACK, now - REASONS_KEPT), end


class _Day:
    """The queries over one business date."""

    def __init__(self, session: Session, business_date: date, topics: OrderTopics) -> None:
        self._session = session
        self._out, self._executions = literal(topics.out), literal(topics.executions)
        self._topics = topics
        self._date = literal(business_date)
        self._since, self._until = looked_back(business_date, datetime.now(UTC))
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
        unanswered = self._unanswered(self._accepted())
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

    def of_other_dates(self, refused: set[Place]) -> Iterator[Line]:
        """As `sending`, of the events that came in the last days with a date of their own whose books did not see them:
        entered after the close, on a day without books, or with a time that is wrong."""
        others = (
            f"FROM {EVENTS.full_name} E WHERE E._BUSINESS_DATE <> {self._date} AND E._TOPIC = {self._out} "
            f"AND E._LOADED_AT >= {literal(self._since)} AND E._LOADED_AT < {literal(self._until)}"
        )
        silent = [order_id for order_id, place in self._unanswered(others) if place not in refused]
        yield line("sending", "events of other dates, not answered nor refused", 0, len(silent), silent)

    def unread(self, reports: Sequence[RefusedMessage]) -> Iterator[Line]:
        """Each report that the gateway could not read is missing until it has come again and was read."""
        late = {(one.key, one.exec_id) for one in reports if self._since <= one.refused_at < self._until}
        select = f"SELECT EXEC_ID FROM {EXECUTIONS.full_name}"
        read = {exec_id for (exec_id,) in having(self._session, select, "EXEC_ID", {exec_id for _, exec_id in late})}
        missing = [order_id or "(of no order)" for order_id, exec_id in late if exec_id not in read]
        yield line("executions", "reports that could not be read", 0, len(missing), missing)

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

    def _unanswered(self, events: str) -> list[tuple[str, Place]]:
        """Order and place of the events, of a FROM with a condition, of which the engine has said nothing."""
        rows = self._rows(
            f"SELECT E.ORDER_ID, E._PARTITION, E._OFFSET {events} AND NOT EXISTS (SELECT 1 FROM "
            f"{EXECUTIONS.full_name} X WHERE X.ORDER_ID = E.ORDER_ID AND X.SEQUENCE = E.SEQUENCE)"
        )
        return [(str(order_id), (int(partition), int(offset))) for order_id, partition, offset in rows]

    def _names(self, sql: str) -> list[str]:
        return [str(row[0]) for row in self._rows(sql)]

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self._session.execute(sql, doing="cannot reconcile the orders")
