"""The usual loop: one thread takes a message, works on it, and commits now and then."""

from __future__ import annotations

import argparse
import time

from confluent_kafka import Consumer, TopicPartition

from benchmarks.contenders.consuming import add_arguments, client, report

COMMIT_EVERY = 500


def main() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args()
    work = args.work_ms / 1000

    consumer = Consumer(client(args))
    consumer.subscribe([args.topic])
    done = raw_bytes = 0
    started = 0.0
    ends: dict[int, int] = {}
    while done < args.messages:
        for message in consumer.consume(COMMIT_EVERY, timeout=0.1):
            if message.error() is not None:
                continue
            started = started or time.perf_counter()
            if work:
                time.sleep(work)
            raw_bytes += len(message.value() or b"")
            done += 1
            ends[message.partition() or 0] = (message.offset() or 0) + 1
            if done == args.messages:
                break
        if ends:
            consumer.commit(offsets=[TopicPartition(args.topic, p, at) for p, at in ends.items()], asynchronous=True)
            ends.clear()
    seconds = time.perf_counter() - started
    consumer.close()
    report(args, raw_bytes=raw_bytes, seconds=seconds)


if __name__ == "__main__":
    main()
