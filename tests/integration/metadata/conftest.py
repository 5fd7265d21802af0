"""A small feed of one test alone, registered and provisioned, and the book of schemas."""

from __future__ import annotations

import itertools
import uuid
from dataclasses import dataclass, replace
from typing import Any

import pytest
from snowflake.connector import SnowflakeConnection

from feedline import FeedProducer
from feedline.catalog import BatchRule, Catalog, Feed, Topic, Volume
from feedline.kafka.admin import admin_client, ensure_topics
from feedline.kafka.registry import registry_client
from feedline.metadata.evolution import evolve
from feedline.metadata.subjects import Subjects
from feedline.settings import Settings

_numbers = itertools.count(1)

PRICE: dict[str, Any] = {
    "type": "record",
    "name": "Price",
    "namespace": "test.metadata",
    "doc": "A price.",
    "businessKeys": ["id"],
    "fields": [
        {"name": "id", "type": "long", "doc": "Number."},
        {"name": "ticker", "type": "string", "doc": "Symbol of the exchange."},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}},
        {"name": "side", "type": {"type": "enum", "name": "Side", "symbols": ["BID", "ASK"], "default": "BID"}},
        {"name": "remark", "type": ["null", "string"], "default": None, "doc": "Remark."},
    ],
}


@dataclass(frozen=True)
class Prices:
    """The feed, where it lies, and what it takes to change it."""

    feed: Feed
    settings: Settings
    connection: SnowflakeConnection
    subjects: Subjects

    def producer(self, schema: dict[str, Any] | None = None) -> FeedProducer:
        """A producer whose catalogue has this schema."""
        feed = replace(self.feed, schema=schema or self.feed.schema)
        ours = {
            "feedline.catalog": Catalog({feed.name: feed}),
            "feedline.registry": dict(self.settings.registry),
            "feedline.business.date": "2026-11-20",
            "linger.ms": 1,
        }
        return FeedProducer({**self.settings.kafka, **ours})

    def send(self, producer: FeedProducer, *records: dict[str, Any]) -> None:
        reports: list[Any] = []
        for record in records:
            producer.produce(
                self.feed.topic.name,
                value=record,
                headers=[("feed", self.feed.name.encode())],
                on_delivery=lambda error, _: reports.append(error),
            )
        assert producer.flush(60) == 0
        assert reports == [None] * len(records)

    def evolve(self, schema: dict[str, Any], **options: Any) -> Any:
        chosen = {"subjects": self.subjects, "connection": self.connection, "by": "key:test", **options}
        return evolve(self.feed, schema, **chosen)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            return cursor.execute(sql.format(table=f"FEEDLINE.IHUB.{self.feed.table}")).fetchall()

    def columns(self) -> dict[str, tuple[Any, Any]]:
        rows = self.query(
            "SELECT COLUMN_NAME, NUMERIC_PRECISION, NUMERIC_SCALE FROM FEEDLINE.INFORMATION_SCHEMA.COLUMNS "
            f"WHERE TABLE_NAME = '{self.feed.table}'"
        )
        return {name: (precision, scale) for name, precision, scale in rows}


@pytest.fixture
def prices(connection: SnowflakeConnection, warehouse_settings: Settings) -> Prices:
    name = f"prices_{next(_numbers)}_{uuid.uuid4().hex[:6]}"
    topic = Topic(f"TEST.{name}", partitions=2)
    feed = Feed(
        name=name, title="Prices", topic=topic, schema=PRICE, volume=Volume(1, 1), batch=BatchRule(max_age_s=0.1)
    )
    ensure_topics(admin_client(warehouse_settings.kafka), [topic], warehouse_settings.replication_factor)
    book = f"feedline.schemas.{uuid.uuid4().hex[:8]}"
    client = registry_client({**warehouse_settings.registry, "max.retries": 1})
    found = Prices(feed, warehouse_settings, connection, Subjects(client, warehouse_settings.kafka, book, 1))
    found.evolve(PRICE)
    return found
