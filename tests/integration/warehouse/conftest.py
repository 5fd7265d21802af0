"""A small feed with every kind of field, on a topic and in tables of its own test."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from confluent_kafka import Producer
from snowflake.connector import SnowflakeConnection

from feedline.batch.codec import codec_for
from feedline.batch.consumed import ConsumedBatch
from feedline.batch.control_totals import add_exact
from feedline.batch.headers import AVRO, BatchHeaders
from feedline.batch.identity import Cycle, correlation_id
from feedline.batch.manifest import DeliveryManifest, FileCount, FundCount, PartitionRange
from feedline.batch.schemas import batch_schema, batch_subject
from feedline.batch.wire import prefix
from feedline.catalog import Catalog, Feed, Topic, Volume
from feedline.consumer.range_reader import read_range
from feedline.consumer.ranges import LoadRange, PartitionSpan
from feedline.errors import CorruptBatchError
from feedline.kafka.admin import admin_client, ensure_topics
from feedline.kafka.config import producer_config
from feedline.kafka.registry import register_schema, registry_client, writer_schema
from feedline.settings import Settings
from feedline.warehouse.connection import open_warehouse
from feedline.warehouse.load import LoadResult, load_batches
from feedline.warehouse.provision import provision_tables
from feedline.warehouse.report import ValidationReport
from feedline.warehouse.validate import validate_delivery

PARTITIONS = 4
BUSINESS_DATE = date(2026, 11, 20)
_numbers = itertools.count(1)


def decimal_type(precision: int, scale: int) -> dict[str, Any]:
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}


HOLDING: dict[str, Any] = {
    "type": "record",
    "name": "Holding",
    "namespace": "test",
    "doc": "What a fund's account holds.",
    "businessKeys": ["account", "instrument.isin"],
    "fields": [
        {"name": "account", "type": "string"},
        {"name": "fund", "type": "string"},
        {"name": "order", "type": "long", "doc": "A reserved word as a name."},
        {"name": "quantity", "type": decimal_type(38, 10)},
        {"name": "value", "type": ["null", decimal_type(18, 4)], "default": None},
        {"name": "tradeDate", "type": {"type": "int", "logicalType": "date"}},
        {"name": "struckAt", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "paidAt", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}], "default": None},
        {"name": "side", "type": {"type": "enum", "name": "Side", "symbols": ["LONG", "SHORT"]}},
        {"name": "settled", "type": ["null", "boolean"], "default": None},
        {"name": "rank", "type": "int"},
        {"name": "ratio", "type": ["null", "double"], "default": None},
        {"name": "note", "type": ["null", "string"], "default": None},
        {"name": "tags", "type": ["null", {"type": "array", "items": "string"}], "default": None},
        {
            "name": "instrument",
            "type": {
                "type": "record",
                "name": "Instrument",
                "fields": [
                    {"name": "isin", "type": "string"},
                    {
                        "name": "rating",
                        "type": [
                            "null",
                            {
                                "type": "record",
                                "name": "Rating",
                                "fields": [
                                    {"name": "agency", "type": ["null", "string"], "default": None},
                                    {"name": "grade", "type": ["null", "string"], "default": None},
                                ],
                            },
                        ],
                        "default": None,
                    },
                ],
            },
        },
        {
            "name": "lots",
            "type": [
                "null",
                {
                    "type": "array",
                    "items": {
                        "type": "record",
                        "name": "Lot",
                        "fields": [
                            {"name": "price", "type": decimal_type(20, 8)},
                            {"name": "openedOn", "type": ["null", {"type": "int", "logicalType": "date"}]},
                            {"name": "remark", "type": ["null", "string"]},
                        ],
                    },
                },
            ],
            "default": None,
        },
    ],
}


def holding(number: int) -> dict[str, Any]:
    """A valid record; another number gives another one."""
    return {
        "account": f"A-{number}",
        "fund": f"F{number % 3}",
        "order": number,
        "quantity": Decimal(f"-{'9' * 20}{number}.9999999999" if number % 7 == 0 else f"{number}.0000000001"),
        "value": None if number % 5 == 0 else Decimal(f"{number}.2500"),
        "tradeDate": BUSINESS_DATE - timedelta(days=number % 40),
        "struckAt": datetime(2026, 11, 20, 16, 30, tzinfo=UTC) + timedelta(microseconds=number),
        "paidAt": None if number % 4 else datetime(2026, 11, 21, tzinfo=UTC) + timedelta(milliseconds=number),
        "side": "SHORT" if number % 2 else "LONG",
        "settled": [None, True, False][number % 3],
        "rank": -number,
        "ratio": None if number % 6 == 0 else number / 8,
        "note": [None, "", "naïve 漢字 𝄞 'quoted' \\"][number % 3],
        "tags": [None, [], ["a", ""]][number % 3],
        "instrument": {
            "isin": f"XS{number:010d}",
            "rating": [None, {"agency": None, "grade": None}, {"agency": "M", "grade": None}][number % 3],
        },
        "lots": [None, [], [{"price": Decimal("1.00000001"), "openedOn": None, "remark": ""}] * 2][number % 3],
    }


@dataclass
class Bench:
    """Publishes holdings to a topic of its own and loads them into tables of the module's database."""

    feed: Feed
    settings: Settings
    connection: SnowflakeConnection
    schema_id: int
    reported: list[tuple[ConsumedBatch, CorruptBatchError]] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)

    def use_schema(self, schema: dict[str, Any]) -> None:
        """Publishes with another schema from now on."""
        self.feed = replace(self.feed, schema=schema)
        registry = registry_client(self.settings.registry)
        self.schema_id = register_schema(registry, batch_subject(self.feed), batch_schema(self.feed))

    def publish(
        self,
        records: Sequence[dict[str, Any]],
        *,
        delivery_id: str | None = None,
        per_batch: int = 10,
        partitions: Sequence[int] = tuple(range(PARTITIONS)),
        change: Callable[[int, BatchHeaders, bytes], tuple[BatchHeaders, bytes]] = lambda _, h, v: (h, v),
    ) -> DeliveryManifest:
        """Sends the records as one delivery of one file; `change` may spoil a batch by its index."""
        delivery_id = delivery_id or f"{self.feed.name}-{uuid.uuid4().hex[:12]}"
        codec = codec_for(self.feed.schema)
        rows = pa.RecordBatch.from_pylist(list(records), schema=codec.arrow_schema)
        producer = Producer(producer_config(self.settings.kafka))
        placed: list[tuple[int, int, int, int]] = []
        for index, start in enumerate(range(0, len(records), per_batch)):
            count = min(per_batch, len(records) - start)
            value = codec.encode(rows, start, start + count, prefix=prefix(self.schema_id))
            headers = self.headers(delivery_id, index, count)
            headers, value = change(index, headers, value)

            def delivered(error: Any, message: Any, count: int = count, size: int = len(value)) -> None:
                assert error is None, error
                placed.append((message.partition(), message.offset(), count, size))

            producer.produce(
                self.feed.topic.name,
                value,
                partition=partitions[index % len(partitions)],
                headers=headers.to_kafka(),
                on_delivery=delivered,
            )
        assert producer.flush(30) == 0
        producer.close()
        for partition, offset, _, _ in placed:
            self.ends[partition] = max(self.ends.get(partition, 0), offset + 1)
        return self.manifest(delivery_id, records, placed)

    def headers(self, delivery_id: str, index: int, count: int) -> BatchHeaders:
        return BatchHeaders(
            correlation_id=correlation_id(delivery_id, "f" * 64, index),
            feed=self.feed.name,
            business_date=BUSINESS_DATE,
            cycle=Cycle.EOD,
            delivery_id=delivery_id,
            batch_index=index,
            record_count=count,
            source_file="holdings_001.jsonl",
            content_type=AVRO,
        )

    def manifest(
        self, delivery_id: str, records: Sequence[dict[str, Any]], placed: Sequence[tuple[int, int, int, int]]
    ) -> DeliveryManifest:
        def totals(some: Sequence[dict[str, Any]]) -> dict[str, Decimal]:
            return {
                "quantity": add_exact(r["quantity"] for r in some),
                "value": add_exact(r["value"] or Decimal() for r in some),
            }

        funds = sorted({r["fund"] for r in records})
        of_fund = {fund: [r for r in records if r["fund"] == fund] for fund in funds}
        held = {p: [x for x in placed if x[0] == p] for p in sorted({x[0] for x in placed})}
        return DeliveryManifest(
            delivery_id=delivery_id,
            feed=self.feed.name,
            business_date=BUSINESS_DATE,
            cycle=Cycle.EOD,
            batches=len(placed),
            records=len(records),
            source_records=len(records),
            error_records=0,
            raw_bytes=sum(x[3] for x in placed),
            control_totals=totals(records),
            files=(FileCount("holdings_001.jsonl", "f" * 64, len(records), 0, totals(records)),),
            funds=tuple(FundCount(f, len(some), totals(some)) for f, some in of_fund.items()),
            partitions=tuple(
                PartitionRange(
                    p,
                    min(x[1] for x in some),
                    max(x[1] for x in some) + 1,
                    len(some),
                    sum(x[2] for x in some),
                    sum(x[3] for x in some),
                )
                for p, some in held.items()
            ),
            produced_at=datetime.now(UTC),
        )

    def range(self, partitions: Sequence[int] | None = None) -> LoadRange:
        """Everything published so far, from the topic's start, in these partitions or all."""
        wanted = self.ends if partitions is None else {p: self.ends[p] for p in partitions}
        return LoadRange(
            self.feed.name, self.feed.topic.name, tuple(PartitionSpan(p, 0, end) for p, end in sorted(wanted.items()))
        )

    def load(self, load_range: LoadRange | None = None, **options: Any) -> LoadResult:
        load_range = load_range or self.range()
        registry = registry_client(self.settings.registry)
        return load_batches(
            options.pop("connection", self.connection),
            self.feed,
            load_range,
            options.pop("batches", None) or read_range(self.settings.kafka, load_range),
            lambda schema_id: writer_schema(registry, schema_id),
            on_bad_batch=lambda batch, error: self.reported.append((batch, error)),
            **options,
        )

    def validate(self, manifest: DeliveryManifest, **options: Any) -> ValidationReport:
        return validate_delivery(self.connection, self.feed, manifest, **options)

    def read(self) -> Iterator[ConsumedBatch]:
        return read_range(self.settings.kafka, self.range())

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query in which `{table}` stands for the feed's table and `{control}` for the control schema."""
        with self.connection.cursor() as cursor:
            table = f"FEEDLINE.IHUB.{self.feed.table}"
            return cursor.execute(sql.format(table=table, control="FEEDLINE.CONTROL")).fetchall()

    def orders(self) -> list[int]:
        """The numbers of the holdings in the table, ascending: a row twice or missing shows."""
        return [row[0] for row in self.query('SELECT "ORDER" FROM {table} ORDER BY 1')]


@pytest.fixture
def holdings(connection: SnowflakeConnection, warehouse_settings: Settings) -> Bench:
    """A provisioned feed of its own, with a topic and tables nobody else uses."""
    name = f"holdings_{next(_numbers)}_{uuid.uuid4().hex[:6]}"
    topic = Topic(f"TEST.{name}", partitions=PARTITIONS)
    feed = Feed(
        name=name,
        title="Holdings",
        topic=topic,
        schema=HOLDING,
        volume=Volume(1, 1),
        control_totals=("quantity", "value"),
        fund_field="fund",
    )
    admin = admin_client(warehouse_settings.kafka)
    ensure_topics(admin, [topic], warehouse_settings.replication_factor)
    registry = registry_client(warehouse_settings.registry)
    schema_id = register_schema(registry, batch_subject(feed), batch_schema(feed))
    provision_tables(connection, Catalog({name: feed}))
    return Bench(feed, warehouse_settings, connection, schema_id)


@pytest.fixture
def make_holding() -> Callable[[int], dict[str, Any]]:
    return holding


@pytest.fixture
def another_connection(warehouse_settings: Settings) -> Iterator[SnowflakeConnection]:
    with open_warehouse(warehouse_settings.warehouse) as session:
        yield session
