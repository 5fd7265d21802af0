"""Judged messages as Parquet files: rows of the table, of what is not loaded, and of the ledger."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
from confluent_kafka import Message

from feedline.batch.headers import header
from feedline.consumer.messages import headers_of, place_of
from feedline.orders.warehouse.decode import BadMessage
from feedline.orders.warehouse.judging import Judged, Verdict
from feedline.orders.warehouse.tables import LEDGER, NOT_LOADED, ORDERS_SCHEMA, OrderTable
from feedline.warehouse.flatten import value_at
from feedline.warehouse.ledger import Move
from feedline.warehouse.names import data_table
from feedline.warehouse.staging import StagedFile, write_file

# The business date of an order is the exchange's.
EXCHANGE_ZONE = ZoneInfo("America/New_York")

_STAMP = pa.timestamp("us", "UTC")
_PLACE: list[tuple[str, pa.DataType]] = [
    ("_TOPIC", pa.string()),
    ("_PARTITION", pa.int32()),
    ("_OFFSET", pa.int64()),
    ("_LOAD_ID", pa.string()),
    ("_LOADED_AT", _STAMP),
]
_NOT_LOADED = pa.schema([*((name, pa.string()) for name in ("ORDER_ID", "ID", "VERDICT", "REASON")), *_PLACE])
_LEDGER_FIELDS: list[tuple[str, pa.DataType]] = [
    ("LOAD_ID", pa.string()),
    ("TABLE_NAME", pa.string()),
    ("TOPIC", pa.string()),
    ("PARTITION", pa.int32()),
    *((name, pa.int64()) for name in ("FIRST_OFFSET", "NEXT_OFFSET", "MESSAGES", "LOADED", "NOT_LOADED")),
    ("LOADED_AT", _STAMP),
]
_LEDGER = pa.schema(_LEDGER_FIELDS)


def write_rows(
    table: OrderTable,
    judged: Sequence[Judged],
    bad: Sequence[BadMessage],
    moves: Sequence[Move],
    *,
    taken_up: Sequence[Judged] = (),
    topic: str,
    load_id: str,
    at: datetime,
    folder: Path,
) -> dict[str, list[StagedFile]]:
    """Writes the files of one chunk, by the prefix of their names. taken_up: those of `judged` that an earlier load has
    counted as not loaded. Raises OSError when the disk does not take them."""
    loaded = [one for one in judged if one.verdict is Verdict.LOADED]
    left = [_not_loaded(table, one) for one in judged if one.verdict is not Verdict.LOADED]
    left += [_bad(one) for one in bad]
    written = {"_TOPIC": topic, "_LOAD_ID": load_id, "_LOADED_AT": at}
    files: dict[str, list[StagedFile]] = defaultdict(list)
    # One file a schema that messages were written with.
    by_records: dict[int, list[Judged]] = defaultdict(list)
    for one in loaded:
        by_records[id(one.row.records)].append(one)
    for index, some in enumerate(by_records.values()):
        rows = _rows(table, some, written)
        files[table.table].append(write_file(folder, table.table, index, table.full_name, rows))
    if left:
        rows = pa.Table.from_pylist([{**row, **written} for row in left], schema=_NOT_LOADED)
        files[NOT_LOADED].append(write_file(folder, NOT_LOADED, 0, data_table(NOT_LOADED, ORDERS_SCHEMA), rows))
    before = [one.row.partition for one in taken_up]
    ledger = _ledger(table, moves, [one.row.partition for one in loaded], [row["_PARTITION"] for row in left], before)
    entries = [{**row, "TOPIC": topic, "LOAD_ID": load_id, "LOADED_AT": at} for row in ledger]
    rows = pa.Table.from_pylist(entries, schema=_LEDGER)
    files[LEDGER].append(write_file(folder, LEDGER, 0, data_table(LEDGER, ORDERS_SCHEMA), rows))
    return dict(files)


def _rows(table: OrderTable, some: Sequence[Judged], written: Mapping[str, Any]) -> pa.Table:
    records = some[0].row.records.take(pa.array([one.row.index for one in some]))
    names = set(records.schema.names)
    columns: dict[str, Any] = {
        # A column of a field that the writer's schema has not yet stays NULL.
        column.name: value_at(records, column.path)
        for column in table.layout.table.columns
        if column.path[0] in names
    }
    count = len(some)
    columns |= {
        "_CORRELATION_ID": pa.array([_correlation_id(one.row.message) for one in some], pa.string()),
        "_BUSINESS_DATE": pa.array(
            [one.row.values["transactTime"].astimezone(EXCHANGE_ZONE).date() for one in some], pa.date32()
        ),
        "_TOPIC": pa.repeat(pa.scalar(written["_TOPIC"]), count),
        "_PARTITION": pa.array([one.row.partition for one in some], pa.int32()),
        "_OFFSET": pa.array([one.row.offset for one in some], pa.int64()),
        "_LOAD_ID": pa.repeat(pa.scalar(written["_LOAD_ID"]), count),
        "_LOADED_AT": pa.repeat(pa.scalar(written["_LOADED_AT"], _STAMP), count),
    }
    if any(column.name == "_FACTS" for column in table.metadata):
        columns["_FACTS"] = pa.array([one.facts for one in some], pa.string())
    return pa.table(columns)


def _correlation_id(message: Message) -> str | None:
    return header(headers_of(message) or (), "correlationId")


def _not_loaded(table: OrderTable, one: Judged) -> dict[str, Any]:
    return {
        "ORDER_ID": one.row.values["orderId"],
        "ID": one.row.values[table.id_field],
        "VERDICT": one.verdict.value,
        "REASON": one.reason,
        "_PARTITION": one.row.partition,
        "_OFFSET": one.row.offset,
    }


def _bad(one: BadMessage) -> dict[str, Any]:
    partition, offset = place_of(one.message)
    key = one.message.key()
    return {
        "ORDER_ID": key.decode(errors="replace") if isinstance(key, bytes) else key,
        "ID": _correlation_id(one.message),
        "VERDICT": Verdict.CORRUPT.value,
        "REASON": one.reason,
        "_PARTITION": partition,
        "_OFFSET": offset,
    }


def _ledger(
    table: OrderTable, moves: Sequence[Move], loaded: Sequence[int], left: Sequence[int], before: Sequence[int]
) -> list[dict[str, Any]]:
    rows, others = Counter(loaded), Counter(left)
    # What was counted as a message that became no row is no other message now.
    others.subtract(before)
    return [
        {
            "TABLE_NAME": table.table,
            "PARTITION": move.partition,
            "FIRST_OFFSET": move.before.next_offset if move.before else None,
            "NEXT_OFFSET": move.next_offset,
            "MESSAGES": rows[move.partition] + others[move.partition],
            "LOADED": rows[move.partition],
            "NOT_LOADED": others[move.partition],
        }
        for move in moves
    ]
