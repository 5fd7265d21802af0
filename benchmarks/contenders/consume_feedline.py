"""Ours: PipelinedConsumer, unordered, one worker for each message that may be in flight."""

from __future__ import annotations

import argparse
import threading
import time

from benchmarks.contenders.consuming import add_arguments, group, report
from feedline.consumer.claim import Work
from feedline.consumer.pipeline_policy import PipelinePolicy
from feedline.consumer.pipelined import PipelinedConsumer
from feedline.settings import load_settings


def main() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args()
    wait = args.work_ms / 1000
    lock = threading.Lock()
    finished = threading.Event()
    done = raw_bytes = 0
    started = 0.0

    def handle(work: Work) -> None:
        nonlocal done, raw_bytes, started
        started = started or time.perf_counter()
        size = 0
        for message in work.messages:
            if wait:
                time.sleep(wait)
            size += len(message.value() or b"")
        with lock:
            done += len(work.messages)
            raw_bytes += size
            if done >= args.messages:
                finished.set()

    consumer = PipelinedConsumer(
        load_settings(args.settings).kafka,
        handle,
        group_id=group(),
        topics=[args.topic],
        policy=PipelinePolicy(workers=args.in_flight),
    )
    with consumer:
        finished.wait()
        seconds = time.perf_counter() - started
        consumer.stop(drain_s=0)
    report(args, raw_bytes=raw_bytes, seconds=seconds)


if __name__ == "__main__":
    main()
