"""Ours, so many at once: as Airflow's mapped tasks do (`planned`: processes, each with a range or a feed), as one
process of `feedline consume` with so many loads a feed (`service`), or as so many processes of it (`services`)."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

import snowflake.connector

from benchmarks.workload import bench_catalog
from feedline import cycle
from feedline.batch.warm_up import compile_kernels
from feedline.consumer.ownership import Place
from feedline.consumer.ranges import LoadRange
from feedline.continuous import FeedLoader, continuous_load, loading_policy
from feedline.settings import Settings, load_settings
from feedline.warehouse.connection import open_warehouse
from feedline.warehouse.load import LoadPolicy

LOOK_S = 0.05


def load_parts(settings: Settings, topic: str, parts: Sequence[LoadRange], ready: Barrier, began: Queue[float]) -> None:
    compile_kernels()
    with open_warehouse(settings.warehouse) as connection:
        ready.wait()
        began.put(time.time())
        for part in parts:
            cycle.load(settings, connection, bench_catalog(topic).feed(part.feed), part)


def serve(  # noqa: PLR0917 - a process is given all by place
    settings: Settings,
    topic: str,
    feeds: Sequence[str],
    loads: int,
    max_mb: int,
    ready: Barrier,
    began: Queue[float],
    over: Event,
) -> None:
    """Begins when it knows where its partitions begin: joining a group takes seconds that a service spends once."""
    compile_kernels()
    positions = FeedLoader.positions

    def placed(loader: FeedLoader, places: Sequence[Place]) -> Mapping[Place, int]:
        began.put(time.time())
        return positions(loader, places)

    FeedLoader.positions = placed  # type: ignore[method-assign]
    ready.wait()
    policy = loading_policy(
        loads=loads, max_messages=LoadPolicy().chunk_batches, max_bytes=max_mb * 1024 * 1024, max_age_s=0.5
    )
    with ExitStack() as running:
        for feed in feeds:
            running.enter_context(continuous_load(settings, bench_catalog(topic).feed(feed), policy))
        over.wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("planned", "service", "services"))
    parser.add_argument("size", type=int)
    parser.add_argument("--settings", type=Path, required=True)
    parser.add_argument("--date", type=date.fromisoformat, required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--feeds", required=True)
    # With 256 several chunks a load, as a planned load has: the next is decoded while one is in its transaction.
    parser.add_argument("--max-mb", type=int, default=256)
    args = parser.parse_args()

    settings, feeds = load_settings(args.settings), args.feeds.split(",")
    catalog = bench_catalog(args.topic)
    manifests = [found for name in feeds if (found := cycle.delivered(settings, catalog.feed(name), args.date))]
    assert len(manifests) == len(feeds)
    records = sum(manifest.records for manifest in manifests)
    context = multiprocessing.get_context("spawn")
    workers = 1 if args.kind == "service" else args.size
    ready, began, over = context.Barrier(workers + 1), context.Queue(), context.Event()
    with snowflake.connector.connect(**settings.warehouse) as connection:
        if args.kind == "planned":
            ranges = args.size if len(feeds) == 1 else 1
            parts = [
                part
                for manifest in sorted(manifests, key=lambda one: -one.raw_bytes)
                for part in cycle.plan(settings, connection, catalog.feed(manifest.feed), manifest, max_ranges=ranges)
            ]
            given = [(settings, args.topic, parts[at :: args.size], ready, began) for at in range(args.size)]
            processes = [context.Process(target=load_parts, args=one) for one in given]
        else:
            loads = args.size if args.kind == "service" else 2
            served = (settings, args.topic, feeds, loads, args.max_mb, ready, began, over)
            processes = [context.Process(target=serve, args=served) for _ in range(workers)]
        for process in processes:
            process.start()
        ready.wait()
        started = began.get()
        tables = [catalog.feed(name).table for name in feeds]
        while rows(connection, tables) < records:
            assert all(process.exitcode in (None, 0) for process in processes)
            time.sleep(LOOK_S)
        seconds = time.time() - started
        over.set()
        for process in processes:
            process.join()
    raw_bytes = sum(manifest.raw_bytes for manifest in manifests)
    print(json.dumps({"records": records, "raw_bytes": raw_bytes, "seconds": seconds}))


def rows(connection: snowflake.connector.SnowflakeConnection, tables: Sequence[str]) -> int:
    counts = " + ".join(f"(SELECT COUNT(*) FROM FEEDLINE.IHUB.{table})" for table in tables)
    with connection.cursor() as cursor:
        return int(cursor.execute(f"SELECT {counts}").fetchone()[0])  # type: ignore[union-attr,index,arg-type]


if __name__ == "__main__":
    main()
