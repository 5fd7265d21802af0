"""Messages of orders become rows: decoded in columns, many at a time; those that cannot be are set apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from confluent_kafka import Message

from feedline.batch.codec import codec_for
from feedline.batch.wire import PREFIX_BYTES, schema_id_of
from feedline.consumer.messages import place_of
from feedline.errors import ConfigurationError, CorruptBatchError
from feedline.orders.model.rules import EARLIEST, LATEST, NO_TIME

# The registered schema of an id and its kind: `feedline.kafka.registry.writer_schema` with its client.
WriterSchema = Callable[[int], tuple[Mapping[str, Any], str]]

_TIME = "transactTime"


@dataclass(frozen=True, slots=True)
class Row:
    """A message that was decoded: row `index` of `records`. values: the fields by which it is judged."""

    message: Message
    partition: int
    offset: int
    records: pa.RecordBatch
    index: int
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BadMessage:
    """A message that cannot be decoded, and why."""

    message: Message
    reason: str


def decode(
    messages: Sequence[Message], fields: Sequence[str], writer_schema: WriterSchema
) -> tuple[list[Row], list[BadMessage]]:
    """The rows by partition and offset, and the bad messages. fields: top-level fields that a row's `values` has.

    Raises RegistryUnavailableError, and ConfigurationError when no message has a schema that the registry knows: then
    it is the registry that is wrong.
    """
    bad: list[BadMessage] = []
    groups: dict[int, list[Message]] = defaultdict(list)
    for message in messages:
        try:
            groups[schema_id_of(message.value())].append(message)
        except CorruptBatchError as error:
            bad.append(BadMessage(message, error.reason))
    rows: list[Row] = []
    unknown: list[ConfigurationError] = []
    for schema_id, group in groups.items():
        try:
            schema, _ = writer_schema(schema_id)
        except ConfigurationError as error:
            unknown.append(error)
            bad += (BadMessage(message, f"the registry does not know its schema {schema_id}") for message in group)
            continue
        for some, records in _records(schema, group, bad):
            rows += _rows(some, records, fields, bad)
    if unknown and not rows and len(unknown) == len(groups):
        raise ConfigurationError(
            f"none of {len(messages)} messages has a schema that the registry knows: is it the right registry?"
        ) from unknown[0]
    rows.sort(key=lambda row: (row.partition, row.offset))
    return rows, bad


def _records(
    schema: Mapping[str, Any], group: Sequence[Message], bad: list[BadMessage]
) -> Iterator[tuple[Sequence[Message], pa.RecordBatch]]:
    # A record between a count of one and an end is an Avro array, which the columnar codec reads.
    bodies = [b"\x02" + (message.value() or b"")[PREFIX_BYTES:] + b"\x00" for message in group]
    try:
        yield group, codec_for(schema).decode(bodies, [1] * len(bodies))
    except CorruptBatchError as error:
        if len(group) == 1:
            bad.append(BadMessage(group[0], error.reason))
            return
        # Halving finds a few culprits among many in few steps, and keeps the good ones in long runs.
        middle = len(group) // 2
        yield from _records(schema, group[:middle], bad)
        yield from _records(schema, group[middle:], bad)


def _rows(
    messages: Sequence[Message], records: pa.RecordBatch, fields: Sequence[str], bad: list[BadMessage]
) -> Iterator[Row]:
    timed = _with_a_date(messages, records, bad)
    kept = records if len(timed) == len(messages) else records.take(pa.array(timed, pa.int64()))
    names = [name for name in fields if name in records.schema.names]
    columns = [kept.column(name).to_pylist() for name in names]
    for index, *found in zip(timed, *columns, strict=True):
        message = messages[index]
        yield Row(message, *place_of(message), records, index, dict(zip(names, found, strict=True)))


def _with_a_date(messages: Sequence[Message], records: pa.RecordBatch, bad: list[BadMessage]) -> list[int]:
    """Which of them have a time of which a business date can be made; the others are bad: each would fail the load."""
    every = range(len(messages))
    times = records.column(_TIME) if _TIME in records.schema.names else None
    if times is None or not pa.types.is_timestamp(times.type):
        return list(every)
    first, end = pa.scalar(EARLIEST, times.type), pa.scalar(LATEST, times.type)
    fits = pc.and_(pc.greater_equal(times, first), pc.less(times, end)).to_pylist()
    bad += (BadMessage(messages[index], f"{_TIME}: {NO_TIME}") for index in every if not fits[index])
    return [index for index in every if fits[index]]
