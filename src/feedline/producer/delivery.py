"""The bulk path: a feed's files with their control file become acknowledged micro-batches and a manifest.

The calling thread reads and produces; a small pool parses and encodes blocks of lines without the interpreter's lock.
Blocks are sent in file order and at most `BulkPolicy.blocks_ahead` are under way, so memory does not grow with the
files. A delivery that stops half-way leaves micro-batches on the topic but no manifest: it is never complete, and
producing it again sends the same micro-batches under the same correlation ids.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from confluent_kafka.schema_registry import SchemaRegistryClient

from feedline.batch.error_record import ErrorRecord, line_id
from feedline.batch.headers import AVRO, JSON, MANIFEST, BatchHeaders
from feedline.batch.identity import Delivery, correlation_id
from feedline.batch.json_batch import json_schema_of
from feedline.batch.manifest import DeliveryManifest, encode_manifest
from feedline.batch.schemas import MANIFEST_SCHEMA, batch_schema, batch_subject, manifest_subject
from feedline.batch.wire import prefix
from feedline.catalog import Feed
from feedline.errors import (
    ConfigurationError,
    ControlMismatchError,
    ErrorLimitExceededError,
    RecordTooLargeError,
    SourceChangedError,
)
from feedline.kafka.registry import register_schema, registry_client
from feedline.producer.delivery_blocks import BlockEncoder, EncodedBatch, EncodedBlock
from feedline.producer.delivery_count import DeliveryCount, FileTally
from feedline.producer.delivery_pipeline import encoded_blocks
from feedline.producer.delivery_plan import plan_cuttings, sample_of
from feedline.producer.delivery_sender import DeliverySender, delivery_sender
from feedline.producer.line_blocks import Cutting, LineCutter, OverlongLine
from feedline.producer.source_files import DeliverySource, SourceFile, open_source

# Called with the records and the uncompressed bytes dealt with so far.
Progress = Callable[[int, int], None]

# Kafka's framing and the headers count against a message's limit too.
MESSAGE_OVERHEAD = 16 * 1024


@dataclass(frozen=True, slots=True)
class BulkPolicy:
    """How the bulk path uses the machine; none of it changes what is produced.

    threads: that parse and encode, 0 for one more than the cores; blocks_ahead: blocks read and not yet sent;
    block_bytes: text of one block.
    """

    threads: int = 0
    blocks_ahead: int = 6
    block_bytes: int = 4 << 20

    def __post_init__(self) -> None:
        if self.threads < 0 or self.blocks_ahead < 1 or self.block_bytes < 1:
            raise ConfigurationError("a bulk policy's blocks_ahead and block_bytes must be at least 1")

    @property
    def workers(self) -> int:
        # A thread that waits for the interpreter's lock leaves no core idle.
        return self.threads or min(os.cpu_count() or 1, 8) + 1


def produce_delivery(
    feed: Feed,
    source: DeliverySource,
    *,
    kafka: Mapping[str, Any],
    registry: Mapping[str, Any],
    policy: BulkPolicy = BulkPolicy(),
    progress: Progress | None = None,
    produced_at: datetime | None = None,
) -> DeliveryManifest:
    """Produces a delivery and its manifest, all acknowledged when this returns.

    kafka: librdkafka client properties; registry: those of `SchemaRegistryClient`. produced_at: what the manifest is to
    say, with zone, of a delivery that a replay brings back and that is to count as no newer than it was; else it is
    now. Bad records go to the topic's error topic with their file, line, field and reason, and the rest is produced.

    Raises, with nothing produced: ControlMismatchError (a file is missing or not the one that the control file
    names), SchemaMismatchError (UTF-16), RegistryUnavailableError, BrokerUnavailableError, AuthenticationError. Raises
    with the delivery left unfinished: ErrorLimitExceededError, SourceChangedError, ControlMismatchError (counts or
    totals disagree, or a gzip stream is cut), BrokerUnavailableError after the delivery timeout.
    """
    delivery = source.control.delivery
    client = registry_client(registry)
    batch_id = _register_batch(client, feed)
    manifest_id = register_schema(client, manifest_subject(feed.topic.name), MANIFEST_SCHEMA)
    encoder = BlockEncoder(feed, prefix(batch_id), feed.topic.max_message_bytes - MESSAGE_OVERHEAD)
    with ExitStack() as stack:
        files = [
            (said, stack.enter_context(open_source(source.path(said), said, feed.name)))
            for said in source.control.files
        ]
        # The control file may list the same files in another order another time; their hashes do not change.
        sample = sample_of(min(files, key=lambda pair: pair[0].sha256)[1], encoder, feed.max_record_bytes)
        text_bytes = {said.sha256: file.text_bytes() for said, file in files}
        cuttings = plan_cuttings(feed, text_bytes, sample)
        expected = int(sum(text_bytes.values()) * sample.ratio)
        packing = sample.ratio / sample.message_ratio
        sender = stack.enter_context(delivery_sender(kafka, feed, delivery, expected_bytes=expected, packing=packing))
        pool = ThreadPoolExecutor(policy.workers, thread_name_prefix="feedline-encode")
        stack.callback(pool.shutdown, cancel_futures=True)
        count = DeliveryCount(feed, source.control, delivery.delivery_id)
        with _says_what_is_left(sender, delivery):
            for said, file in files:
                _File(feed, delivery, count.begin(said), count, sender, progress).produce(
                    file, cuttings[said.sha256], encoder, pool, policy
                )
            sender.finish()
            count.check_errors(at_end=True)
            count.check_control()
        manifest = _manifest(feed, delivery, sender, count, produced_at or datetime.now(UTC))
        sender.send_manifest(_manifest_headers(manifest), encode_manifest(manifest, manifest_id))
    return manifest


@dataclass(frozen=True, slots=True)
class _File:
    """One file on its way to the topic."""

    feed: Feed
    delivery: Delivery
    tally: FileTally
    count: DeliveryCount
    sender: DeliverySender
    progress: Progress | None

    def produce(
        self, file: SourceFile, cutting: Cutting, encoder: BlockEncoder, pool: ThreadPoolExecutor, policy: BulkPolicy
    ) -> None:
        cutter = LineCutter(cutting, block_bytes=policy.block_bytes, max_line_bytes=self.feed.max_record_bytes)
        blocks = cutter.cut(file.text(policy.block_bytes))
        for item in encoded_blocks(blocks, encoder, self.feed, pool, policy.blocks_ahead):
            if isinstance(item, OverlongLine):
                self._refuse_overlong(item)
            else:
                self._take(item)
            self.count.check_errors()
            self.tally.text_bytes = cutter.text_bytes
            if self.progress is not None:
                self.progress(self.count.records + self.count.errors, self.count.text_bytes)

    def _take(self, block: EncodedBlock) -> None:
        for batch in block.batches:
            self.sender.send(self._headers(batch), batch.value)
            self.tally.batches += 1
        for bad in block.bad:
            self._refuse(bad.line, bad.field, bad.reason, bad.raw, bad.error)
        if block.totals is not None:
            self.count.add(self.tally, block.totals)

    def _refuse_overlong(self, line: OverlongLine) -> None:
        reason = (
            f"the record has {line.size} bytes, and the feed allows {self.feed.max_record_bytes}: "
            f"truncated, only its first {len(line.head)} bytes are here"
        )
        self._refuse(line.line, None, reason, line.head, RecordTooLargeError)

    def _refuse(self, line: int, field: str | None, reason: str, raw: bytes, kind: type[Exception]) -> None:
        self.tally.errors += 1
        self.sender.send_error(
            ErrorRecord(
                correlation_id=line_id(self.delivery.delivery_id, self.tally.said.sha256, line),
                delivery=self.delivery,
                source_file=self.tally.said.name,
                reason=reason,
                error_code=kind.__name__,
                value=raw,
                line=line,
                field_path=field,
            )
        )

    def _headers(self, batch: EncodedBatch) -> BatchHeaders:
        sha256 = self.tally.said.sha256
        content = f"{sha256}#{batch.part}" if batch.part else sha256
        return BatchHeaders(
            correlation_id=correlation_id(self.delivery.delivery_id, content, batch.index),
            feed=self.feed.name,
            business_date=self.delivery.business_date,
            cycle=self.delivery.cycle,
            delivery_id=self.delivery.delivery_id,
            batch_index=batch.index,
            record_count=batch.records,
            source_file=self.tally.said.name,
            content_type=JSON if self.feed.serialization == "json" else AVRO,
        )


@contextmanager
def _says_what_is_left(sender: DeliverySender, delivery: Delivery) -> Iterator[None]:
    """Tells the reader of an input error what has become of what was produced before it was found."""
    try:
        yield
    except (ControlMismatchError, ErrorLimitExceededError, SourceChangedError) as error:
        sender.let_go()
        left = (
            f". {sender.acknowledged_records} of its records were acknowledged before; without a manifest the delivery "
            "is not complete"
        )
        where = {**_known(error), "delivery_id": delivery.delivery_id}
        raise type(error)(error.reason + left, **where) from error


def _known(error: ControlMismatchError | ErrorLimitExceededError | SourceChangedError) -> dict[str, Any]:
    return {"feed": error.where.feed, "topic": error.where.topic, "file": error.where.file, "line": error.where.line}


def _register_batch(client: SchemaRegistryClient, feed: Feed) -> int:
    schema = batch_schema(feed)
    if feed.serialization == "json":
        return register_schema(client, batch_subject(feed), json_schema_of(schema), kind="JSON")
    return register_schema(client, batch_subject(feed), schema)


def _manifest(
    feed: Feed, delivery: Delivery, sender: DeliverySender, count: DeliveryCount, produced_at: datetime
) -> DeliveryManifest:
    return DeliveryManifest(
        delivery_id=delivery.delivery_id,
        feed=feed.name,
        business_date=delivery.business_date,
        cycle=delivery.cycle,
        batches=sum(tally.batches for tally in count.files),
        records=count.records,
        source_records=count.records + count.errors,
        error_records=count.errors,
        raw_bytes=count.text_bytes,
        control_totals=count.totals,
        files=count.file_counts(),
        funds=count.funds(),
        partitions=sender.partitions(),
        produced_at=produced_at,
    )


def _manifest_headers(manifest: DeliveryManifest) -> BatchHeaders:
    return BatchHeaders(
        correlation_id=correlation_id(manifest.delivery_id, "manifest", -1),
        feed=manifest.feed,
        business_date=manifest.business_date,
        cycle=manifest.cycle,
        delivery_id=manifest.delivery_id,
        batch_index=-1,
        record_count=0,
        source_file="",
        content_type=MANIFEST,
    )
