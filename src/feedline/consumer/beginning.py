"""Where the reading of a partition begins: at its claim's start, or it is set back."""

from __future__ import annotations

import logging

from confluent_kafka import Consumer, KafkaException

from feedline.consumer.claim import Claim
from feedline.errors import RetriableError
from feedline.kafka.errors import translate

logger = logging.getLogger(__name__)


def begins_astray(consumer: Consumer, claim: Claim, offset: int) -> bool:
    """Whether what was read first of a claim that is not `begun`, a message or the partition's end, lies beyond its
    start; then it is read again from there, once, and what came does not count.

    What lies between may be markers of transactions, which no message has. But a partition that was assigned at its
    end, paused, taken away and given back was seen to begin at that end (eager protocol, librdkafka 2.16): all that
    lay before would pass for done. Raises what `translate` gives, but for failures that pass.
    """
    if claim.finished:
        return False
    if offset <= claim.start or claim.doubted:
        claim.begun = True
        return False
    topic, partition = claim.where
    logger.info("%s [%d] begins at %d, not at %d: it is read again", topic, partition, offset, claim.start)
    try:
        consumer.seek(claim.topic_partition(claim.start))
    except KafkaException as error:
        failure = translate(error, topic=topic, partition=partition)
        if not isinstance(failure, RetriableError):
            raise failure from error
        logger.warning("the reading cannot be set back now, and is with what comes next: %s", failure)
    else:
        claim.doubted = True
    return True
