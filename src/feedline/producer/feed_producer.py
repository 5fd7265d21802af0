"""`FeedProducer`: confluent-kafka's Producer, which turns records on feed topics into micro-batches."""

from __future__ import annotations

import logging
import operator
import time
import weakref
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from feedline.batch.manifest import DeliveryManifest
from feedline.errors import UnknownFeedError
from feedline.kafka.config import ClientConfig
from feedline.kafka.renewal import PasswordRenewal
from feedline.producer.closer import start_closer
from feedline.producer.completion import complete
from feedline.producer.feed_record import DeliveryCallback, Headers, check_batch
from feedline.producer.options import split_settings
from feedline.producer.plain_topics import batch_of_errors_only, errors_only, fitting_only, refusal, too_large
from feedline.producer.record_path import GivenRecord, RecordPath, Transmit, given_record

logger = logging.getLogger(__name__)

# `poll` looks this often for reports that librdkafka does not know of (a purged or refused batch).
POLL_STEP_SECONDS = 0.1


class FeedProducer(Producer):
    """A drop-in for `confluent_kafka.Producer`: the same constructor, methods, callbacks and exceptions.

    It is a subclass, so that programs which check `isinstance(x, Producer)` take it, and so that on a topic that
    carries no feed every call is librdkafka's own. Configuration keys of ours are those of `FeedOptions`.

    On a topic that carries feeds, a record is checked against its feed's schema when `produce` is called, and travels
    in a micro-batch with others of the same feed and delivery. What a program sees is records: each has its own
    callback, and `len`, `flush` and `queue.buffering.max.messages` count records.

    - value: the record's JSON as text or bytes, or a mapping of its values (Decimal for decimals)
    - feed: the header `feed`, or `feed=`; not needed where a topic carries only one
    - headers `businessDate`, `cycle`, `deliveryId`, `sourceFile`: the record's delivery; the options say what holds
      without them. `traceparent`: the first of a batch goes with it
    - header `correlationId`, of at most 36 characters: the record travels alone under this id and is loaded once,
      however often it is produced; without it a record that a restarted program produces again is loaded again
    - other headers: the message carries them, so only records with the same ones share a message
    - partition: honoured, in messages apart; key: given back to the callback, not sent, since feeds have no order;
      timestamp: not sent, since Kafka deletes by it, and an old one would delete unread records

    Raised at once, each also a KafkaException: SchemaMismatchError, UnknownFeedError, RecordTooLargeError,
    AuthenticationError; further ConfigurationError and, for the first record of a feed, RegistryUnavailableError.
    Retriable errors are retried by librdkafka within `delivery.timeout.ms`, then reported to each record's callback.

    Threads may share it. A forked child must make its own, as with the class it stands in for.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        given: dict[str, Any] = dict(args[0]) if len(args) == 1 and isinstance(args[0], dict) else {}
        if args and not given and not (len(args) == 1 and isinstance(args[0], dict)):
            super().__init__(*args, **kwargs)
        given.update(kwargs)
        settings = split_settings(given)
        client = ClientConfig(settings.client)
        self._settings = settings
        self._feed_topics = frozenset(topic.name for topic in settings.options.catalog.topics())
        self._transactional = "transactional.id" in client
        self._in_transaction = False
        self._closed = False
        self._feeding = False
        self._path = RecordPath(settings, _transmitter(self))
        # confluent-kafka would not tell of successes, which the counts need: it is done here.
        self._only_errors = str(client.pop("delivery.report.only.error", False)).lower() in ("true", "1")
        program = client.get("on_delivery")
        if self._only_errors and callable(program):
            client["on_delivery"] = program = errors_only(program)
        self._default_callback: DeliveryCallback | None = program
        # confluent-kafka listens too when the program does not: nothing else is logged or counted for this.
        listener = client.get("error_cb")
        if listener is None or callable(listener):
            client["error_cb"] = _error_listener(self._path, listener)
        renewal = PasswordRenewal(client)
        if renewal.wanted:
            client["error_cb"] = renewal.on_error
        super().__init__(client)
        renewal.client = self

    def produce(  # noqa: PLR0917  confluent-kafka's own signature
        self,
        topic: str,
        value: str | bytes | Mapping[str, Any] | None = None,
        key: str | bytes | None = None,
        partition: int = -1,
        callback: DeliveryCallback | None = None,
        on_delivery: DeliveryCallback | None = None,
        timestamp: int = 0,
        headers: Headers | None = None,
        *,
        feed: str | None = None,
    ) -> None:
        """Takes a record of a feed, or on another topic a message; see the class.

        Raises BufferError when the queue is full: `poll`, then try again.
        """
        own = self._callback(callback if callback is not None else on_delivery)
        if topic in self._feed_topics:
            operator.index(timestamp)
            self._accept(topic, feed, given_record(value, key, partition, own, headers))
            return
        if feed is not None:
            raise UnknownFeedError(f"no feed {feed!r} on this topic, which carries none", topic=topic, feed=feed)
        if too_large(self._settings.plain_message_max_bytes, key, value, headers):
            raise KafkaException(refusal("Unable to produce message"))
        super().produce(topic, value, key, partition, own, None, timestamp, headers)  # type: ignore[arg-type]

    def produce_batch(
        self,
        topic: str,
        messages: list[dict[str, Any]],
        partition: int = -1,
        callback: DeliveryCallback | None = None,
        on_delivery: DeliveryCallback | None = None,
        *,
        feed: str | None = None,
    ) -> int:
        """Takes many; returns how many were accepted and puts a KafkaError as `_error` into the dict of each other.

        On a topic of feeds each dict may have `feed` and `headers` besides confluent-kafka's keys.
        """
        shared = callback if callback is not None else on_delivery
        if topic not in self._feed_topics:
            return self._produce_plain_batch(topic, messages, partition, shared)
        check_batch(messages)
        accepted = 0
        for message in messages:
            own = self._callback(message.get("callback") or message.get("on_delivery") or shared)
            place, headers = message.get("partition", partition), message.get("headers")
            try:
                record = given_record(message.get("value"), message.get("key"), place, own, headers)
                self._accept(topic, message.get("feed", feed), record)
            except BufferError:
                message["_error"] = KafkaError(KafkaError._QUEUE_FULL, "Message failed: Local: Queue full")
            except KafkaException as error:
                message["_error"] = error.args[0]
            else:
                accepted += 1
        return accepted

    def poll(self, timeout: float = -1) -> int:
        """Serves callbacks, one a record; returns how many events were served."""
        if not self._feeding or self._closed or not isinstance(timeout, (int, float)):
            return super().poll(timeout)
        deadline = None if timeout < 0 else time.monotonic() + timeout
        while True:
            left = POLL_STEP_SECONDS if deadline is None else max(0.0, deadline - time.monotonic())
            events = super().poll(0 if self._path.reports else min(left, POLL_STEP_SECONDS))
            served = self._path.reports.serve()
            if events or served or left == 0.0:
                return max(events, served)

    def flush(self, timeout: float = -1) -> int:
        """Closes all batches and waits until every record and message is reported; returns how many are not yet."""
        if not self._feeding or self._closed or not isinstance(timeout, (int, float)):
            return super().flush(timeout)
        deadline = None if timeout < 0 else time.monotonic() + timeout
        failure: Exception | None = None
        while True:
            self._path.send_all()
            left = -1.0 if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                super().flush(left)
                self._path.reports.serve_all()
            except Exception as error:  # noqa: BLE001  raised by a callback: the others are served first
                failure = error
            if left == 0.0 or not (self._path.unsent or self._path.reports):
                break
        if failure is not None:
            raise failure
        return len(self)

    def __len__(self) -> int:
        """Records and other messages that are not yet reported."""
        return super().__len__() - self._path.in_flight + self._path.outstanding

    def __bool__(self) -> bool:
        return True

    def purge(self, in_queue: bool = True, in_flight: bool = True, blocking: bool = True) -> None:
        """Drops what is queued or in flight; `poll` reports each record."""
        super().purge(in_queue, in_flight, blocking)
        if in_queue:
            self._drop_unsent()

    def begin_transaction(self) -> None:
        super().begin_transaction()
        self._path.begin()
        self._in_transaction = True

    def commit_transaction(self, timeout: float = -1) -> None:
        """Sends what is open into the transaction, waits for every acknowledgement, commits."""
        deadline = None if timeout < 0 else time.monotonic() + timeout
        if self._in_transaction and self._feeding:
            self.flush(timeout)
            if self._path.unsent:
                reason = "records wait for room in the queue"
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, reason, retriable=True))
            if self._path.failed_in_transaction:
                reason = f"{self._path.failed_in_transaction} records could not be sent"
                raise KafkaException(KafkaError(KafkaError._INCONSISTENT, reason, txn_requires_abort=True))
        super().commit_transaction(-1 if deadline is None else max(0.0, deadline - time.monotonic()))
        self._end_transaction(committed=True)

    def abort_transaction(self, timeout: float = -1) -> None:
        """Drops and reports what is not acknowledged, and aborts."""
        if self._in_transaction:
            self._drop_unsent()
        super().abort_transaction(timeout)
        self._end_transaction(committed=False)

    def set_sasl_credentials(self, username: str, password: str) -> None:
        super().set_sasl_credentials(username, password)
        self._path.credentials_changed()

    def close(self) -> bool:
        """Flushes, or aborts the transaction that is open, and ends the client; then raises what a callback raised."""
        failure: Exception | None = None
        try:
            if self._in_transaction:
                self._drop_unsent()
            elif self._feeding and not self._closed:
                self.flush()
        except Exception as error:  # noqa: BLE001  a program's callback may raise anything
            failure = error
        self._path.stop()
        closed = bool(super().close())
        self._closed = True
        self._in_transaction = False
        self._path.reports.serve_all()
        if failure is not None:
            raise failure
        return closed

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def complete_delivery(
        self,
        feed: str,
        *,
        business_date: Any = None,
        cycle: Any = None,
        delivery_id: str | None = None,
        records: int | None = None,
        timeout: float = -1,
    ) -> DeliveryManifest:
        """Flushes, then ends a delivery with its manifest, which is acknowledged when this returns.

        business_date, cycle, delivery_id: those the records were produced with, from the options where not given.
        records: how many the delivery must have; without it, it is an error if one failed. In a transaction the
        manifest is part of it.

        Raises ControlMismatchError, BrokerUnavailableError when not all is acknowledged within `timeout` seconds,
        UnknownFeedError, ConfigurationError, AuthenticationError, RegistryUnavailableError.
        """
        known = self._settings.options.catalog.feed(feed)
        delivery = self._path.lanes.delivery(known, business_date, cycle, delivery_id)
        return complete(
            known,
            delivery,
            self._path,
            self._settings,
            produce=super().produce,
            flush=self.flush,
            records=records,
            timeout=timeout,
        )

    def __del__(self) -> None:
        path = getattr(self, "_path", None)
        if path is None:
            return
        path.stop()
        if path.unsent:
            # librdkafka says the same of the messages that it has.
            logger.warning("a producer ends with %d records still in its queue: call flush() first", path.outstanding)

    def _accept(self, topic: str, feed: str | None, given: GivenRecord) -> None:
        if self._closed:
            raise RuntimeError("Producer has been closed")
        if self._transactional and not self._in_transaction:
            reason = "Unable to produce message: Local: Erroneous state"
            raise KafkaException(KafkaError(KafkaError._STATE, reason))
        # Messages of other topics fill the same queue.
        room = self._settings.max_records - (super().__len__() - self._path.in_flight)
        self._path.accept(topic, feed, given, room)
        if not self._feeding:
            self._feeding = True
            start_closer(self._path)

    def _produce_plain_batch(self, topic: str, messages: Any, partition: int, callback: Any) -> int:
        if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
            return super().produce_batch(topic, messages, partition, callback)
        fitting = fitting_only(self._settings.plain_message_max_bytes, messages)
        send = super().produce_batch
        if not self._only_errors:
            return send(topic, fitting, partition, callback)
        own = self._callback(callback)
        return batch_of_errors_only(lambda batch: send(topic, batch, partition, own), fitting)

    def _callback(self, callback: Any) -> Any:
        if callback is None:
            return self._default_callback
        return errors_only(callback) if self._only_errors else callback

    def _drop_unsent(self) -> None:
        self._path.drop_unsent(KafkaError(KafkaError._PURGE_QUEUE))

    def _end_transaction(self, *, committed: bool) -> None:
        self._in_transaction = False
        self._path.end(committed=committed)
        self._path.reports.serve_all()


def _transmitter(producer: FeedProducer) -> Transmit:
    # No reference to the producer: dropping it must end its client at once, as with confluent-kafka.
    reference = weakref.ref(producer)

    def transmit(*args: Any, **kwargs: Any) -> None:
        alive = reference()
        if alive is not None:
            Producer.produce(alive, *args, **kwargs)

    return transmit


def _error_listener(path: RecordPath, program: Callable[[KafkaError], None] | None) -> Callable[[KafkaError], None]:
    def on_error(error: KafkaError) -> None:
        path.client_failed(error)
        if program is not None:
            program(error)

    return on_error
