"""The usual ways from a topic to a table: rows by INSERT, or a data frame as `write_pandas` does it.

Both are given our bulk reading, decoding and flattening, so what differs is how rows reach the table. Neither keeps a
ledger or a checkpoint.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import pyarrow as pa
from snowflake.connector import SnowflakeConnection

from benchmarks.workload import bench_catalog
from feedline import cycle
from feedline.batch.warm_up import compile_kernels
from feedline.consumer.range_reader import read_range
from feedline.consumer.ranges import LoadRange, PartitionSpan
from feedline.kafka.registry import registry_client, writer_schema
from feedline.settings import load_settings
from feedline.warehouse.chunk import chunks
from feedline.warehouse.connection import open_warehouse
from feedline.warehouse.decode import Decoder
from feedline.warehouse.flatten import flatten

CHUNK_BYTES = 48 * 1024 * 1024
CHUNK_BATCHES = 4_000
ROWS_A_STATEMENT = 20


def insert_rows(connection: SnowflakeConnection, table: str, rows: pa.Table) -> None:
    marks = ", ".join(["%s"] * rows.num_columns)
    names = ", ".join(f'"{name}"' for name in rows.column_names)
    values = [tuple(row.values()) for row in rows.to_pylist()]
    with connection.cursor() as cursor:
        for start in range(0, len(values), ROWS_A_STATEMENT):
            cursor.executemany(
                f"INSERT INTO {table} ({names}) VALUES ({marks})", values[start : start + ROWS_A_STATEMENT]
            )


def insert_frame(connection: SnowflakeConnection, table: str, rows: pa.Table) -> None:
    """The steps of the connector's `write_pandas`, whose own SQL (a bound table name, a stage in quotes) the stand-in
    does not take: a data frame to a Parquet file, PUT, COPY."""
    with tempfile.TemporaryDirectory() as folder, connection.cursor() as cursor:
        stage = f"@FEEDLINE.IHUB.FRAMES/{uuid.uuid4().hex}"
        file = Path(folder) / "frame.parquet"
        rows.to_pandas().to_parquet(file, compression="gzip")
        cursor.execute("CREATE STAGE IF NOT EXISTS FEEDLINE.IHUB.FRAMES")
        cursor.execute(f"PUT 'file://{file}' {stage}/ AUTO_COMPRESS = FALSE SOURCE_COMPRESSION = NONE")
        cursor.execute(
            f"COPY INTO FEEDLINE.IHUB.{table} FROM {stage}/frame "
            "FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE) MATCH_BY_COLUMN_NAME = CASE_SENSITIVE"
        )


WAYS = {"rows": insert_rows, "frame": insert_frame}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("--settings", type=Path, required=True)
    parser.add_argument("--date", type=date.fromisoformat, required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--feed", required=True)
    parser.add_argument("--records", type=int, required=True)
    args = parser.parse_args()

    compile_kernels()
    settings = load_settings(args.settings)
    feed = bench_catalog(args.topic).feed(args.feed)
    manifest = cycle.delivered(settings, feed, args.date)
    assert manifest is not None
    spans = tuple(PartitionSpan(p.partition, p.first_offset, p.end_offset) for p in manifest.partitions)
    decoder = Decoder(feed, partial(writer_schema, registry_client(settings.registry)))
    with open_warehouse(settings.warehouse) as connection:
        with connection.cursor() as cursor:
            cursor.execute("USE DATABASE FEEDLINE")
            cursor.execute("USE SCHEMA IHUB")
        records = 0
        started = time.perf_counter()
        for tables in _tables(settings.kafka, LoadRange(feed.name, feed.topic.name, spans), decoder):
            there = tables[feed.table].num_rows
            taken = min(args.records - records, there)
            for name, rows in tables.items():
                WAYS[args.way](connection, name, rows.slice(0, rows.num_rows * taken // there))
            records += taken
            if records >= args.records:
                break
        seconds = time.perf_counter() - started
    raw_bytes = manifest.raw_bytes * records // manifest.records
    print(json.dumps({"records": records, "raw_bytes": raw_bytes, "seconds": seconds}))


def _tables(kafka: dict, load_range: LoadRange, decoder: Decoder) -> Iterator[dict[str, pa.Table]]:  # type: ignore[type-arg]
    for chunk in chunks(read_range(kafka, load_range), CHUNK_BYTES, CHUNK_BATCHES):
        good, bad = decoder.decode(chunk)
        assert not bad
        for decoded, layout in good:
            yield {name: plain(rows) for name, rows in flatten(decoded, layout, datetime.now(UTC)).items()}


def plain(rows: pa.Table) -> pa.Table:
    """Without dictionaries, which neither way takes."""
    kinds = [field.type.value_type if pa.types.is_dictionary(field.type) else field.type for field in rows.schema]
    return rows.cast(pa.schema(list(zip(rows.column_names, kinds, strict=True))))


if __name__ == "__main__":
    main()
