"""A chunk: as many micro-batches as one transaction loads, from messages to Parquet files."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from feedline.batch.consumed import ConsumedBatch
from feedline.errors import ControlMismatchError
from feedline.warehouse.decode import BadBatch, Decoder
from feedline.warehouse.flatten import Decoded, flatten
from feedline.warehouse.layout import FeedLayout
from feedline.warehouse.names import LOAD_LEDGER, data_table
from feedline.warehouse.staging import StagedFile, write_file

# No table of a feed can have this name: those begin with a letter.
LEDGER_FILES = "_LEDGER"

_LEDGER_FIELDS: list[tuple[str, pa.DataType]] = [
    ("LOAD_ID", pa.string()),
    ("FEED", pa.string()),
    ("DELIVERY_ID", pa.string()),
    ("BUSINESS_DATE", pa.date32()),
    ("CYCLE", pa.string()),
    ("CORRELATION_ID", pa.string()),
    ("BATCH_INDEX", pa.int32()),
    ("SOURCE_FILE", pa.string()),
    ("TOPIC", pa.string()),
    ("PARTITION", pa.int32()),
    ("MESSAGE_OFFSET", pa.int64()),
    ("RECORDS", pa.int32()),
    ("RAW_BYTES", pa.int64()),
    ("STATUS", pa.string()),
    ("REASON", pa.string()),
    ("LOADED_AT", pa.timestamp("us", "UTC")),
]
LEDGER_ARROW = pa.schema(_LEDGER_FIELDS)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A chunk ready to be staged: its files lie in `folder`, by the prefix of their names."""

    batches: Sequence[ConsumedBatch]
    loaded: Sequence[ConsumedBatch]
    duplicates: Sequence[ConsumedBatch]
    bad: Sequence[BadBatch]
    folder: Path
    files: Mapping[str, list[StagedFile]]
    layouts: Sequence[FeedLayout]

    @property
    def deliveries(self) -> set[str]:
        return {batch.headers.delivery_id for batch in self.batches}


def chunks(batches: Iterable[ConsumedBatch], max_bytes: int, max_batches: int) -> Iterator[list[ConsumedBatch]]:
    """Runs of batches, each closed by the batch that reaches one of the bounds."""
    chunk: list[ConsumedBatch] = []
    size = 0
    for batch in batches:
        chunk.append(batch)
        size += len(batch.value)
        if size >= max_bytes or len(chunk) >= max_batches:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def split_duplicates(
    batches: Sequence[ConsumedBatch], known: Mapping[str, int]
) -> tuple[list[ConsumedBatch], list[ConsumedBatch]]:
    """Those to load and those loaded before; `known` holds records by correlation id.

    Raises ControlMismatchError for a batch whose correlation id is known with another number of records: one of the
    two is not what it says it is, and neither loading nor dropping it would be right.
    """
    seen = dict(known)
    fresh: list[ConsumedBatch] = []
    duplicates: list[ConsumedBatch] = []
    for batch in batches:
        header = batch.headers
        records = seen.get(header.correlation_id)
        if records is None:
            seen[header.correlation_id] = header.record_count
            fresh.append(batch)
        elif records == header.record_count:
            duplicates.append(batch)
        else:
            raise ControlMismatchError(
                f"a micro-batch of {header.record_count} records has the correlation id of one of {records} records "
                "that is loaded: find out which producer reuses ids, then produce its delivery again",
                feed=header.feed,
                delivery_id=header.delivery_id,
                topic=batch.topic,
                partition=batch.partition,
                offset=batch.offset,
                correlation_id=header.correlation_id,
            )
    return fresh, duplicates


def prepare(
    batches: Sequence[ConsumedBatch],
    known: Mapping[str, int],
    decoder: Decoder,
    *,
    root: Path,
    load_id: str,
    loaded_at: datetime,
) -> Prepared:
    """Decodes, flattens and writes a chunk's files into a new folder under `root`.

    Raises ControlMismatchError (see `split_duplicates`) and RegistryUnavailableError.
    """
    good, duplicates, bad = _decode_once(batches, known, decoder)
    folder = Path(tempfile.mkdtemp(dir=root))
    files: dict[str, list[StagedFile]] = defaultdict(list)
    for index, (decoded, layout) in enumerate(good):
        for name, rows in flatten(decoded, layout, loaded_at).items():
            if rows.num_rows:
                files[name].append(write_file(folder, name, index, data_table(name), rows))
    loaded = [batch for decoded, _ in good for batch in decoded.batches]
    ledger = _ledger_rows(loaded, duplicates, bad, load_id, loaded_at)
    files[LEDGER_FILES].append(write_file(folder, LEDGER_FILES, 0, LOAD_LEDGER, ledger))
    return Prepared(batches, loaded, duplicates, bad, folder, dict(files), [layout for _, layout in good])


def _decode_once(
    batches: Sequence[ConsumedBatch], known: Mapping[str, int], decoder: Decoder
) -> tuple[list[tuple[Decoded, FeedLayout]], list[ConsumedBatch], list[BadBatch]]:
    """What of the chunk is good, a duplicate, bad. A copy of a batch is a duplicate only if one of them was good."""
    loaded = dict(known)
    good: list[tuple[Decoded, FeedLayout]] = []
    duplicates: list[ConsumedBatch] = []
    bad: list[BadBatch] = []
    left: Sequence[ConsumedBatch] = batches
    while left:
        fresh, copies = split_duplicates(left, loaded)
        decoded, corrupt = decoder.decode(fresh)
        good += decoded
        bad += corrupt
        loaded |= {b.headers.correlation_id: b.headers.record_count for one, _ in decoded for b in one.batches}
        duplicates += (copy for copy in copies if copy.headers.correlation_id in loaded)
        left = [copy for copy in copies if copy.headers.correlation_id not in loaded]
    return good, duplicates, bad


def _ledger_rows(
    loaded: Sequence[ConsumedBatch],
    duplicates: Sequence[ConsumedBatch],
    bad: Sequence[BadBatch],
    load_id: str,
    loaded_at: datetime,
) -> pa.Table:
    rows = [
        *(_ledger_row(batch, "LOADED", None) for batch in loaded),
        *(_ledger_row(batch, "DUPLICATE", None) for batch in duplicates),
        *(_ledger_row(one.batch, "ERROR", one.error.reason) for one in bad),
    ]
    return pa.Table.from_pylist(
        [{**row, "LOAD_ID": load_id, "LOADED_AT": loaded_at} for row in rows], schema=LEDGER_ARROW
    )


def _ledger_row(batch: ConsumedBatch, status: str, reason: str | None) -> dict[str, Any]:
    header = batch.headers
    return {
        "FEED": header.feed,
        "DELIVERY_ID": header.delivery_id,
        "BUSINESS_DATE": header.business_date,
        "CYCLE": header.cycle.value,
        "CORRELATION_ID": header.correlation_id,
        "BATCH_INDEX": header.batch_index,
        "SOURCE_FILE": header.source_file,
        "TOPIC": batch.topic,
        "PARTITION": batch.partition,
        "MESSAGE_OFFSET": batch.offset,
        "RECORDS": header.record_count,
        "RAW_BYTES": len(batch.value),
        "STATUS": status,
        "REASON": reason,
    }
