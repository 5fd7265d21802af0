"""The messages of a topic as samples: plain JSON, and the micro-batches of feeds, whose records are the samples."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import fastavro

from feedline.batch.wire import MAGIC, PREFIX_BYTES, schema_id_of
from feedline.errors import ConfigurationError, CorruptBatchError
from feedline.metadata.discovery.policy import DiscoveryPolicy
from feedline.metadata.discovery.samples import Refused, Sample, samples_of_texts

# The registered schema of an id and its kind, AVRO or JSON: `feedline.kafka.registry.writer_schema` with its client.
WriterSchema = Callable[[int], tuple[Mapping[str, Any], str]]


class TopicValue(NamedTuple):
    """A message's value and where it lay, as `partition 3 offset 17`."""

    value: bytes
    place: str


def samples_of_messages(
    messages: Iterable[TopicValue], writer_schema: WriterSchema, *, policy: DiscoveryPolicy | None = None
) -> Iterator[Sample | Refused]:
    """Of a JSON message its document; of a micro-batch its records; what is neither comes as Refused.

    Raises RegistryUnavailableError.
    """
    schemas: dict[int, tuple[Any, str]] = {}
    for value, place in messages:
        if value[:1] != bytes([MAGIC]):
            yield from samples_of_texts([value], policy=policy, source=place)
            continue
        try:
            number = schema_id_of(value)
            if number not in schemas:
                schema, kind = writer_schema(number)
                schemas[number] = (fastavro.parse_schema(dict(schema)) if kind == "AVRO" else None, kind)
            schema, kind = schemas[number]
            body = value[PREFIX_BYTES:]
            if kind == "JSON":
                yield from _records(samples_of_texts([body], policy=policy, source=place))
            else:
                yield from _records(
                    [Sample(fastavro.schemaless_reader(io.BytesIO(body), schema, None), len(body), place)]
                )
        except ConfigurationError as error:
            yield Refused(place, 0, error.reason)
        except (CorruptBatchError, EOFError, ValueError, IndexError, TypeError, OverflowError) as error:
            yield Refused(place, 0, f"it cannot be decoded by the schema it names: {str(error)[:100]}")


def _records(samples: Iterable[Sample | Refused]) -> Iterator[Sample | Refused]:
    """What a batch holds; a message of another shape is one sample."""
    for one in samples:
        records = one.value.get("records") if isinstance(one, Sample) and isinstance(one.value, dict) else None
        if isinstance(one, Sample) and isinstance(records, list) and len(one.value) == 1:
            size = one.size // max(1, len(records))
            yield from (Sample(record, size, one.file, one.line) for record in records)
        else:
            yield one
