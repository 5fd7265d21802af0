"""How many partitions a feed's topic has, found out with the broker's answer to our credentials."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import wait
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection

from feedline.errors import AuthenticationError, ConfigurationError, RetriableError
from feedline.kafka.admin import admin_client
from feedline.kafka.errors import translate

# librdkafka tries a refused login again and again and calls it an error event only: it is looked for this often.
STEP_SECONDS = 0.05


def look_up_partitions(client: Mapping[str, Any], topic: str, seconds: float) -> int | None:
    """The topic's partitions, or None when no broker answered within `seconds`.

    A client of its own asks, since whoever reads a producer's error events serves its delivery callbacks as well.
    Raises AuthenticationError as soon as a broker refuses the credentials, ConfigurationError when there is no such
    topic.
    """
    refused: list[AuthenticationError] = []

    def on_error(error: KafkaError) -> None:
        kind = translate(error, topic=topic)
        if isinstance(kind, AuthenticationError):
            refused.append(kind)

    admin = admin_client({key: value for key, value in client.items() if key != "error_cb"}, error_cb=on_error)
    # describe_topics, because asking for the metadata of a missing topic may create it.
    future = admin.describe_topics(TopicCollection([topic]), request_timeout=seconds)[topic]
    deadline = time.monotonic() + seconds
    while not wait([future], STEP_SECONDS).done and time.monotonic() < deadline:
        admin.poll(0)
        if refused:
            raise refused[0]
    admin.poll(0)
    if refused:
        raise refused[0]
    if not future.done():
        return None
    try:
        return len(future.result().partitions)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise ConfigurationError("no such topic on the cluster: provision the feeds first", topic=topic) from error
        failure = translate(error, topic=topic)
        if isinstance(failure, RetriableError):
            return None
        raise failure from error
