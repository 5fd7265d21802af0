"""Ours, by so many processes at once: each loads a range of its own, as Airflow's mapped tasks do, or all are services
of one group."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Mapping, Sequence
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

FEED = "positions"
LOOK_S = 0.05


def load_part(settings: Settings, topic: str, part: LoadRange, ready: Barrier, began: Queue[float]) -> None:
    compile_kernels()
    with open_warehouse(settings.warehouse) as connection:
        ready.wait()
        began.put(time.time())
        cycle.load(settings, connection, bench_catalog(topic).feed(FEED), part)


def serve(settings: Settings, topic: str, ready: Barrier, began: Queue[float], over: Event) -> None:
    """Begins when it knows where its partitions begin: joining a group takes seconds that a service spends once."""
    compile_kernels()
    positions = FeedLoader.positions

    def placed(loader: FeedLoader, places: Sequence[Place]) -> Mapping[Place, int]:
        began.put(time.time())
        return positions(loader, places)

    FeedLoader.positions = placed  # type: ignore[method-assign]
    ready.wait()
    policy = loading_policy(max_messages=LoadPolicy().chunk_batches, max_age_s=0.5)
    with continuous_load(settings, bench_catalog(topic).feed(FEED), policy):
        over.wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("planned", "services"))
    parser.add_argument("workers", type=int)
    parser.add_argument("--settings", type=Path, required=True)
    parser.add_argument("--date", type=date.fromisoformat, required=True)
    parser.add_argument("--topic", required=True)
    args = parser.parse_args()

    settings, feed = load_settings(args.settings), bench_catalog(args.topic).feed(FEED)
    manifest = cycle.delivered(settings, feed, args.date)
    assert manifest is not None
    context = multiprocessing.get_context("spawn")
    ready, began, over = context.Barrier(args.workers + 1), context.Queue(), context.Event()
    with snowflake.connector.connect(**settings.warehouse) as connection:
        if args.kind == "planned":
            parts = cycle.plan(settings, connection, feed, manifest, max_ranges=args.workers)
            assert len(parts) == args.workers
            work = [(load_part, (settings, args.topic, part, ready, began)) for part in parts]
        else:
            work = [(serve, (settings, args.topic, ready, began, over))] * args.workers
        processes = [context.Process(target=target, args=given) for target, given in work]
        for process in processes:
            process.start()
        ready.wait()
        started = began.get()
        while rows(connection) < manifest.records:
            assert all(process.exitcode in (None, 0) for process in processes)
            time.sleep(LOOK_S)
        seconds = time.time() - started
        over.set()
        for process in processes:
            process.join()
    print(json.dumps({"records": manifest.records, "raw_bytes": manifest.raw_bytes, "seconds": seconds}))


def rows(connection: snowflake.connector.SnowflakeConnection) -> int:
    with connection.cursor() as cursor:
        return int(cursor.execute("SELECT COUNT(*) FROM FEEDLINE.IHUB.POSITIONS").fetchone()[0])  # type: ignore[union-attr,index,arg-type]


if __name__ == "__main__":
    main()
