"""One record at a time: the schema check, and the record's part of its micro-batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import orjson
from confluent_kafka.schema_registry import SchemaRegistryClient

from feedline.batch.codec import codec_for
from feedline.batch.headers import AVRO, JSON
from feedline.batch.json_batch import encode_json_batch, json_schema_of
from feedline.batch.row_check import check_record, encode_record, join_records
from feedline.batch.schemas import batch_schema, batch_subject
from feedline.batch.wire import prefix
from feedline.catalog import Feed
from feedline.errors import ConfigurationError, RecordTooLargeError, SchemaMismatchError
from feedline.kafka.registry import SchemaKind, register_schema, schema_id
from feedline.producer.row_totals import Amounts, amounts_of, value_at


@dataclass(frozen=True, slots=True)
class EncodedRecord:
    """body: the record's item in its message; raw: its size in bytes as it was given; group: the value of the feed's
    grouping field."""

    body: bytes = field(repr=False)
    raw: int
    amounts: Amounts
    group: Any = None


class RowEncoder:
    """Checks and encodes the records of one feed; keeps nothing between calls."""

    def __init__(self, feed: Feed, number: int) -> None:
        self._feed = feed
        self._codec = codec_for(feed.schema)
        self._prefix = prefix(number)
        self._as_json = feed.serialization == "json"
        self.content_type = JSON if self._as_json else AVRO

    def encode(self, value: bytes | str | Mapping[str, Any] | None) -> EncodedRecord:
        """Raises SchemaMismatchError with the path of the field, RecordTooLargeError; both name the feed."""
        if value is None:
            raise SchemaMismatchError("a feed's record has a value: give its JSON or a mapping", feed=self._feed.name)
        try:
            if isinstance(value, Mapping):
                values = check_record(value, self._codec)
                body = json_text(values) if self._as_json else encode_record(values, self._codec)
                raw = len(body)
                self._check_size(raw)
            else:
                raw = len(value) if isinstance(value, bytes) else len(value.encode(errors="surrogatepass"))
                # Before it is parsed: a text of any size is no reason to take any amount of memory.
                self._check_size(raw)
                values = check_record(value, self._codec)
                if self._as_json:
                    body = value if isinstance(value, bytes) else value.encode()
                else:
                    body = encode_record(values, self._codec)
        except SchemaMismatchError as error:
            raise SchemaMismatchError(error.reason, feed=self._feed.name, field=error.where.field) from None
        group_by = self._feed.batch.group_by
        group = None if group_by is None else value_at(values, group_by)
        return EncodedRecord(body, raw, amounts_of(self._feed, values), group)

    def join(self, bodies: list[bytes]) -> bytes:
        """The message's value."""
        return encode_json_batch(bodies, self._prefix) if self._as_json else join_records(bodies, self._prefix)

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
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError
