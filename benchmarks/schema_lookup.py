"""What looking up a schema costs a message: `python -m benchmarks.schema_lookup`.

The registry is asked once for an id that a client does not know; then the client keeps it. With the registry down, a
new client takes the schema from the disk.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Callable
from statistics import median

from benchmarks.quick_stack import quick_stack
from feedline.batch.schemas import batch_schema, batch_subject
from feedline.catalog import load_catalog
from feedline.kafka.registry import register_schema, registry_client, schema_id, writer_schema
from feedline.local.stack import status

FEED = "positions"


def measure(rounds: int, messages: int) -> list[tuple[str, float]]:
    """Microseconds of one lookup, by what is asked."""
    feed = load_catalog().feed(FEED)
    subject, schema = batch_subject(feed), batch_schema(feed)
    with quick_stack() as (settings, folder):
        registry = {**settings.registry, "feedline.cache.dir": str(folder / "schemas")}
        number = register_schema(registry_client(registry), subject, schema)
        known = registry_client(registry)
        writer_schema(known, number)
        schema_id(known, subject, schema)

        def cold() -> None:
            writer_schema(registry_client(registry), number)

        found = [
            ("reading: the client knows the id", _microseconds(lambda: writer_schema(known, number), messages)),
            (
                "sending: the client knows the schema",
                _microseconds(lambda: schema_id(known, subject, schema), messages),
            ),
            ("a new client, registry up", _microseconds(cold, rounds)),
        ]
        [pid] = [one.pid for one in status(folder / "stack") if one.name == "registry"]
        os.kill(int(pid), signal.SIGKILL)
        down_first = registry_client(registry)
        return [
            *found,
            ("a new client, registry down: first", _microseconds(lambda: writer_schema(down_first, number), 1)),
            ("the same client, registry down", _microseconds(lambda: writer_schema(down_first, number), messages)),
        ]


def _microseconds(ask: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        ask()
        taken.append(time.perf_counter() - started)
    return median(taken) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--messages", type=int, default=1000)
    arguments = parser.parse_args()
    for what, microseconds in measure(arguments.rounds, arguments.messages):
        print(f"{what:40} {microseconds:12,.1f} µs")


if __name__ == "__main__":
    main()
