"""Messages of `orders.bulk` as events, with the bytes that are published for them."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import fastavro
from confluent_kafka import Message

from feedline.batch.wire import schema_id_of
from feedline.errors import ConfigurationError, CorruptBatchError
from feedline.kafka.registry import registry_client, schema_id, writer_schema
from feedline.orders.model import EntrySource, OrderEvent, decode_event, encode_event, event_id
from feedline.orders.model.schemas import ORDER_EVENT, order_schema, parsed_schema
from feedline.orders.topics import OrderTopics
from feedline.settings import Settings


class Read(NamedTuple):
    """An event as bulk entry publishes it, and its bytes."""

    event: OrderEvent
    value: bytes


class EventReader:
    """Knows the schemas of the registry; each is asked for once."""

    def __init__(self, settings: Settings, topics: OrderTopics) -> None:
        self._settings, self._topics = settings, topics
        self._schemas: dict[int, Any] = {}

    @cached_property
    def _client(self) -> Any:
        return registry_client(self._settings.registry)

    @cached_property
    def schema_id(self) -> int:
        """The id of the schema that is published with; raises what the registry's client raises."""
        return schema_id(self._client, f"{self._topics.out}-value", order_schema(ORDER_EVENT))

    def read(self, message: Message) -> Read:
        """The message's event: with an id when it had none, and marked as of bulk entry.

        Raises CorruptBatchError for what is no event, RegistryUnavailableError when its schema cannot be asked for.
        """
        value: Any = message.value()
        event = decode_event(value, self._writer)
        if message.key() not in (None, event.order_id.encode()):
            raise CorruptBatchError(f"the key of the message is not its order id {event.order_id[:80]!r}")
        if event.event_id and event.source is EntrySource.BULK and schema_id_of(value) == self.schema_id:
            # As it came: nothing to write anew.
            return Read(event, value)
        made = event.event_id or event_id(event.order_id, event.sequence)
        event = replace(event, event_id=made, source=EntrySource.BULK)
        return Read(event, encode_event(event, self.schema_id))

    def _writer(self, number: int) -> Any:
        if number == self.schema_id:
            return parsed_schema(ORDER_EVENT)
        if number not in self._schemas:
            try:
                document, kind = writer_schema(self._client, number)
            except ConfigurationError as error:
                raise CorruptBatchError(f"its schema is not known: {error.reason}") from error
            if kind != "AVRO":
                raise CorruptBatchError(f"its schema {number} is of kind {kind}, not Avro")
            self._schemas[number] = fastavro.parse_schema(document)
        return self._schemas[number]
