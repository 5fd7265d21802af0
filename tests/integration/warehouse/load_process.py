"""A loader in a process of its own: `python load_process.py JOB.json`, killed by itself at the step the job names."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from feedline.catalog import Feed, Topic, Volume
from feedline.consumer.range_reader import read_range
from feedline.consumer.ranges import LoadRange
from feedline.errors import LostRaceError
from feedline.kafka.registry import registry_client, writer_schema
from feedline.warehouse.connection import open_warehouse
from feedline.warehouse.load import LoadPolicy, Step, load_batches


def main(job: dict) -> None:
    feed = Feed(name=job["feed"], title="", topic=Topic(job["topic"]), schema=job["schema"], volume=Volume(1, 1))
    load_range = LoadRange.from_dict(job["range"])
    registry = registry_client(job["registry"])
    chunks = 0

    def on_step(step: Step) -> None:
        nonlocal chunks
        if step == job.get("kill_at") and chunks == job["kill_in_chunk"]:
            os.kill(os.getpid(), signal.SIGKILL)
        chunks += step is Step.COMMITTED

    with open_warehouse(job["warehouse"]) as connection:
        try:
            result = load_batches(
                connection,
                feed,
                load_range,
                read_range(job["kafka"], load_range),
                lambda schema_id: writer_schema(registry, schema_id),
                on_bad_batch=lambda *_: None,
                on_step=on_step,
                policy=LoadPolicy(chunk_bytes=job.get("chunk_bytes", 10**9), fence_budget_s=60),
            )
            outcome = {"records": result.records, "lost": False}
        except LostRaceError:
            outcome = {"records": 0, "lost": True}
    sys.stdout.write(json.dumps(outcome))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
