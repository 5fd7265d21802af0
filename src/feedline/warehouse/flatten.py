"""Records of a decoded batch become rows of a feed's tables, column by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feedline.batch.consumed import ConsumedBatch
from feedline.warehouse.layout import Column, FeedLayout, Path, Source, TableLayout


@dataclass(frozen=True, slots=True)
class Decoded:
    """The records of `batches`, one after the other; `counts[i]` of them are of `batches[i]`."""

    records: pa.RecordBatch
    batches: Sequence[ConsumedBatch]
    counts: Sequence[int]


def flatten(decoded: Decoded, layout: FeedLayout, loaded_at: datetime) -> dict[str, pa.Table]:
    """The rows of each of the feed's tables by table name, metadata columns included.

    Columns have the tables' own names and the types that COPY loads exactly.
    """
    metadata = _metadata(decoded, loaded_at)
    tables = {layout.table.name: _table(layout.table, decoded.records, metadata)}
    for child in layout.children:
        assert child.array is not None
        array = value_at(decoded.records, child.array)
        parents = pc.list_parent_indices(array)
        of_items = {name: column.take(parents) for name, column in metadata.items()}
        of_items["_ITEM_INDEX"] = _item_index(parents)
        items: Any = pc.list_flatten(array)
        tables[child.name] = _table(child, pa.RecordBatch.from_struct_array(items), of_items)
    return tables


def value_at(records: pa.RecordBatch, path: Path) -> pa.Array[Any]:
    """The field at a path; null where a record on the way to it is null."""
    column: pa.Array[Any] = records.column(path[0])
    if len(path) > 1:
        inner: pa.Array[Any] = pc.struct_field(column, list(path[1:]))
        return inner
    return column


def _table(table: TableLayout, records: pa.RecordBatch, metadata: Mapping[str, pa.Array[Any]]) -> pa.Table:
    columns = {column.name: _column(column, records) for column in table.columns}
    return pa.table({**columns, **metadata})


def _column(column: Column, records: pa.RecordBatch) -> pa.Array[Any]:
    value = value_at(records, column.path)
    if column.source is Source.COUNT:
        value = pc.list_value_length(value)
    elif column.source is Source.PRESENT:
        value = pc.is_valid(value)
    return value


def _metadata(decoded: Decoded, loaded_at: datetime) -> dict[str, pa.Array[Any]]:
    """Repeated values are dictionary-encoded: they cost four bytes a row here and next to nothing in the file."""
    counts = np.asarray(decoded.counts, dtype=np.int64)
    row_batches: Any = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    batch_of_row: Any = pa.array(row_batches)
    first_row = np.repeat(np.cumsum(counts) - counts, counts)
    rows = len(row_batches)
    headers = [batch.headers for batch in decoded.batches]

    def text(values: Sequence[str]) -> pa.Array[Any]:
        return pa.DictionaryArray.from_arrays(batch_of_row, pa.array(values, pa.string()))

    def number(values: Sequence[int], kind: pa.DataType) -> pa.Array[Any]:
        return pa.array(values, kind).take(batch_of_row)

    return {
        "_CORRELATION_ID": text([header.correlation_id for header in headers]),
        "_RECORD_INDEX": pa.array((np.arange(rows) - first_row).astype(np.int32)),
        "_DELIVERY_ID": text([header.delivery_id for header in headers]),
        "_BUSINESS_DATE": pa.array([header.business_date for header in headers], pa.date32()).take(batch_of_row),
        "_CYCLE": text([header.cycle.value for header in headers]),
        "_TOPIC": text([batch.topic for batch in decoded.batches]),
        "_PARTITION": number([batch.partition for batch in decoded.batches], pa.int32()),
        "_OFFSET": number([batch.offset for batch in decoded.batches], pa.int64()),
        "_LOADED_AT": pa.repeat(pa.scalar(loaded_at, pa.timestamp("us", "UTC")), rows),
    }


def _item_index(parents: pa.Array[Any]) -> pa.Array[Any]:
    """0, 1, 2 ... within each run of equal parents; parents come in ascending order."""
    parent = parents.to_numpy()
    rows = np.arange(len(parent))
    starts = np.concatenate(([True], parent[1:] != parent[:-1])) if len(parent) else np.zeros(0, dtype=bool)
    first = np.maximum.accumulate(np.where(starts, rows, 0)) if len(parent) else rows
    return pa.array((rows - first).astype(np.int32))
