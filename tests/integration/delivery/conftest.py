"""Deliveries in a landing folder, produced to a real broker, and what then lies on its topics."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

from feedline.batch.control_file import control_path, read_control_file
from feedline.batch.headers import MANIFEST
from feedline.catalog import Catalog, Feed, load_catalog
from feedline.datagen import generate_day
from feedline.kafka.admin import admin_client, ensure_topics, partition_count, watermarks
from feedline.kafka.config import consumer_config
from feedline.producer.delivery import produce_delivery
from feedline.producer.source_files import DeliverySource
from feedline.settings import Settings

DAY = date(2026, 11, 20)


@dataclass(frozen=True)
class Landed:
    """A message as it lies on a topic."""

    partition: int
    offset: int
    value: bytes = field(repr=False)
    headers: dict[str, str]

    @property
    def is_manifest(self) -> bool:
        return self.headers.get("contentType") == MANIFEST


@pytest.fixture
def settings(stack, tmp_path: Path) -> Settings:
    return replace(stack.settings, landing=tmp_path / "landing")


@pytest.fixture
def topics(catalog: Catalog, settings: Settings) -> Catalog:
    """The test's own catalogue, with its topics on the broker."""
    ensure_topics(admin_client(settings.kafka), catalog.topics(), settings.replication_factor)
    return catalog


@pytest.fixture
def positions(topics: Catalog) -> Feed:
    return topics.feed("positions")


@pytest.fixture(scope="session")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A landing folder with the files of two funds."""
    out = tmp_path_factory.mktemp("day")
    generate_day(load_catalog(), business_date=DAY, funds=2, seed=11, out=out)
    return out


class Bulk:
    """What a test does with deliveries: makes their files, produces them, reads the topics."""

    def __init__(self, settings: Settings, day: Path) -> None:
        self.settings = settings
        self._day = day
        self.produce = partial(produce_delivery, kafka=settings.kafka, registry=settings.registry)

    def lines(self, feed: str) -> list[bytes]:
        """Good records of a feed, each a line without its newline."""
        folder = control_path(self._day, feed, DAY).parent
        return [line for path in sorted(folder.glob("*.jsonl")) for line in path.read_bytes().splitlines()]

    @staticmethod
    def text(records: Sequence[bytes]) -> bytes:
        return b"".join(record + b"\n" for record in records)

    def land(
        self, feed: str, *contents: bytes, gz: bool = False, records: int | None = None, **said: Any
    ) -> DeliverySource:
        """Writes a delivery's files, each of the bytes given, and its control file, whose entries `said` replaces."""
        control = control_path(self.settings.landing, feed, DAY)
        control.parent.mkdir(parents=True, exist_ok=True)
        files = []
        for number, content in enumerate(contents, 1):
            packed = gzip.compress(content, 1, mtime=0) if gz else content
            name = f"{feed}_{DAY:%Y%m%d}_{number:03d}.jsonl{'.gz' if gz else ''}"
            (control.parent / name).write_bytes(packed)
            found = sum(1 for line in content.split(b"\n") if line.strip())
            entry = {
                "name": name,
                "bytes": len(packed),
                "sha256": hashlib.sha256(packed).hexdigest(),
                "records": found if records is None else records,
            }
            files.append({**entry, **said})
        document = {
            "feed": feed,
            "businessDate": DAY.isoformat(),
            "cycle": "EOD",
            "files": files,
            "records": sum(file["records"] for file in files),
        }
        control.write_text(json.dumps(document))
        return DeliverySource(read_control_file(control), control.parent)

    def read_topic(self, topic: str) -> list[Landed]:
        """Everything that is on a topic now, by partition and offset."""
        config = consumer_config(self.settings.kafka, group_id="test") | {
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
        consumer = Consumer(config)
        try:
            partitions = list(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
            consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
            return sorted(_drain(consumer, len(partitions)), key=lambda m: (m.partition, m.offset))
        finally:
            consumer.close()

    def expire(self, topic: str) -> None:
        """Deletes from a topic what it holds, as its retention would."""
        # Held in a name: a client that is let go answers none of its futures.
        admin = admin_client(self.settings.kafka)
        marks = watermarks(self.settings.kafka, topic, range(partition_count(admin, topic)))
        ends = [TopicPartition(topic, partition, high) for partition, (_, high) in marks.items()]
        for future in admin.delete_records(ends).values():
            future.result()


@pytest.fixture
def bulk(settings: Settings, day: Path) -> Bulk:
    return Bulk(settings, day)


def _drain(consumer: Consumer, partitions: int) -> Iterator[Landed]:
    ended: set[int] = set()
    while len(ended) < partitions:
        for message in consumer.consume(500, timeout=0.2):
            error = message.error()
            if error is None:
                headers = {name: (value or b"").decode(errors="replace") for name, value in message.headers() or ()}
                yield Landed(message.partition(), message.offset(), message.value() or b"", headers)
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition())
            else:
                raise AssertionError(error)
