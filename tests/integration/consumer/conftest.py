"""Topics of small numbered messages, and a pipelined consumer that is always ended."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import NewTopic

from feedline.consumer.pipelined import PipelinedConsumer
from feedline.kafka.admin import admin_client
from feedline.kafka.config import consumer_config, producer_config


@dataclass
class Numbers:
    """A topic, its group, and what was sent to it: values are running numbers as text."""

    kafka: dict[str, Any]
    topic: str
    group: str
    partitions: int
    sent: int = 0

    def send(self, count: int, *, partition: int | None = None, key: Callable[[int], str] | None = None) -> None:
        producer = Producer(producer_config(self.kafka))
        for number in range(self.sent, self.sent + count):
            producer.produce(
                self.topic,
                str(number).encode(),
                key=key(number) if key else None,
                partition=number % self.partitions if partition is None else partition,
            )
        assert producer.flush(30) == 0
        producer.close()
        self.sent += count

    def committed(self) -> dict[int, int]:
        """The group's offsets as a bystander sees them, by partition; -1001 where there is none."""
        consumer = Consumer(consumer_config(self.kafka, group_id=self.group))
        try:
            asked = [TopicPartition(self.topic, p) for p in range(self.partitions)]
            return {found.partition: found.offset for found in consumer.committed(asked, timeout=10)}
        finally:
            consumer.close()


@pytest.fixture
def numbers(stack) -> Callable[..., Numbers]:
    def make(partitions: int = 4) -> Numbers:
        name = f"numbers.{uuid.uuid4().hex[:8]}"
        kafka = dict(stack.settings.kafka)
        admin = admin_client(kafka)
        admin.create_topics([NewTopic(name, partitions, 1)])[name].result()
        return Numbers(kafka, name, f"group.{name}", partitions)

    return make


@pytest.fixture
def consume() -> Iterator[Callable[..., PipelinedConsumer]]:
    """Starts consumers of a topic of numbers; all are ended with the test."""
    started: list[PipelinedConsumer] = []

    def start(topic: Numbers, handler: Any, *, group: str | None = None, **options: Any) -> PipelinedConsumer:
        consumer = PipelinedConsumer(
            options.pop("kafka", topic.kafka), handler, group_id=group or topic.group, topics=[topic.topic], **options
        )
        consumer.start()
        started.append(consumer)
        return consumer

    yield start
    for consumer in started:
        consumer.stop(drain_s=0)
    for consumer in started:
        try:
            consumer.wait(30)
        except Exception:  # noqa: BLE001 - the test that expects one has looked at it
            continue


def eventually(met: Callable[[], Any], seconds: float = 30.0) -> Any:
    """The first true answer; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (answer := met()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return answer


def values(work: Any) -> list[int]:
    return [int(message.value()) for message in work.messages]


class Seen:
    """Counts what a handler was given."""

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        self.order: list[int] = []

    def __call__(self, work: Any) -> None:
        for value in values(work):
            self.counts[value] += 1
            self.order.append(value)
