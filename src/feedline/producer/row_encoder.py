"""One record at a time: the schema check, the record's part of its micro-batch, and what the batch then totals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
from confluent_kafka.schema_registry import SchemaRegistryClient

from feedline.batch.codec import codec_for
from feedline.batch.control_totals import BatchTotals, totals_of
from feedline.batch.headers import AVRO, JSON
from feedline.batch.json_batch import encode_json_batch, json_schema_of
from feedline.batch.json_lines import encode_json
from feedline.batch.row_check import check_record, encode_record, join_records
from feedline.batch.schemas import batch_schema, batch_subject
from feedline.batch.wire import prefix
from feedline.catalog import Feed
from feedline.errors import ConfigurationError, RecordTooLargeError, SchemaMismatchError
from feedline.kafka.registry import SchemaKind, register_schema, schema_id


@dataclass(frozen=True, slots=True)
class EncodedRecord:
    """avro: the record as an item of the batch schema; text: its JSON, for a feed that is sent as JSON; raw: its size
    in bytes as it was given; group: the value of the feed's grouping field."""

    avro: bytes = field(repr=False)
    text: bytes | None = field(repr=False)
    raw: int
    group: Any = None

    @property
    def size(self) -> int:
        """Bytes of its part of the message."""
        return len(self.avro if self.text is None else self.text)


class RowEncoder:
    """Checks and encodes the records of one feed; keeps nothing between calls.

    number: the id of the batch schema. Raises ConfigurationError for a control total that cannot be added exactly.
    """

    def __init__(self, feed: Feed, number: int) -> None:
        self._feed = feed
        self._codec = codec_for(feed.schema)
        self._prefix = prefix(number)
        self._as_json = feed.serialization == "json"
        self._columns = {path.split(".")[0] for path in (*feed.control_totals, feed.fund_field) if path}
        self.content_type = JSON if self._as_json else AVRO
        totals_of(feed, pa.RecordBatch.from_pylist([], schema=self._codec.arrow_schema))

    def encode(self, value: bytes | Mapping[str, Any] | None) -> EncodedRecord:
        """Raises SchemaMismatchError with the path of the field, RecordTooLargeError; both name the feed."""
        if value is None:
            raise SchemaMismatchError("a feed's record has a value: give its JSON or a mapping", feed=self._feed.name)
        try:
            if isinstance(value, Mapping):
                return self._from_mapping(value)
            # Before it is parsed: a text of any size is no reason to take any amount of memory.
            self._check_size(len(value))
            avro = encode_json(value, self._codec)
        except SchemaMismatchError as error:
            raise SchemaMismatchError(error.reason, feed=self._feed.name, field=error.where.field) from None
        group_by = self._feed.batch.group_by
        group = None if group_by is None else _value_at(orjson.loads(value), group_by)
        return EncodedRecord(avro, value if self._as_json else None, len(value), group)

    def join(self, records: list[EncodedRecord]) -> bytes:
        """The message's value."""
        if self._as_json:
            return encode_json_batch([record.text or b"" for record in records], self._prefix)
        return join_records([record.avro for record in records], self._prefix)

    def totals(self, records: list[EncodedRecord]) -> BatchTotals:
        """The control totals of a batch."""
        if not self._columns:
            return BatchTotals(len(records), {})
        body = join_records([record.avro for record in records])
        return totals_of(self._feed, self._codec.decode([body], [len(records)], columns=self._columns))

    def _from_mapping(self, value: Mapping[str, Any]) -> EncodedRecord:
        values = check_record(value, self._codec)
        avro = encode_record(values, self._codec)
        text = json_text(values) if self._as_json else None
        raw = len(avro if text is None else text)
        self._check_size(raw)
        group_by = self._feed.batch.group_by
        return EncodedRecord(avro, text, raw, None if group_by is None else _value_at(values, group_by))

    def _check_size(self, raw: int) -> None:
        if raw > self._feed.max_record_bytes:
            raise RecordTooLargeError(
                f"a record of {raw} bytes is over the feed's max_record_bytes of {self._feed.max_record_bytes}",
                feed=self._feed.name,
            )


def row_encoder(feed: Feed, client: SchemaRegistryClient | None, *, register: bool) -> RowEncoder:
    """The encoder of a feed with the id of its registered schema.

    Raises ConfigurationError when the schema is not registered, RegistryUnavailableError, AuthenticationError.
    """
    if client is None:
        raise ConfigurationError("set feedline.registry (or schema.registry.url) to produce feeds", feed=feed.name)
    schema, kind = batch_schema(feed), "AVRO"
    if feed.serialization == "json":
        schema, kind = json_schema_of(schema), "JSON"
    ask = register_schema if register else schema_id
    as_kind: SchemaKind = "JSON" if kind == "JSON" else "AVRO"
    return RowEncoder(feed, ask(client, batch_subject(feed), schema, as_kind))


def json_text(values: Mapping[str, Any]) -> bytes:
    """A mapping as JSON text; decimals as text, so that none passes through a float."""
    try:
        return orjson.dumps(values, default=_plain)
    except TypeError:
        return repr(values).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("latin-1")
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError


def _value_at(values: Mapping[str, Any], path: str) -> Any:
    found: Any = values
    for name in path.split("."):
        if found is None:
            return None
        found = found.get(name)
    return found
