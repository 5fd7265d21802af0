"""Registered schemas in a compacted Kafka topic, in the form of Confluent's and Karapace's own `_schemas` topic, with
what registries drop (metadata, rule set) and who registered each version when.

A loader whose registry is away reads a schema from here; the metadata service reads the history.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from feedline.errors import BrokerUnavailableError
from feedline.kafka.acknowledged import AcknowledgedSender
from feedline.kafka.config import admin_config, consumer_config, producer_config
from feedline.kafka.errors import translate

SCHEMA_TOPIC = "feedline.schemas"
READ_WITHIN_S = 20.0
MAGIC = 1


@dataclass(frozen=True, slots=True)
class SchemaEntry:
    """One version of a subject. by, at: who registered it, and when (ISO 8601, UTC); what: why, or of what it is a
    rollback."""

    subject: str
    version: int
    number: int
    text: str = field(repr=False)
    kind: str = "AVRO"
    metadata: Mapping[str, Any] | None = None
    rule_set: Mapping[str, Any] | None = None
    by: str = ""
    at: str = ""
    what: str = ""

    def key(self) -> bytes:
        key = {"keytype": "SCHEMA", "subject": self.subject, "version": self.version, "magic": MAGIC}
        return json.dumps(key, separators=(",", ":")).encode()

    def value(self) -> bytes:
        document: dict[str, Any] = {
            "subject": self.subject,
            "version": self.version,
            "id": self.number,
            "schemaType": self.kind,
            "schema": self.text,
            "metadata": self.metadata,
            "ruleSet": self.rule_set,
            "deleted": False,
            "by": self.by,
            "at": self.at,
            "what": self.what,
        }
        kept = {name: value for name, value in document.items() if value not in (None, "")}
        return json.dumps(kept, separators=(",", ":"), ensure_ascii=False).encode()


def entry_of(key: bytes | None, value: bytes | None) -> SchemaEntry | None:
    """The entry of a message of this topic or of a registry's own; None for a message of another kind."""
    try:
        head = json.loads(key or b"null")
        if not isinstance(head, dict) or head.get("keytype") != "SCHEMA":
            return None
        body = json.loads(value or b"null")
        if not isinstance(body, dict) or not isinstance(body["schema"], str):
            return None
        return SchemaEntry(
            subject=str(body["subject"]),
            version=int(body["version"]),
            number=int(body["id"]),
            text=body["schema"],
            kind=str(body.get("schemaType", "AVRO")),
            metadata=body.get("metadata"),
            rule_set=body.get("ruleSet"),
            by=str(body.get("by", "")),
            at=str(body.get("at", "")),
            what=str(body.get("what", "")),
        )
    except (ValueError, KeyError, TypeError):
        return None


def ensure_schema_topic(kafka: Mapping[str, Any], topic: str = SCHEMA_TOPIC, replication_factor: int = 3) -> bool:
    """Makes the topic when there is none: one partition, compacted; whether it was made.

    Raises BrokerUnavailableError, AuthenticationError, ConfigurationError.
    """
    admin = AdminClient({"log_level": 5, **admin_config(kafka)})
    config = {"cleanup.policy": "compact", "min.insync.replicas": str(max(1, replication_factor - 1))}
    new = NewTopic(topic, num_partitions=1, replication_factor=replication_factor, config=config)
    try:
        admin.create_topics([new], request_timeout=READ_WITHIN_S)[topic].result(READ_WITHIN_S)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return False
        raise translate(error, topic=topic) from error
    except FutureTimeoutError:
        raise BrokerUnavailableError("the topic of schemas could not be made in time", topic=topic) from None
    return True


def publish(kafka: Mapping[str, Any], entries: Iterable[SchemaEntry], topic: str = SCHEMA_TOPIC) -> int:
    """Writes entries, acknowledged by all in-sync replicas; returns how many.

    Raises BrokerUnavailableError and what `translate` gives.
    """
    sender = AcknowledgedSender(Producer(producer_config(kafka)), topic)
    for entry in entries:
        sender.send(entry.value(), entry.key())
    sender.settle(READ_WITHIN_S)
    return sender.acknowledged


def read_entries(kafka: Mapping[str, Any], topic: str = SCHEMA_TOPIC) -> list[SchemaEntry]:
    """Every version that lies on the topic, oldest first, the last word of each; nothing when there is no such topic.

    Raises BrokerUnavailableError when the broker does not answer.
    """
    found: dict[tuple[str, int], SchemaEntry] = {}
    for key, value in _messages(kafka, topic):
        entry = entry_of(key, value)
        if entry is not None:
            found[entry.subject, entry.version] = entry
    return list(found.values())


def _messages(kafka: Mapping[str, Any], topic: str) -> Iterator[tuple[bytes | None, bytes | None]]:
    # A group of its own that never commits: reading must not move anybody's offsets.
    consumer = Consumer(consumer_config(kafka, group_id=f"feedline.schemas.{uuid.uuid4().hex}"))
    try:
        ends = _ends(consumer, topic)
        open_ends = {partition for partition, (low, high) in ends.items() if low < high}
        if not open_ends:
            return
        consumer.assign([TopicPartition(topic, partition, ends[partition][0]) for partition in sorted(open_ends)])
        deadline = time.monotonic() + READ_WITHIN_S
        while open_ends:
            message = consumer.poll(0.2)
            if time.monotonic() > deadline:
                raise BrokerUnavailableError("the schemas could not be read to their end in time", topic=topic)
            if message is not None:
                error = message.error()
                if error is None:
                    yield message.key(), message.value()
                elif error.code() != KafkaError._PARTITION_EOF:
                    raise translate(error, topic=topic)
            # By position, not by offset: the last record may have been compacted away.
            for place in consumer.position([TopicPartition(topic, partition) for partition in open_ends]):
                if place.offset >= ends[place.partition][1]:
                    open_ends.discard(place.partition)
    except KafkaException as error:
        raise translate(error, topic=topic) from error
    finally:
        consumer.close()


def _ends(consumer: Consumer, topic: str) -> dict[int, tuple[int, int]]:
    found = consumer.list_topics(topic, timeout=READ_WITHIN_S).topics.get(topic)
    if found is None or found.error is not None:
        return {}
    return {
        partition: consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=READ_WITHIN_S)
        for partition in found.partitions
    }
