"""The consumer comparison: one topic of micro-batches, a wait of so many milliseconds on each message."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from benchmarks.measure import python_contender
from benchmarks.workload import bench_catalog, files_of
from feedline.batch.codec import codec_for
from feedline.batch.json_lines import sift_block
from feedline.batch.wire import prefix
from feedline.kafka.config import producer_config

DELAYS_MS = (0.0, 1.0, 5.0, 10.0, 35.0, 100.0)
MESSAGES = 20_000
RECORDS_A_MESSAGE = 4
# As many as both parallel consumers may work on at once; the default of neither, the same for both.
IN_FLIGHT = 64
# A contender gets as many messages as it would work through in about this time, were the work all it had to do.
SECONDS = 4.0
FEWEST = 40

PEER = "pyrallel-consumer"


def peer_installed() -> bool:
    """Whether the peer is there to compare with; it needs Python 3.12."""
    return importlib.util.find_spec("pyrallel_consumer") is not None


def fill(kafka: Mapping[str, Any], topic: str, landing: Path, day: date) -> None:
    """`MESSAGES` real micro-batches of positions, spread over the topic's partitions in turn."""
    feed = bench_catalog(topic).feed("positions")
    codec = codec_for(feed.schema)
    with files_of(landing, "positions", day)[0].open("rb") as file:
        lines = [next(file) for _ in range(200 * RECORDS_A_MESSAGE)]
    batches = [b"".join(lines[at : at + RECORDS_A_MESSAGE]) for at in range(0, len(lines), RECORDS_A_MESSAGE)]
    values = [codec.encode(sift_block(block, codec)[0], prefix=prefix(1)) for block in batches]
    producer = Producer(producer_config(kafka))
    for number, value in zip(range(MESSAGES), itertools.cycle(values), strict=False):
        while True:
            try:
                producer.produce(topic, value, partition=number % feed.topic.partitions)
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush()


def commands(settings: Path, topic: str, delay_ms: float) -> dict[str, list[str]]:
    """Each contender's command for one delay."""
    alone = MESSAGES if not delay_ms else round(SECONDS * 1000 / delay_ms)
    contenders = {
        "feedline": ("consume_feedline", alone * IN_FLIGHT),
        PEER: ("consume_pyrallel", alone * IN_FLIGHT),
        "a plain loop": ("consume_plain", alone),
    }
    return {
        name: python_contender(
            script,
            *("--settings", str(settings), "--topic", topic, "--work-ms", str(delay_ms)),
            *("--in-flight", str(IN_FLIGHT), "--records-a-message", str(RECORDS_A_MESSAGE)),
            *("--messages", str(max(FEWEST, min(MESSAGES, messages)))),
        )
        for name, (script, messages) in contenders.items()
        if name != PEER or peer_installed()
    }
