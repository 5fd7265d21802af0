"""What a delivery report of librdkafka proves: a message lies where it says, and nowhere when it does not say where.

An idempotent producer has up to five requests under way on a partition. When the first is refused (too few in-sync
replicas, a leader that moves) and a later one is taken, librdkafka concludes that the first must be on the topic as
well, since a broker refuses a sequence number that is not the next one, and reports it delivered, without an offset.
But a broker takes any number from a producer of whom it has nothing yet. So the first messages of a producer on a
partition can be lost and reported as delivered (https://github.com/confluentinc/confluent-kafka-go/issues/921).
"""

from __future__ import annotations

from confluent_kafka import KafkaError, Message


def is_unproven(error: KafkaError | None, message: Message) -> bool:
    """Whether a report says success and no broker does. To send the message again, under the same id, is the remedy."""
    offset = message.offset()
    return error is None and (offset is None or offset < 0)


def failure_of(error: KafkaError | None, message: Message) -> KafkaError | None:
    """The error of a report, for a sender that does not send again itself: a success without an offset is one too.

    Its code is that of a message that was not acknowledged in time: whether the broker has it is not known.
    """
    if is_unproven(error, message):
        return KafkaError(
            KafkaError._MSG_TIMED_OUT, "no broker has said that it has the message, only that it has a later one"
        )
    return error
