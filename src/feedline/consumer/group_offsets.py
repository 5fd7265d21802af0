"""A consumer group's offsets on the broker: they follow the warehouse's checkpoints, so that lag can be watched."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from feedline.consumer.range_reader import group_of
from feedline.kafka.config import consumer_config
from feedline.kafka.errors import translate

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 10.0


def committed_offsets(
    kafka: Mapping[str, Any], group: str, topic: str, partitions: Iterable[int], *, timeout_s: float, **where: Any
) -> list[TopicPartition]:
    """What a group has committed of these partitions, with its metadata, without joining it; negative offsets where
    there is nothing.

    where: of the error, beside the topic, as keywords of `feedline.errors.Where`. Raises what `translate` gives.
    """
    consumer = Consumer(consumer_config(kafka, group_id=group))
    try:
        return list(consumer.committed([TopicPartition(topic, one) for one in partitions], timeout=timeout_s))
    except KafkaException as error:
        raise translate(error, topic=topic, **where) from error
    finally:
        consumer.close()


def follow_checkpoints(kafka: Mapping[str, Any], feed: str, topic: str, checkpoints: Mapping[int, int]) -> bool:
    """Commits the feed's group up to its checkpoints, never backwards; whether the broker has them all.

    The warehouse is the authority, so a failure is logged as a warning and the next load makes up for it.
    """
    if not checkpoints:
        return True
    consumer = Consumer(consumer_config(kafka, group_id=group_of(feed)))
    try:
        asked = [TopicPartition(topic, partition) for partition in sorted(checkpoints)]
        ahead = [
            TopicPartition(topic, found.partition, checkpoints[found.partition])
            for found in consumer.committed(asked, timeout=TIMEOUT_SECONDS)
            if found.offset < checkpoints[found.partition]
        ]
        failed = (
            [tp.error for tp in consumer.commit(offsets=ahead, asynchronous=False) or [] if tp.error] if ahead else []
        )
    except KafkaException as error:
        failed = [error.args[0]]
    finally:
        consumer.close()
    if failed:
        logger.warning(
            "the offsets of group %s could not be committed (%s): its lag looks larger than it is until the next load",
            group_of(feed),
            failed[0],
        )
    return not failed
