"""What lies on a test's topics, and what it sends."""

from __future__ import annotations

import json
import time
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from feedline.kafka.admin import watermarks
from feedline.kafka.config import consumer_config
from feedline.orders.model import decode_event

PARTITIONS = 4


def messages_of(kafka: dict[str, Any], topic: str) -> list[Any]:
    """Everything committed on a topic now, each partition's in order."""
    marks = watermarks(kafka, topic, range(1 if topic.endswith(".ERROR") else PARTITIONS))
    consumer = Consumer(consumer_config(kafka, group_id="feedline.test") | {"enable.partition.eof": True})
    found, left = [], {p for p, (low, high) in marks.items() if high > low}
    consumer.assign([TopicPartition(topic, p, marks[p][0]) for p in left])
    try:
        while left:
            message = consumer.poll(10)
            assert message is not None, f"nothing comes of {topic} {left}"
            if message.error() is None:
                found.append(message)
            else:
                left.discard(message.partition())
    finally:
        consumer.close()
    return found


def events_of(kafka: dict[str, Any], topic: str) -> list[Any]:
    return [decode_event(message.value()) for message in messages_of(kafka, topic)]


BODY: dict[str, Any] = {
    "accountId": "ACC0000001",
    "product": "EQUITY",
    "order": {
        "side": "BUY",
        "orderType": "LIMIT",
        "quantity": "100",
        "limitPrice": "189.25",
        "currency": "USD",
        "symbol": "AAPL",
    },
}


def body(**changed: Any) -> str:
    return json.dumps({**BODY, "order": {**BODY["order"], **changed}})


def await_ready(client: Any, within_s: float = 60.0) -> None:
    """Returns when an instance of order entry takes orders."""
    deadline = time.monotonic() + within_s
    while (answer := client.get("/health/ready")).status_code != 200:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.05)
