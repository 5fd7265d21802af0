"""How long plan and apply of many topics take on the local stack: `python -m benchmarks.provisioning`."""

from __future__ import annotations

import argparse
import time

from benchmarks.quick_stack import quick_stack
from feedline.provisioning.apply import apply
from feedline.provisioning.installation import Installation
from feedline.provisioning.state import Desired, Limits, Part, TopicState

CONFIG = {"retention.ms": "432000000", "cleanup.policy": "delete"}


def measure(topics: int, partitions: int) -> list[tuple[str, float]]:
    """Seconds of the first plan, of its apply, and of the plan after it, which is empty."""
    names = [f"bench-{number}" for number in range(topics)]
    wanted = Desired(
        topics={name: TopicState(name, partitions, 1, CONFIG) for name in names},
        limits=Limits(replicas_per_broker=100_000),
    )
    with quick_stack() as (settings, folder):
        system = Installation(settings, wanted, [Part.TOPICS])
        found = []
        started = time.perf_counter()
        first = system.plan()
        found.append(("plan", time.perf_counter() - started))
        started = time.perf_counter()
        apply(first, system, folder / "journal")
        found.append((f"apply of {len(first.changes)} topics", time.perf_counter() - started))
        started = time.perf_counter()
        left = system.plan()
        found.append((f"plan after it ({len(left.changes)} changes)", time.perf_counter() - started))
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--topics", type=int, default=200)
    parser.add_argument("--partitions", type=int, default=4)
    arguments = parser.parse_args()
    for what, seconds in measure(arguments.topics, arguments.partitions):
        print(f"{what:32} {seconds:8.2f} s")


if __name__ == "__main__":
    main()
