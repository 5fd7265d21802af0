"""Ending a delivery that was produced record by record: its manifest."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, Message

from feedline.batch.identity import Delivery
from feedline.batch.manifest import MANIFEST_PARTITION, DeliveryManifest, encode_manifest
from feedline.batch.schemas import MANIFEST_SCHEMA, manifest_subject
from feedline.catalog import Feed
from feedline.errors import BrokerUnavailableError, ConfigurationError
from feedline.kafka.delivery_report import failure_of
from feedline.kafka.errors import translate
from feedline.kafka.registry import register_schema, schema_id
from feedline.producer.options import ProducerSettings
from feedline.producer.record_path import RecordPath
from feedline.producer.session_tally import manifest_headers


def complete(
    feed: Feed,
    delivery: Delivery,
    path: RecordPath,
    settings: ProducerSettings,
    *,
    produce: Callable[..., None],
    flush: Callable[[float], int],
    records: int | None,
    timeout: float,
) -> DeliveryManifest:
    """Flushes, then produces the manifest of what is acknowledged; see `FeedProducer.complete_delivery`."""
    where: dict[str, Any] = {"feed": feed.name, "delivery_id": delivery.delivery_id, "topic": feed.topic.name}
    registry = path.setup.registry()
    if registry is None:
        raise ConfigurationError("set feedline.registry (or schema.registry.url) to produce feeds", feed=feed.name)
    ask = register_schema if settings.options.register_schemas else schema_id
    number = ask(registry, manifest_subject(feed.topic.name), MANIFEST_SCHEMA)
    deadline = time.monotonic() + timeout
    left = flush(timeout)
    if left:
        raise BrokerUnavailableError(f"{left} records are not acknowledged yet: complete it later", **where)
    tally = path.tally(delivery)
    manifest = tally.manifest(feed, records)
    outcome: list[KafkaError | None] = []

    def on_manifest(error: KafkaError | None, message: Message) -> None:
        outcome.append(failure_of(error, message))

    produce(
        feed.topic.name,
        encode_manifest(manifest, number),
        partition=MANIFEST_PARTITION,
        headers=manifest_headers(manifest).to_kafka(),
        on_delivery=on_manifest,
    )
    flush(-1 if timeout < 0 else max(0.0, deadline - time.monotonic()))
    if not outcome:
        raise BrokerUnavailableError("the manifest is not acknowledged yet: complete it again", **where)
    if outcome[0] is not None:
        raise translate(outcome[0], **where)
    return manifest
