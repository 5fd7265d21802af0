"""Ours: a landing folder's feeds to acknowledged Kafka by the bulk path."""

from __future__ import annotations

import argparse
import json
import time
from datetime import date
from pathlib import Path

from benchmarks.workload import bench_catalog
from feedline.batch.warm_up import compile_kernels
from feedline.producer.delivery import produce_delivery
from feedline.producer.source_files import find_source
from feedline.settings import load_settings


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--settings", type=Path, required=True)
    parser.add_argument("--landing", type=Path, required=True)
    parser.add_argument("--date", type=date.fromisoformat, required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--feeds", required=True)
    parser.add_argument("--compression", default="zstd")
    args = parser.parse_args()

    settings = load_settings(args.settings)
    catalog = bench_catalog(args.topic)
    kafka = {**settings.kafka, "compression.type": args.compression}
    # Loading machine code from numba's cache is a start-up cost, as imports are.
    compile_kernels()
    started = time.perf_counter()
    manifests = [
        produce_delivery(
            catalog.feed(name),
            find_source(args.landing, name, args.date),
            kafka=kafka,
            registry=settings.registry,
        )
        for name in args.feeds.split(",")
    ]
    seconds = time.perf_counter() - started
    print(
        json.dumps(
            {
                "records": sum(m.records for m in manifests),
                "raw_bytes": sum(m.raw_bytes for m in manifests),
                "seconds": seconds,
                "messages": sum(m.batches for m in manifests),
            }
        )
    )


if __name__ == "__main__":
    main()
