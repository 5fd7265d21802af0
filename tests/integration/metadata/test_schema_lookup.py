"""Producers and loaders look schemas up while the registry is away: from the disk, and from the topic of schemas."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import pytest

from feedline import FeedProducer
from feedline.batch.schemas import batch_schema, batch_subject
from feedline.catalog import default_catalog_path
from feedline.errors import RegistryUnavailableError
from feedline.kafka.admin import admin_client, ensure_topics
from feedline.kafka.registry import register_schema, registry_client, schema_id, writer_schema
from feedline.kafka.schema_topic import SchemaEntry, ensure_schema_topic, publish, read_entries
from feedline.local.ports import choose_ports
from feedline.local.process import is_ours
from feedline.local.registry import RegistryConfig, await_registry, start_registry


@dataclass
class SecondRegistry:
    """Another instance of the registry on the same storage topic, which a test may kill."""

    url: str
    pid: int
    home: object

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while is_ours(self.pid, self.home) and time.monotonic() < deadline:
            time.sleep(0.05)


@pytest.fixture
def second_registry(stack, tmp_path) -> Iterator[SecondRegistry]:
    port = choose_ports({"registry": 0}, {})["registry"]
    bootstrap = stack.settings.kafka["bootstrap.servers"]
    config = RegistryConfig(tmp_path / "registry", tmp_path / "registry.log", port, bootstrap)
    process = start_registry(config, tmp_path)
    try:
        await_registry(process, config)
        yield SecondRegistry(config.url, process.pid, tmp_path)
    finally:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


def test_without_the_registry_producers_and_loaders_go_on_with_what_it_said_before(
    stack, catalog, second_registry, tmp_path
):
    feed = catalog.feed("account_dimensions")
    ensure_topics(admin_client(stack.settings.kafka), [feed.topic], 1)
    topic = f"feedline.schemas.{uuid.uuid4().hex[:8]}"
    ensure_schema_topic(stack.settings.kafka, topic, replication_factor=1)
    kept = {"url": second_registry.url, "feedline.cache.dir": str(tmp_path / "kept"), "max.retries": 0}
    from_topic = {
        "url": second_registry.url,
        "max.retries": 0,
        "feedline.schemas.topic": topic,
        "feedline.schemas.kafka": stack.settings.kafka,
    }
    subject, schema = batch_subject(feed), batch_schema(feed)
    number = register_schema(registry_client(kept), subject, schema)
    known = writer_schema(registry_client(kept), number)
    text = registry_client(kept).get_schema(number).schema_str
    publish(stack.settings.kafka, [SchemaEntry(subject, 1, number, text, by="test")], topic)

    second_registry.kill()

    with pytest.raises(RegistryUnavailableError):
        writer_schema(registry_client({"url": second_registry.url, "max.retries": 0}), number)
    for settings in (kept, from_topic):
        # Other clients, as in a process that starts now: nothing is remembered in memory.
        assert writer_schema(registry_client(settings), number) == known
        assert schema_id(registry_client(settings), subject, schema) == number
        assert register_schema(registry_client(settings), subject, schema) == number
        with pytest.raises(RegistryUnavailableError):
            writer_schema(registry_client(settings), 987654321)
        with pytest.raises(RegistryUnavailableError):
            register_schema(registry_client(settings), subject, {**schema, "doc": "another"})

    # A producer that starts now.
    producer = FeedProducer({**stack.settings.kafka, "feedline.registry": from_topic, "feedline.catalog": catalog})
    reports = []
    samples = default_catalog_path().parent / "samples" / f"{feed.name}.jsonl"
    record = samples.read_bytes().splitlines()[0]
    producer.produce(
        feed.topic.name,
        value=record,
        headers=[("feed", feed.name), ("businessDate", "2026-11-20")],
        on_delivery=lambda error, message: reports.append(error),
    )
    assert producer.flush(60) == 0
    assert reports == [None]


def test_a_kept_schema_that_was_changed_on_disk_is_not_used(stack, catalog, second_registry, tmp_path):
    feed = catalog.feed("accounts")
    kept = {"url": second_registry.url, "feedline.cache.dir": str(tmp_path / "kept"), "max.retries": 0}
    number = register_schema(registry_client(kept), batch_subject(feed), batch_schema(feed))
    writer_schema(registry_client(kept), number)
    second_registry.kill()
    for file in (tmp_path / "kept").rglob("id-*.json"):
        file.write_text(file.read_text().replace("account_id", "account_jd"))
    with pytest.raises(RegistryUnavailableError):
        writer_schema(registry_client(kept), number)


def test_the_topic_keeps_the_last_word_of_every_version(stack):
    topic = f"feedline.schemas.{uuid.uuid4().hex[:8]}"
    assert read_entries(stack.settings.kafka, topic) == []
    ensure_schema_topic(stack.settings.kafka, topic, replication_factor=1)
    assert read_entries(stack.settings.kafka, topic) == []
    first = SchemaEntry("s", 1, 7, '{"type":"string"}', metadata={"properties": {"a": "b"}}, by="key:ann")
    second = SchemaEntry("s", 2, 8, '{"type":"bytes"}', rule_set={"domainRules": []}, by="key:bob", at="now")
    publish(stack.settings.kafka, [first, second, replace(first, what="again")], topic)
    assert read_entries(stack.settings.kafka, topic) == [replace(first, what="again"), second]
