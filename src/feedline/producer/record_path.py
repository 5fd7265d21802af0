"""The way of a feed's record from `produce` to its callback: checked, gathered, sent in a batch, reported.

One lock guards the open batches and the counts. It is held while a closed batch is handed to librdkafka, which copies
it and returns, and never while a callback of the program runs: those wait in a `ReportQueue` for `poll` or `flush`.
"""

from __future__ import annotations

import copy
import logging
import operator
import threading
import time
import uuid
import zlib
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message

from feedline.batch.control_totals import BatchTotals
from feedline.batch.headers import BatchHeaders
from feedline.batch.identity import Delivery, correlation_id
from feedline.errors import AuthenticationError, ConfigurationError, RecordTooLargeError
from feedline.kafka.delivery_report import is_unproven
from feedline.kafka.errors import translate
from feedline.producer.accumulator import Accumulator, OpenBatch
from feedline.producer.feed_record import Lane, LaneReader, Report, as_bytes, read_header_pairs
from feedline.producer.feed_setup import FeedSetup
from feedline.producer.options import ProducerSettings
from feedline.producer.partitioner import BytesPartitioner
from feedline.producer.reports import ReportQueue
from feedline.producer.session_tally import DeliveryKey, SessionTally

logger = logging.getLogger(__name__)

# Kafka's framing and the headers count against a message's limit too.
MESSAGE_OVERHEAD = 16 * 1024
# A message costs its compressed value and about this much, as the partitions' bytes are counted.
HEADER_BYTES = 400
# librdkafka tries a refused login again at least this often (reconnect.backoff.max.ms), and says so each time.
REFUSED_SECONDS = 10.0
RETRY_SECONDS = 0.05

# librdkafka's produce, which neither waits nor calls back.
Transmit = Callable[..., None]


@dataclass(frozen=True, slots=True)
class GivenRecord:
    """A record as `produce` was called with it; `pairs` are its headers read."""

    value: Any
    key: bytes | None
    partition: int
    callback: Any
    headers: list[tuple[str, str | bytes | None]] | None
    pairs: list[tuple[str, bytes | None]]


def given_record(value: Any, key: Any, partition: Any, callback: Any, headers: Any) -> GivenRecord:
    """Raises TypeError where confluent-kafka does; a mapping is a value too."""
    pairs = read_header_pairs(headers)
    return GivenRecord(
        value=value if isinstance(value, Mapping) else as_bytes(value, "value"),
        key=as_bytes(key, "key"),
        partition=operator.index(partition),
        callback=callback,
        headers=list(pairs) or None,
        pairs=pairs,
    )


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A closed batch as the message that librdkafka is to take; raw: bytes of its records as they were given;
    size: about how many bytes it has when compressed."""

    lane: Lane
    reports: list[Report] = field(repr=False)
    totals: BatchTotals
    raw: int
    value: bytes = field(repr=False)
    headers: list[tuple[str, bytes | None]]
    partition: int
    size: int


class RecordPath:
    """The feed side of one producer; any thread may call any method."""

    def __init__(
        self, settings: ProducerSettings, transmit: Transmit, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.session = uuid.uuid4().hex
        self.reports = ReportQueue(self._on_served)
        self.lanes = LaneReader(settings.options, self.session)
        self.setup = FeedSetup(settings, clock)
        # Set when there is a new age to wait for.
        self.wake = threading.Event()
        self.stopped = False
        self.failed_in_transaction = 0
        self._settings = settings
        self._transmit = transmit
        self._clock = clock
        self._lock = threading.Lock()
        self._open = Accumulator(clock, self._message_bytes)
        self._waiting: deque[_Sealed] = deque()
        self._outstanding = 0
        self._in_flight = 0
        self._fatal: KafkaError | None = None
        self._refused: tuple[AuthenticationError, float] | None = None
        self._partitioners: dict[str, BytesPartitioner] = {}
        self._indices: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._tallies: dict[DeliveryKey, SessionTally] = {}
        self._before: dict[DeliveryKey, SessionTally] | None = None

    @property
    def outstanding(self) -> int:
        """Records accepted and not yet reported."""
        return self._outstanding

    @property
    def in_flight(self) -> int:
        """Batches that librdkafka holds and counts as one message each."""
        return self._in_flight

    @property
    def unsent(self) -> bool:
        """Whether a record is not yet in librdkafka's hands."""
        return bool(self._waiting) or not self._open.empty

    def accept(self, topic: str, feed_name: str | None, given: GivenRecord, room: int) -> None:
        """Checks a record and adds it to its batch. `room` is how many records may be outstanding.

        Raises at once what will not pass: SchemaMismatchError, UnknownFeedError, RecordTooLargeError,
        AuthenticationError, ConfigurationError; and RegistryUnavailableError when a feed's first record finds none,
        BufferError when the queue is full.
        """
        self._check(room)
        lane, traceparent = self.lanes.lane(topic, feed_name, given.pairs, given.partition)
        encoder = self.setup.encoder(lane.feed)
        partitions = self.setup.partitions(topic)
        if lane.partition < -1 or (partitions is not None and lane.partition >= partitions):
            code = KafkaError._UNKNOWN_PARTITION
            raise KafkaException(KafkaError(code, "Unable to produce message: Local: Unknown partition"))
        record = encoder.encode(given.value)
        if record.size > self._message_bytes(lane):
            raise RecordTooLargeError(
                f"a record of {record.size} encoded bytes does not fit a message on this topic: lower the feed's "
                "max_record_bytes or raise the topic's max_message_bytes",
                feed=lane.feed.name,
                topic=topic,
            )
        report = None
        if given.callback is not None:
            report = Report(given.callback, given.key, given.value, given.headers)
        with self._lock:
            self._check(room)
            self._outstanding += 1
            closed, opened = self._open.add(lane, record, report, traceparent)
            for batch in closed:
                self._seal(batch)
            self._send_waiting()
        if opened or self._waiting:
            self.wake.set()

    def send_due(self) -> float | None:
        """Sends the batches whose age is up; returns the seconds until it is to be called again, None for no need."""
        with self._lock:
            for batch in self._open.close_due():
                self._seal(batch)
            self._send_waiting()
            wait = self._open.seconds_to_next()
            if self._waiting:
                wait = RETRY_SECONDS if wait is None else min(wait, RETRY_SECONDS)
            return wait

    def send_all(self) -> None:
        """Closes every batch and hands it to librdkafka, as far as that has room."""
        with self._lock:
            for batch in self._open.close_all():
                self._seal(batch)
            self._send_waiting()

    def stop(self) -> None:
        """Nothing is sent any more on its own."""
        self.stopped = True
        self.wake.set()

    def drop_unsent(self, error: KafkaError) -> None:
        """Reports every record that librdkafka does not have yet with this error."""
        with self._lock:
            for sealed in self._waiting:
                self._settle(sealed, error, None)
            self._waiting.clear()
            for batch in self._open.close_all():
                self._failed(batch.lane, len(batch.records), batch.reports, error, None)

    def begin(self) -> None:
        """A transaction begins: what is acknowledged in it counts when it is committed."""
        with self._lock:
            self._before = copy.deepcopy(self._tallies)
            self.failed_in_transaction = 0

    def end(self, *, committed: bool) -> None:
        """The transaction has ended."""
        with self._lock:
            if not committed and self._before is not None:
                self._tallies = self._before
            self._before = None

    def tally(self, delivery: Delivery) -> SessionTally:
        """What of a delivery is acknowledged."""
        with self._lock:
            return self._tally(delivery)

    def client_failed(self, error: KafkaError, **where: str) -> None:
        """Refused credentials refuse the next records too, until a broker has had the time to refuse again."""
        failure = translate(error, **where)
        if isinstance(failure, AuthenticationError):
            self._refused = (failure, self._clock() + REFUSED_SECONDS)

    def credentials_changed(self) -> None:
        self._refused = None

    def _check(self, room: int) -> None:
        if self._fatal is not None:
            raise KafkaException(self._fatal)
        if self._refused is not None:
            error, until = self._refused
            if self._clock() < until:
                # Another instance each time: one that is raised twice would gather both tracebacks.
                raise copy.copy(error)
            self._refused = None
        if self._settings.durability_gap:
            raise ConfigurationError(
                f"{self._settings.durability_gap} would let an acknowledged record be lost: leave it out of the "
                "settings of a producer of feeds, which is always acks=all and idempotent"
            )
        if self._outstanding >= room:
            raise BufferError("Local: Queue full")

    def _message_bytes(self, lane: Lane) -> int:
        limit = int(min(lane.feed.topic.max_message_bytes, self._settings.client["message.max.bytes"]))
        return limit - MESSAGE_OVERHEAD - sum(len(name) + len(value or b"") + 6 for name, value in lane.extra)

    def _seal(self, batch: OpenBatch) -> None:
        lane = batch.lane
        encoder = self.setup.made(lane.feed)
        value = encoder.join(batch.records)
        estimate = self._open.estimate(lane.feed.name)
        estimate.learn(value)
        size = int(len(value) * estimate.ratio) + HEADER_BYTES
        place = (lane.delivery.delivery_id, lane.source_file)
        index = self._indices[place]
        self._indices[place] += 1
        named = lane.correlation_id
        headers = BatchHeaders(
            correlation_id=named or correlation_id(place[0], f"{self.session}/{lane.source_file}", index),
            feed=lane.feed.name,
            business_date=lane.delivery.business_date,
            cycle=lane.delivery.cycle,
            delivery_id=lane.delivery.delivery_id,
            batch_index=index,
            record_count=len(batch.records),
            source_file=lane.source_file,
            content_type=encoder.content_type,
            traceparent=batch.traceparent,
        )
        partition = lane.partition if lane.partition >= 0 else self._choose(lane.feed.topic.name, size)
        self._waiting.append(
            _Sealed(
                lane=lane,
                reports=batch.reports,
                totals=encoder.totals(batch.records),
                raw=sum(record.raw for record in batch.records),
                value=value,
                headers=[*headers.to_kafka(), *lane.extra],
                partition=partition,
                size=size,
            )
        )

    def _choose(self, topic: str, size: int) -> int:
        count = self.setup.partitions(topic)
        if count is None:
            return -1
        if topic not in self._partitioners:
            # Another first partition for every producer: what many of them leave over does not pile up on one.
            self._partitioners[topic] = BytesPartitioner(count, zlib.crc32(self.session.encode()) % count)
        self._partitioners[topic].grow(count)
        return self._partitioners[topic].choose(size)

    def _send_waiting(self) -> None:
        while self._waiting:
            sealed = self._waiting[0]
            # The report keeps what it needs, not the value, of which librdkafka has its own copy.
            sent = replace(sealed, value=b"")
            try:
                self._transmit(
                    sealed.lane.feed.topic.name,
                    sealed.value,
                    partition=sealed.partition,
                    headers=sealed.headers,
                    on_delivery=partial(self._on_batch, sent),
                )
            except BufferError:
                return
            except KafkaException as error:
                self._waiting.popleft()
                self.failed_in_transaction += sealed.totals.records
                self._settle(sent, error.args[0], None)
            else:
                self._waiting.popleft()
                self._in_flight += 1

    def _on_batch(self, sent: _Sealed, error: KafkaError | None, message: Message) -> None:
        """librdkafka's report of a batch; it comes from `poll` and `flush`, never from `produce`."""
        with self._lock:
            self._in_flight -= 1
            if not is_unproven(error, message):
                self._settle(sent, error, message)
                return
            # Of a copy, should the broker have it after all, the loader knows by the correlation id.
            topic, partition = message.topic(), message.partition()
            logger.warning("no broker has acknowledged a batch on %s [%s]: it is sent again", topic, partition)
            self._waiting.appendleft(replace(sent, value=message.value() or b""))
        self.wake.set()

    def _settle(self, sent: _Sealed, error: KafkaError | None, message: Message | None) -> None:
        if error is not None:
            self._failed(sent.lane, sent.totals.records, sent.reports, error, message)
            return
        assert message is not None
        self._refused = None
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        self._tally(sent.lane.delivery).acknowledged(partition, offset, sent.totals, sent.size, sent.raw)
        self._report(sent.lane, sent.totals.records, sent.reports, None, message)

    def _failed(
        self, lane: Lane, records: int, reports: list[Report], error: KafkaError, message: Message | None
    ) -> None:
        self._tally(lane.delivery).failed += records
        if error.fatal():
            self._fatal = error
        if message is not None:
            self.client_failed(error, feed=lane.feed.name, topic=lane.feed.topic.name)
            # A broker that is away and one that refuses us look the same here: the next record asks.
            self.setup.look_again(lane.feed.topic.name)
        self._report(lane, records, reports, error, message)

    def _report(
        self, lane: Lane, records: int, reports: list[Report], error: KafkaError | None, message: Message | None
    ) -> None:
        self._outstanding -= records - len(reports)
        self.reports.add(reports, lane.feed.topic.name, error, message)

    def _tally(self, delivery: Delivery) -> SessionTally:
        key = DeliveryKey(delivery.feed, delivery.delivery_id)
        return self._tallies.setdefault(key, SessionTally(delivery))

    def _on_served(self) -> None:
        with self._lock:
            self._outstanding -= 1
