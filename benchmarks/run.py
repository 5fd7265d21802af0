"""`make bench`: measures every comparison, stores each as soon as it is known, and prints the tables of all."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import consumers, orders_bulk, orders_end_to_end, orders_fix, orders_http, recovery
from benchmarks.bench import Bench, Series
from benchmarks.report import raw
from benchmarks.stored import RESULTS, Measured, store, stored, write_tables

# Title and the contender that the others are compared with.
TITLES: Mapping[str, tuple[str, str]] = {
    "files_to_kafka": ("(a) Files to acknowledged Kafka, positions", "feedline, zstd"),
    "topic_to_table": ("(b) Topic to table, positions", "feedline"),
    "whole_day": ("(c) The whole day of 50 funds, ten feeds", "files to Kafka"),
    **{
        f"consumers_{delay:g}": (f"(d) Consuming, {delay:g} ms of work a message", "feedline")
        for delay in consumers.DELAYS_MS
    },
    "pools": ("(e) Topic to table by pool size, positions", "planned, 1 ranges at once"),
    "pools_of_feeds": ("(e) Topic to tables by pool size, ten feeds of 50 funds", "planned, 1 feeds at once"),
    "recovery": (recovery.TITLE, ""),
    "orders_http": (orders_http.TITLE, ""),
    "orders_bulk": (orders_bulk.TITLE, ""),
    "orders_fix": (orders_fix.TITLE, ""),
    "orders_end_to_end": (orders_end_to_end.TITLE, ""),
}


def measure(bench: Bench, name: str) -> Mapping[str, list[dict[str, Any]]]:
    """The raw figures of one comparison."""
    if name == "recovery":
        return recovery.raw(bench.recovery())
    orders = {
        "orders_http": bench.orders_http,
        "orders_bulk": bench.orders_bulk,
        "orders_fix": bench.orders_fix,
        "orders_end_to_end": bench.orders_end_to_end,
    }
    if name in orders:
        return orders[name]()
    comparisons: dict[str, Callable[[], Series]] = {
        "files_to_kafka": bench.files_to_kafka,
        "topic_to_table": bench.topic_to_table,
        "whole_day": bench.whole_day,
        **{f"consumers_{delay:g}": partial(bench.consumers, delay) for delay in consumers.DELAYS_MS},
        "pools": bench.pools,
        "pools_of_feeds": bench.pools_of_feeds,
    }
    return raw(comparisons[name]())


def chosen(only: list[str], out: Path, *, resume: bool) -> list[str]:
    """The comparisons to measure: those named, or whose name begins so."""
    for one in only:
        if not any(name.startswith(one) for name in TITLES):
            raise SystemExit(f"{one!r} is no comparison; there are: {', '.join(TITLES)}")
    wanted = [name for name in TITLES if not only or any(name.startswith(one) for one in only)]
    return [name for name in wanted if not (resume and stored(name, out))]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"""comparisons: {", ".join(TITLES)}

examples:
  python -m benchmarks.run --only files_to_kafka
  python -m benchmarks.run --only consumers recovery --runs 3
  python -m benchmarks.run --resume        # only what is not stored yet, as after an interruption""",
    )
    parser.add_argument(
        "--runs",
        type=int,
        default=5,
        help="counted rounds of each comparison; bulk orders and orders end to end have one (default 5)",
    )
    parser.add_argument("--funds", type=int, default=250, help="positions of so many funds, 200 each (default 250)")
    parser.add_argument("--baseline-records", type=int, default=10_000, help="records for the slow contenders")
    parser.add_argument("--only", nargs="+", default=[], metavar="COMPARISON", help="these, or all that begin so")
    parser.add_argument("--resume", action="store_true", help="leave out what is stored already")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the tables and the figures go")
    args = parser.parse_args()

    # So that the stack does not outlive a run that is told to end; what was measured so far is stored.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    names = chosen(args.only, args.out, resume=args.resume)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    home = Path(tempfile.mkdtemp(prefix="feedline-bench-"))
    try:
        if names:
            with Bench(home, runs=args.runs, funds=args.funds, baseline_records=args.baseline_records) as bench:
                for number, name in enumerate(names, 1):
                    bench.part = f"{name} ({number} of {len(names)})"
                    before = os.getloadavg()[0]
                    series = measure(bench, name)
                    load, at = (before, os.getloadavg()[0]), f"{datetime.now(UTC):%Y-%m-%d %H:%M}"
                    title, ours = TITLES[name]
                    store(Measured(name, title, ours, at, machine, args.funds, load, series), args.out)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    sys.stdout.write(write_tables(list(TITLES), args.out))


if __name__ == "__main__":
    main()
