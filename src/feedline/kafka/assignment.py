"""Partitions that a group gives to a consumer."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import Consumer, TopicPartition


def take_up(consumer: Consumer, places: Sequence[TopicPartition], *, incremental: bool = True) -> None:
    """Begins to read the partitions at their offsets; for a rebalance callback. incremental: the protocol gives them on
    top of those that are held, and not instead of them.

    librdkafka keeps a pause of a partition that was taken away and comes back (seen with the eager protocol): all are
    resumed. Raises KafkaException.
    """
    if incremental:
        consumer.incremental_assign(list(places))
    else:
        consumer.assign(list(places))
    consumer.resume(list(places))
