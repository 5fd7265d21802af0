"""What the engine promises of order, commits, retries and ends, on a real broker."""

from __future__ import annotations

import threading
import time

import pytest
from confluent_kafka import Producer
from tests.integration.consumer.conftest import Seen, eventually, values

from feedline.consumer.pipeline_policy import Backoff, Ordering, PipelinePolicy, Rebalance
from feedline.errors import BrokerUnavailableError, CorruptBatchError
from feedline.kafka.config import producer_config


@pytest.mark.parametrize("rebalance", list(Rebalance))
def test_every_message_is_handled_once_and_committed(numbers, consume, rebalance):
    topic, seen = numbers(), Seen()
    topic.send(1_000)
    consumer = consume(topic, seen, policy=PipelinePolicy(rebalance=rebalance, commit_s=0.1))
    eventually(lambda: len(seen.counts) == 1_000)
    eventually(lambda: consumer.status().lag == 0 and topic.committed() == dict.fromkeys(range(4), 250))
    consumer.stop()
    assert consumer.wait(30)
    assert set(seen.counts.values()) == {1}
    assert topic.committed() == dict.fromkeys(range(4), 250)
