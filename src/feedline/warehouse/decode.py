"""Consumed micro-batches become Arrow records, many at a time; those that cannot be decoded are set apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from feedline.batch.codec import codec_for
from feedline.batch.consumed import ConsumedBatch
from feedline.batch.headers import JSON
from feedline.batch.json_batch import decode_json_batch
from feedline.batch.wire import PREFIX_BYTES, schema_id_of
from feedline.catalog import Feed
from feedline.errors import ConfigurationError, CorruptBatchError
from feedline.warehouse.flatten import Decoded
from feedline.warehouse.layout import FeedLayout, feed_layout

# The registered schema of an id and its kind, AVRO or JSON: `feedline.kafka.registry.writer_schema` with its client.
WriterSchema = Callable[[int], tuple[Mapping[str, Any], str]]


@dataclass(frozen=True, slots=True)
class BadBatch:
    """A message that cannot be decoded, and why."""

    batch: ConsumedBatch
    error: CorruptBatchError


class Decoder:
    """Decodes one feed's batches by the schemas they were written with; may be used by one thread at a time."""

    def __init__(self, feed: Feed, writer_schema: WriterSchema) -> None:
        self._feed = feed
        self._writer_schema = writer_schema
        self._layouts: dict[int | None, FeedLayout] = {}

    def decode(self, batches: Sequence[ConsumedBatch]) -> tuple[list[tuple[Decoded, FeedLayout]], list[BadBatch]]:
        """The records, one `Decoded` a writer schema with the tables its records fill, and the bad batches.

        A batch of a schema that the registry does not know is bad like a truncated one, but when that is all there is,
        it is the registry that is wrong: ConfigurationError. Raises RegistryUnavailableError.
        """
        bad: list[BadBatch] = []
        groups: dict[tuple[int, str], list[ConsumedBatch]] = defaultdict(list)
        for batch in batches:
            try:
                groups[schema_id_of(batch.value), batch.headers.content_type].append(batch)
            except CorruptBatchError as error:
                bad.append(BadBatch(batch, error))
        good: list[tuple[Decoded, FeedLayout]] = []
        for (schema_id, content_type), group in groups.items():
            decoded = list(self._group(schema_id, content_type, group, bad))
            good.extend((one, self._layout(schema_id, content_type)) for one in decoded)
        if bad and not good and all(isinstance(one.error.__cause__, ConfigurationError) for one in bad):
            raise ConfigurationError(
                f"none of {len(bad)} micro-batches has a schema that the registry knows: is it the right registry?",
                feed=self._feed.name,
            ) from bad[0].error
        return good, bad

    def _group(
        self, schema_id: int, content_type: str, group: Sequence[ConsumedBatch], bad: list[BadBatch]
    ) -> Iterator[Decoded]:
        try:
            yield self._records(schema_id, content_type, group)
        except CorruptBatchError as error:
            if len(group) == 1:
                bad.append(BadBatch(group[0], error))
                return
            # Halving finds a few culprits among many in few steps, and keeps the good ones in long runs.
            middle = len(group) // 2
            yield from self._group(schema_id, content_type, group[:middle], bad)
            yield from self._group(schema_id, content_type, group[middle:], bad)

    def _records(self, schema_id: int, content_type: str, group: Sequence[ConsumedBatch]) -> Decoded:
        bodies = [memoryview(batch.value)[PREFIX_BYTES:] for batch in group]
        counts = [batch.headers.record_count for batch in group]
        records: pa.RecordBatch
        if content_type == JSON:
            records = decode_json_batch(bodies, counts, codec_for(self._feed.schema))
        else:
            records = codec_for(self._record_schema(schema_id)).decode(bodies, counts)
        return Decoded(records, group, counts)

    def _record_schema(self, schema_id: int) -> Mapping[str, Any]:
        try:
            schema, _ = self._writer_schema(schema_id)
        except ConfigurationError as error:
            raise CorruptBatchError(
                f"the registry does not know its schema {schema_id}", feed=self._feed.name
            ) from error
        try:
            items: Mapping[str, Any] = schema["fields"][0]["type"]["items"]
            if schema["fields"][0]["name"] == "records" and len(schema["fields"]) == 1:
                return items
        except (KeyError, TypeError, IndexError):
            pass
        raise CorruptBatchError(f"schema {schema_id} is not a batch of records", feed=self._feed.name)

    def _layout(self, schema_id: int, content_type: str) -> FeedLayout:
        # A JSON Schema does not say how wide a decimal is: its batches are read by the catalogue's schema.
        key = None if content_type == JSON else schema_id
        if key not in self._layouts:
            schema = self._feed.schema if key is None else self._record_schema(schema_id)
            self._layouts[key] = feed_layout(self._feed, schema)
        return self._layouts[key]
