"""Partitions that a group gives to a consumer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from confluent_kafka import Consumer, KafkaException, TopicPartition

from feedline.errors import FeedlineError, RetriableError
from feedline.kafka.errors import NOT_HEARD_OF, is_one_of, translate

logger = logging.getLogger(__name__)

AGAIN_S = 0.2

Found = TypeVar("Found")


def find_beginnings(
    look: Callable[[], Found], partitions: int, *, within_s: float, ending: Callable[[], bool]
) -> Found | None:
    """What `look` finds of partitions that were given to a consumer; again while its failure is one that passes, since
    for a while after a broker has died its partitions have no leader, and a new one is not known everywhere.

    ending: whether the consumer is told to end, after which nobody need know: None. Raises the failure when it does not
    pass, or not within `within_s`.
    """
    deadline = time.monotonic() + within_s
    while not ending():
        try:
            return look()
        except (KafkaException, FeedlineError) as error:
            failure = translate(error) if isinstance(error, KafkaException) else error
            passes = isinstance(failure, RetriableError) or is_one_of(error, NOT_HEARD_OF)
            if not passes or time.monotonic() > deadline:
                if failure is error:
                    raise
                raise failure from error
            logger.warning("where %d partitions begin is not known yet: %s", partitions, failure)
            time.sleep(AGAIN_S)
    return None


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
