"""The PyPI package pyrallel-consumer with its asyncio engine, unordered, as its own benchmark runs it."""

from __future__ import annotations

import argparse
import asyncio
import logging
import time

from pyrallel_consumer.config import KafkaConfig
from pyrallel_consumer.consumer import PyrallelConsumer
from pyrallel_consumer.dto import ExecutionMode, OrderingMode, WorkItem

from benchmarks.contenders.consuming import add_arguments, group, report
from feedline.settings import load_settings


async def consume(args: argparse.Namespace) -> None:
    work = args.work_ms / 1000
    config = KafkaConfig(
        BOOTSTRAP_SERVERS=[load_settings(args.settings).kafka["bootstrap.servers"]], CONSUMER_GROUP=group()
    )
    config.dlq_enabled = False
    config.parallel_consumer.ordering_mode = OrderingMode.UNORDERED
    config.parallel_consumer.execution.mode = ExecutionMode.ASYNC
    config.parallel_consumer.execution.max_in_flight = args.in_flight
    done = raw_bytes = 0
    started = 0.0
    finished = asyncio.Event()

    async def handle(item: WorkItem) -> None:
        nonlocal done, raw_bytes, started
        started = started or time.perf_counter()
        if work:
            await asyncio.sleep(work)
        raw_bytes += len(item.payload or b"")
        done += 1
        if done == args.messages:
            finished.set()

    consumer = PyrallelConsumer(config=config, worker=handle, topic=args.topic)
    await consumer.start()
    await finished.wait()
    seconds = time.perf_counter() - started
    await consumer.stop()
    report(args, raw_bytes=raw_bytes, seconds=seconds)


def main() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    asyncio.run(consume(args))


if __name__ == "__main__":
    main()
