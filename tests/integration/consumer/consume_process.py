"""A consumer in a process of its own: `python consume_process.py JOB.json`, writes what it handled to a file."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from feedline.consumer.pipeline_policy import PipelinePolicy, Rebalance
from feedline.consumer.pipelined import PipelinedConsumer


def main(job: dict) -> None:
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    handled = os.open(job["handled"], os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def handle(work):
        time.sleep(job["seconds"])
        os.write(handled, work.message.value() + b"\n")

    policy = PipelinePolicy(workers=4, rebalance=Rebalance(job["rebalance"]), commit_s=0.1)
    with PipelinedConsumer(
        job["kafka"], handle, group_id=job["group"], topics=[job["topic"]], policy=policy
    ) as consumer:
        while not ending.wait(0.1):
            consumer.wait(0)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
