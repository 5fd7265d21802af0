"""Feed topics of one test on the real broker, real records for them, and what then lies on them."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import fastavro
import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

from feedline import FeedProducer
from feedline.batch.codec import codec_for
from feedline.batch.control_file import control_path
from feedline.batch.headers import MANIFEST
from feedline.batch.schemas import MANIFEST_SCHEMA, batch_schema, batch_subject, manifest_subject
from feedline.batch.wire import PREFIX_BYTES, schema_id_of
from feedline.catalog import Catalog, Feed, load_catalog
from feedline.datagen import generate_day
from feedline.kafka.admin import admin_client, ensure_topics
from feedline.kafka.registry import register_schema, registry_client, writer_schema

DAY = date(2026, 11, 20)
WAIT = 30


@dataclass(frozen=True)
class Landed:
    partition: int
    offset: int
    key: bytes | None
    value: bytes = field(repr=False)
    headers: dict[str, str]


class Outcomes:
    """A delivery callback that remembers."""

    def __init__(self) -> None:
        self.errors: list[KafkaError | None] = []
        self.messages: list[Any] = []

    def __call__(self, error: KafkaError | None, message: Any) -> None:
        self.errors.append(error)
        self.messages.append(message)


class Feeds:
    """A catalogue on topics of its own, provisioned."""

    def __init__(self, stack: Any, catalog: Catalog, *, register: bool = True) -> None:
        self.stack = stack
        self.catalog = catalog
        self.topic = catalog.topics()[0].name
        self._registry = registry_client(stack.settings.registry)
        if register:
            for feed in catalog.feeds.values():
                if feed.serialization == "avro":
                    register_schema(self._registry, batch_subject(feed), batch_schema(feed))
            register_schema(self._registry, manifest_subject(self.topic), MANIFEST_SCHEMA)

    def provision(self) -> Feeds:
        ensure_topics(admin_client(self.stack.settings.kafka), self.catalog.topics(), 1)
        return self

    def feed(self, name: str) -> Feed:
        return self.catalog.feed(name)

    def producer(self, **settings: Any) -> FeedProducer:
        ours = {"feedline.catalog": self.catalog, "feedline.registry": dict(self.stack.settings.registry)}
        return FeedProducer({**self.stack.settings.kafka, "linger.ms": 1, **ours, **settings})

    def only(self, name: str) -> Feeds:
        """A topic that carries this feed alone."""
        return self._on(f"alone-{uuid.uuid4().hex[:8]}", {name: self.feed(name)}).provision()

    def changed(self, name: str, *, register: bool = True, **changes: Any) -> Feeds:
        """A topic that carries the feed with changes."""
        changed = replace(self.feed(name), **changes)
        return self._on(f"changed-{uuid.uuid4().hex[:8]}", {name: changed}, register=register).provision()

    def absent(self) -> Feeds:
        """The feeds on a topic that the broker does not have."""
        return self._on(f"absent-{uuid.uuid4().hex[:8]}", dict(self.catalog.feeds))

    def _on(self, topic: str, feeds: dict[str, Feed], *, register: bool = True) -> Feeds:
        moved = replace(self.catalog.topics()[0], name=topic)
        return Feeds(self.stack, Catalog({n: replace(f, topic=moved) for n, f in feeds.items()}), register=register)

    def schema_of(self, message: Landed) -> Any:
        return fastavro.parse_schema(writer_schema(self._registry, schema_id_of(message.value))[0])

    def decode(self, message: Landed) -> list[dict[str, Any]]:
        """The records of a message, exact."""
        codec = codec_for(self.feed(message.headers["feed"]).schema)
        return codec.decode([message.value[PREFIX_BYTES:]], [int(message.headers["recordCount"])]).to_pylist()

    def records(self) -> list[dict[str, Any]]:
        return [record for message in self.read() for record in self.decode(message)]

    def read(self, *, at_least: int = 0, manifests: bool = False) -> list[Landed]:
        """The micro-batches (or the manifests) on the topic now; waits for `at_least`."""
        conf = {"group.id": "reader", "isolation.level": "read_committed", "enable.partition.eof": True}
        consumer = Consumer({**self.stack.settings.kafka, **conf})
        partitions = list(consumer.list_topics(self.topic, timeout=WAIT).topics[self.topic].partitions)
        consumer.assign([TopicPartition(self.topic, number, 0) for number in partitions])
        found, ended = [], set()
        deadline = time.monotonic() + WAIT
        while (len(ended) < len(partitions) or len(found) < at_least) and time.monotonic() < deadline:
            for message in consumer.consume(100, timeout=0.1):
                if message.error() is not None:
                    assert message.error().code() == KafkaError._PARTITION_EOF
                    ended.add(message.partition())
                    continue
                headers = {name: (value or b"").decode() for name, value in message.headers() or ()}
                if (headers["contentType"] == MANIFEST) == manifests:
                    place = (message.partition(), message.offset(), message.key(), message.value())
                    found.append(Landed(*place, headers))
        consumer.close()
        assert len(found) >= at_least
        return found


@pytest.fixture
def feeds(stack, catalog: Catalog) -> Feeds:
    chosen = {name: catalog.feed(name) for name in ("positions", "transactions")}
    return Feeds(stack, Catalog(chosen)).provision()


@pytest.fixture
def outcomes() -> type[Outcomes]:
    return Outcomes


@pytest.fixture(scope="session")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Good records of a feed, each the text of one JSON object."""
    out: Path = tmp_path_factory.mktemp("records")
    catalog = load_catalog()
    generate_day(catalog, business_date=DAY, funds=1, seed=5, out=out, feeds=["positions", "transactions"])

    def of(feed: str) -> list[bytes]:
        folder = control_path(out, feed, DAY).parent
        return [line for path in sorted(folder.glob("*.jsonl")) for line in path.read_bytes().splitlines()][:80]

    return of
