"""What a gateway writes to Kafka: execution reports, states, and refused events; each with what follows from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import KafkaError, Producer

from feedline.batch.error_record import MAX_REASON, Origin
from feedline.batch.headers import AVRO
from feedline.kafka.config import producer_config
from feedline.kafka.delivery_report import failure_of
from feedline.kafka.errors import translate
from feedline.kafka.registry import registry_client, schema_id
from feedline.orders.fix.holding import Taken
from feedline.orders.fix.states import Held
from feedline.orders.model import ExecutionReport, encode_report
from feedline.orders.model.schemas import EXECUTION_REPORT, order_schema
from feedline.orders.refused import REPORT_REFUSED, refusal_headers
from feedline.orders.topics import OrderTopics

# As orders.out, so that the events and the reports of an order lie in partitions of one number.
PARTITIONER = "murmur2_random"
_CONTENT_TYPE = AVRO.encode()


class Outbox:
    """A durable producer; `then` of a message is called by `serve`, in its caller's thread, once the message is
    acknowledged by all in-sync replicas. failure: an error after which nothing more is certain."""

    def __init__(self, kafka: Mapping[str, Any], registry: Mapping[str, Any], topics: OrderTopics) -> None:
        self._topics = topics
        self._report_schema = schema_id(
            registry_client(registry), f"{topics.executions}-value", order_schema(EXECUTION_REPORT)
        )
        self._producer = Producer(producer_config(kafka) | {"linger.ms": 5, "partitioner": PARTITIONER})
        self.failure: Exception | None = None

    def __len__(self) -> int:
        return len(self._producer)

    def serve(self, timeout_s: float = 0.0) -> None:
        self._producer.poll(timeout_s)

    def flush(self, timeout_s: float) -> bool:
        """Whether all was acknowledged in time."""
        return int(self._producer.flush(timeout_s)) == 0

    def encode(self, report: ExecutionReport) -> bytes:
        """The report's message; raises SchemaMismatchError for an amount that does not fit its field."""
        return encode_report(report, self._report_schema)

    def report(
        self, report: ExecutionReport, value: bytes, traceparent: bytes | None, then: Callable[[], None]
    ) -> None:
        """value: the report encoded; traceparent: of the event that it answers."""
        headers = [
            ("correlationId", report.exec_id.encode()),
            ("contentType", _CONTENT_TYPE),
            ("sequence", b"%d" % report.sequence),
        ]
        if traceparent is not None:
            headers.append(("traceparent", traceparent))
        self._produce(self._topics.executions, value, report.order_id, headers, then)

    def refuse_report(self, order_id: str, raw: bytes, reason: str, then: Callable[[], None]) -> None:
        """A message of the engine that cannot be a report of ours, as it came."""
        headers = [
            ("reason", reason[:MAX_REASON].encode(errors="replace")),
            ("errorCode", REPORT_REFUSED.encode()),
            ("contentType", b"application/fix"),
        ]
        self._produce(self._topics.error, raw, order_id, headers, then)

    def state(self, partition: int, order_id: str, held: Held | None, then: Callable[[], None] | None = None) -> None:
        """held: None forgets the order."""
        value = None if held is None else held.encode()
        self._produce(self._topics.states, value, order_id, [], then, partition=partition)

    def refuse(self, taken: Taken, code: str, reason: str, then: Callable[[], None]) -> None:
        self.refuse_bytes(
            taken.partition, taken.offset, taken.key, taken.value, taken.headers, code=code, reason=reason, then=then
        )

    def refuse_bytes(
        self,
        partition: int,
        offset: int,
        key: bytes | None,
        value: bytes,
        headers: list[tuple[str, bytes]],
        *,
        code: str,
        reason: str,
        then: Callable[[], None],
    ) -> None:
        """An event that is not sent, to the topic of errors: as it was, and why."""
        told = refusal_headers(code, reason, Origin(self._topics.out, partition, offset))
        self._produce(self._topics.error, value, key, [*headers, *told], then)

    def _produce(
        self,
        topic: str,
        value: bytes | None,
        key: str | bytes | None,
        headers: list[tuple[str, bytes]],
        then: Callable[[], None] | None,
        *,
        partition: int = -1,
    ) -> None:
        def delivered(error: KafkaError | None, message: Any) -> None:
            failure = failure_of(error, message)
            if failure is not None:
                self.failure = self.failure or translate(failure, topic=topic)
            elif then is not None and self.failure is None:
                then()

        while True:
            try:
                self._producer.produce(
                    topic, value, key, headers=list(headers), partition=partition, on_delivery=delivered
                )
            except BufferError:
                # The broker is slower than we are, or away: nothing goes on until there is room.
                self._producer.poll(0.1)
            else:
                return
