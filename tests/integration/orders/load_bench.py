"""Orders on topics of a test's own, loaded into tables of the module's database."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from confluent_kafka import Producer
from snowflake.connector import SnowflakeConnection

from feedline.kafka.config import producer_config
from feedline.kafka.registry import registry_client, schema_id
from feedline.orders.model import (
    EntrySource,
    EventKind,
    ExecType,
    ExecutionReport,
    Order,
    OrderEvent,
    OrderType,
    OrdStatus,
    Product,
    Side,
    encode_event,
    encode_report,
    event_headers,
    event_id,
    facts_of,
)
from feedline.orders.model.schemas import EXECUTION_REPORT, ORDER_EVENT, order_schema
from feedline.orders.topics import OrderTopics
from feedline.orders.warehouse.run import load_all
from feedline.settings import Settings

ENTERED = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
BUSINESS_DATE = "2026-11-20"


def event(order_id: str, sequence: int = 1, kind: EventKind = EventKind.NEW, quantity: str = "100") -> OrderEvent:
    order = Order(
        side=Side.BUY,
        orderType=OrderType.LIMIT,
        quantity=Decimal(quantity),
        limitPrice=Decimal("189.250001"),
        currency="USD",
        symbol="AAPL",
    )
    return OrderEvent(
        event_id=event_id(order_id, sequence),
        order_id=order_id,
        sequence=sequence,
        kind=kind,
        account_id="ACC0000001",
        product=Product.EQUITY,
        order=None if kind is EventKind.CANCEL else order,
        transact_time=ENTERED,
        source=EntrySource.HTTP,
        client="desk",
    )


def report(
    order_id: str,
    number: int,
    exec_type: ExecType = ExecType.NEW,
    status: OrdStatus = OrdStatus.NEW,
    *,
    sequence: int = 1,
    last: str | None = None,
    cum: str = "0",
    leaves: str = "100",
    fix_seq_num: int = 7,
) -> ExecutionReport:
    return ExecutionReport(
        exec_id=f"{order_id}-{sequence}/{number}",
        order_id=order_id,
        cl_ord_id=f"{order_id}-{sequence}",
        sequence=sequence,
        exec_type=exec_type,
        ord_status=status,
        last_qty=None if last is None else Decimal(last),
        last_px=None if last is None else Decimal("189.250001"),
        cum_qty=Decimal(cum),
        leaves_qty=Decimal(leaves),
        avg_px=Decimal("189.250001") if Decimal(cum) else Decimal(0),
        text=None,
        transact_time=ENTERED,
        fix_session="GATEWAY-1",
        fix_seq_num=fix_seq_num,
        poss_dup=False,
    )


@dataclass
class LoadBench:
    """settings: with the module's own warehouse."""

    settings: Settings
    topics: OrderTopics
    connection: SnowflakeConnection
    ids: list[str] = field(default_factory=list)

    def order_id(self) -> str:
        self.ids.append(str(uuid.uuid4()))
        return self.ids[-1]

    def publish(self, *values: OrderEvent | ExecutionReport | tuple[bytes, bytes, list[Any]], partition: int = -1):
        """Events to orders.out, reports to orders.executions, each by its key unless a partition is named; a tuple of
        key, value and headers lies on orders.out as it is."""
        registry = registry_client(self.settings.registry)
        producer = Producer(producer_config(self.settings.kafka) | {"partitioner": "murmur2_random"})
        failed: list[Any] = []
        for one in values:
            topic, key, value, headers = self._message(registry, one)
            producer.produce(
                topic,
                value,
                key,
                headers=headers,
                partition=partition,
                on_delivery=lambda error, _: failed.append(error) if error else None,
            )
        assert producer.flush(60) == 0
        assert failed == []
        producer.close()

    def _message(self, registry: Any, one: Any) -> tuple[str, Any, bytes, Any]:
        if isinstance(one, OrderEvent):
            number = schema_id(registry, f"{self.topics.out}-value", order_schema(ORDER_EVENT))
            return self.topics.out, one.order_id, encode_event(one, number), event_headers(one, facts_of(one))
        if isinstance(one, ExecutionReport):
            number = schema_id(registry, f"{self.topics.executions}-value", order_schema(EXECUTION_REPORT))
            headers = [("correlationId", one.exec_id.encode())]
            return self.topics.executions, one.order_id, encode_report(one, number), headers
        key, value, headers = one
        return self.topics.out, key, value, headers

    def load(self, **options: Any) -> tuple[Any, Any]:
        events, executions = load_all(self.settings, options.pop("connection", self.connection), self.topics, **options)
        return events, executions

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query in which `{orders}` stands for the schema of orders and `{topics}` for what names the bench's
        own rows."""
        with self.connection.cursor() as cursor:
            mine = f"_TOPIC IN ('{self.topics.out}', '{self.topics.executions}')"
            return cursor.execute(sql.format(orders="FEEDLINE.ORDERS", mine=mine)).fetchall()

    def events(self) -> list[tuple[str, int]]:
        rows = self.query("SELECT ORDER_ID, SEQUENCE FROM {orders}.ORDER_EVENTS WHERE {mine} ORDER BY 1, 2")
        return [(order_id, int(sequence)) for order_id, sequence in rows]
