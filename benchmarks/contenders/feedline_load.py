"""Ours: what lies on the topic to the warehouse's tables, exactly once, by the load that Airflow runs."""

from __future__ import annotations

import argparse
import json
import time
from datetime import date
from pathlib import Path

from benchmarks.workload import bench_catalog
from feedline import cycle
from feedline.batch.warm_up import compile_kernels
from feedline.settings import load_settings
from feedline.warehouse.connection import open_warehouse
from feedline.warehouse.load import LoadPolicy


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--settings", type=Path, required=True)
    parser.add_argument("--date", type=date.fromisoformat, required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--feeds", required=True)
    parser.add_argument("--chunk-batches", type=int, default=LoadPolicy().chunk_batches, help="messages a transaction")
    args = parser.parse_args()

    settings = load_settings(args.settings)
    policy = LoadPolicy(chunk_batches=args.chunk_batches)
    catalog = bench_catalog(args.topic)
    records = raw_bytes = 0
    # Loading machine code from numba's cache is a start-up cost, as imports are.
    compile_kernels()
    started = time.perf_counter()
    with open_warehouse(settings.warehouse) as connection:
        for name in args.feeds.split(","):
            feed = catalog.feed(name)
            manifest = cycle.delivered(settings, feed, args.date)
            assert manifest is not None
            for part in cycle.plan(settings, connection, feed, manifest, max_ranges=1):
                records += cycle.load(settings, connection, feed, part, policy=policy).records
            raw_bytes += manifest.raw_bytes
    seconds = time.perf_counter() - started
    print(json.dumps({"records": records, "raw_bytes": raw_bytes, "seconds": seconds}))


if __name__ == "__main__":
    main()
