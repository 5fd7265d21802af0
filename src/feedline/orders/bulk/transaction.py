"""The transactional producer of one instance of bulk entry: a transaction is begun, filled, and committed or given up.

What it holds counts together with how far the consumer has come, or not at all.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from feedline.kafka.bounded import within
from feedline.kafka.config import producer_config
from feedline.kafka.delivery_report import is_unproven
from feedline.kafka.errors import fatal_reason

logger = logging.getLogger(__name__)

# Another producer of the same transactional id was started.
FENCED = frozenset({KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH})


class Transactions:
    """One at a time, of one thread; KafkaExceptions are the client's own. transaction_s: after so long the broker gives
    an open one up; call_s: how long one call may take."""

    def __init__(self, kafka: Mapping[str, Any], name: str, *, transaction_s: float, call_s: float) -> None:
        transaction_ms = int(transaction_s * 1000)
        self._settings = producer_config(kafka) | {
            "transactional.id": name,
            "transaction.timeout.ms": transaction_ms,
            "delivery.timeout.ms": transaction_ms,
            "linger.ms": 5,
            "on_delivery": self._reported,
        }
        if "socket.timeout.ms" in self._settings:
            # librdkafka refuses one that is longer than a transaction.
            self._settings["socket.timeout.ms"] = min(int(self._settings["socket.timeout.ms"]), transaction_ms)
        self._transaction_s, self._call_s = transaction_s, call_s
        self._begun_at = time.monotonic()
        self._unproven = 0
        self._producer = Producer(self._settings)

    def take_over(self) -> None:
        """Ends what an earlier producer of the same name left open, and fences that producer."""
        self._call(self._producer.init_transactions)

    def begin(self) -> None:
        self._begun_at, self._unproven = time.monotonic(), 0
        self._producer.begin_transaction()

    def produce(
        self, topic: str, value: bytes, key: bytes, partition: int, headers: Sequence[tuple[str, bytes]]
    ) -> None:
        """Waits while there is no room."""
        while True:
            try:
                self._producer.produce(topic, value, key, partition, headers=list(headers))
            except BufferError:
                self._producer.poll(0.05)
            else:
                return

    def commit(self, offsets: list[TopicPartition], group: Any) -> None:
        """With how far the group's member has come."""
        self._call(lambda left: self._send_offsets(offsets, group, left))
        self._call(self._producer.flush)
        if self._unproven:
            reason = f"no broker has acknowledged {self._unproven} of its messages"
            raise KafkaException(KafkaError(KafkaError._MSG_TIMED_OUT, reason, txn_requires_abort=True))
        self._call(self._producer.commit_transaction)

    def give_up(self, failure: KafkaException) -> None:
        """Ends the one that failed with nothing of it published; raises the failure when it is not of that kind."""
        error = failure.args[0]
        if not (isinstance(error, KafkaError) and error.txn_requires_abort()):
            raise failure
        self._call(self._producer.abort_transaction)

    def renew(self, failure: KafkaException) -> None:
        """Another producer in place of one that can do nothing any more, with its transaction ended one way or the
        other.

        Raises the failure when it is of another kind, or another instance of this name has taken over.
        """
        found = fatal_reason(self._producer, failure)
        error = found.args[0]
        # The broker fences whom it has given up, too: one that slept with its transaction open.
        given_up = time.monotonic() - self._begun_at > self._transaction_s
        if not (isinstance(error, KafkaError) and error.fatal()) or (error.code() in FENCED and not given_up):
            raise found
        logger.warning("the transactional producer has failed and is made anew: %s", error)
        self._producer = Producer(self._settings)
        self.take_over()

    def _reported(self, error: KafkaError | None, message: Message) -> None:
        self._unproven += is_unproven(error, message)

    def _send_offsets(self, offsets: list[TopicPartition], group: Any, left: float) -> None:
        producer = self._producer
        # Twice the half is when the broker gives the transaction up.
        within(
            min(left, self._transaction_s / 2),
            lambda timeout: producer.send_offsets_to_transaction(offsets, group, timeout),
            "adding offsets to a transaction",
        )

    def _call(self, request: Callable[[float], Any]) -> None:
        """A call of the transactional API, again while its failure is one that passes."""
        deadline = time.monotonic() + self._call_s
        while True:
            left = deadline - time.monotonic()
            try:
                request(max(left, 0.1))
            except KafkaException as failure:
                if not failure.args[0].retriable() or left <= 0:
                    raise
                time.sleep(0.05)
            else:
                return
