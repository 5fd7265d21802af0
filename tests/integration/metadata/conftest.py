"""A small feed of one test alone, registered and provisioned, and the book of schemas; the metadata service on a copy
of the shipped catalogue."""

from __future__ import annotations

import itertools
import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from snowflake.connector import SnowflakeConnection

from feedline import FeedProducer
from feedline.catalog import BatchRule, Catalog, Feed, Topic, Volume, default_catalog_path
from feedline.kafka.admin import admin_client, ensure_topics
from feedline.kafka.registry import registry_client
from feedline.metadata.evolution import evolve
from feedline.metadata.subjects import Subjects
from feedline.services.api_keys import add_key
from feedline.services.auth import AccessConfig, Authenticator
from feedline.services.limits import Limits
from feedline.services.metadata_api import create_app
from feedline.services.roles import Role
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


@dataclass(frozen=True)
class Service:
    """The metadata service, running; keys by role; folder: of its catalogue."""

    url: str
    keys: dict[str, str]
    folder: Path

    def client(self, role: str = "engineer") -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"X-API-Key": self.keys[role]}, timeout=60)


@pytest.fixture(scope="module")
def service(warehouse_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("catalogue")
    shipped = default_catalog_path().parent
    for part in ("schemas", "ldm", "samples"):
        shutil.copytree(shipped / part, folder / part)
    text = (shipped / "feeds.yaml").read_text(encoding="utf-8")
    name = f"TEST.SERVICE.{uuid.uuid4().hex[:6]}"
    (folder / "feeds.yaml").write_text(text.replace("BNY.IN.PRD.IHUB.DEFAULT.DEFAULT", name), encoding="utf-8")
    keys = {str(role): add_key(folder / "keys.json", str(role), role)[1] for role in Role}
    book = f"feedline.schemas.{uuid.uuid4().hex[:8]}"
    registry = {**warehouse_settings.registry, "feedline.schemas.topic": book}
    settings = replace(warehouse_settings, catalog=folder / "feeds.yaml", registry=registry)
    limits = Limits(per_second=1000, burst=1000)
    app = create_app(settings, Authenticator(AccessConfig(keys=folder / "keys.json")), limits)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 60
        while not server.started:
            assert time.monotonic() < deadline, "the service did not start in time"
            time.sleep(0.05)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Service(f"http://127.0.0.1:{port}", keys, folder)
    finally:
        server.should_exit = True
        thread.join(60)
