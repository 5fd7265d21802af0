"""The gateway: order events of a topic to a FIX session, and the engine's answers back, neither lost nor doubled.

One thread does everything but QuickFIX's own. In its turn it takes the engine's reports, lets Kafka say what has become
durable, writes down how far it is about to send, sends that, and reads on. How an offset and a FIX sequence number
come to move together is told in docs/decisions/0018-offset-and-fix-number-move-together.md.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from queue import Empty
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from feedline.errors import CorruptBatchError, RetriableError, SchemaMismatchError
from feedline.kafka.config import consumer_config
from feedline.kafka.errors import translate
from feedline.orders.fix.answers import Answers
from feedline.orders.fix.connection import Connection
from feedline.orders.fix.dictionary import mark_resend, parse
from feedline.orders.fix.flight import Flight
from feedline.orders.fix.gateway_policy import GatewayPolicy
from feedline.orders.fix.gateway_status import GatewayStatus, PartitionStatus
from feedline.orders.fix.holding import Holding, Outgoing
from feedline.orders.fix.judge import Decision, Drop, EventReader, Refuse, headers_of, judge, judge_waiting
from feedline.orders.fix.missed import Missed, questions_of
from feedline.orders.fix.outbox import Outbox
from feedline.orders.fix.ownership import Ownership
from feedline.orders.topics import OrderTopics
from feedline.settings import Settings

logger = logging.getLogger(__name__)

REPORTS_A_TURN = 2_000
MESSAGES_A_TURN = 500
# For the word on an event that an earlier run has sent; it comes with the session's own resending, right after logon.
ANSWER_S = 30.0


class Gateway:
    """Runs in the thread that calls `run`; `stop` and `status` may be called from any."""

    def __init__(self, settings: Settings, topics: OrderTopics, policy: GatewayPolicy, connection: Connection) -> None:
        self._topics, self._policy, self._connection = topics, policy, connection
        acting = settings.acting_as("gateway")
        self._reader = EventReader(acting.registry, f"{topics.out}-value")
        self._outbox = Outbox(acting.kafka, acting.registry, topics)
        config = consumer_config(acting.kafka, group_id=policy.group) | {
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": int(policy.session_s * 1000),
            "fetch.wait.max.ms": 50,
            # Where a partition ends, behind the markers of transactions.
            "enable.partition.eof": True,
        }
        self._consumer = Consumer(config)
        self._ending = False
        self._owned = Ownership(
            self._consumer,
            acting.kafka,
            topics,
            drain=self._drain,
            dropped=self._drop,
            written=self._outbox.flush,
            ending=lambda: self._ending,
        )
        self._parse: Callable[[str], Any] = partial(parse, sender=connection.name, target=connection.target)
        self.counts: Counter[str] = Counter()
        self._flight = Flight(connection, self._owned, self._parse, policy.max_in_flight, self.counts)
        self._missed = Missed(
            acting.kafka, topics.out, self._reader, send=self._say, within_s=policy.drain_s, counts=self.counts
        )
        self._answers = Answers(
            connection.name,
            self._flight,
            self._owned,
            self._outbox,
            self.counts,
            refuse=self._refuse,
            released=self._released,
            told=self._missed.told,
        )
        self._paused = False
        self._commit_at = 0.0
        self._status_at = 0.0
        self._status = GatewayStatus()

    def run(self) -> None:
        """Until `stop`; then answers are waited for, offsets committed, the session logged out.

        Raises RetriableError, TerminalError when it cannot go on.
        """
        self._flight.open()
        try:
            self._owned.subscribe()
            while not self._ending:
                self._turn()
            self._drain(None)
            self._owned.commit(everything=True)
        except KafkaException as error:
            raise translate(error) from error
        finally:
            self._connection.stop()
            self._consumer.close()
            self._outbox.flush(self._policy.drain_s)

    def stop(self) -> None:
        self._ending = True

    def status(self) -> GatewayStatus:
        return self._status

    def _turn(self) -> None:
        self._pump()
        self._expire()
        self._ask_what_was_missed()
        self._flight.ask_again(ANSWER_S)
        self._flight.send()
        self._throttle()
        now = time.monotonic()
        if now >= self._commit_at:
            self._commit_at = now + self._policy.commit_s
            self._owned.commit()
        if now >= self._status_at:
            self._status_at = now + 0.5
            self._status = self._look()
        busy = self._flight.can_send or not self._connection.reports.empty()
        room = max(1, min(MESSAGES_A_TURN, self._policy.max_in_flight - self._open))
        for message in self._consumer.consume(room, timeout=0.0 if busy else self._policy.idle_s):
            self._take(message)
        self._raise_failures()

    def _pump(self, timeout_s: float = 0.0) -> None:
        """Takes what the engine has said and what Kafka has acknowledged."""
        for _ in range(REPORTS_A_TURN):
            try:
                received = self._connection.reports.get_nowait()
            except Empty:
                break
            if received.store != self._flight.store:
                self._begin_anew()
            self._answers.take(received)
        self._outbox.serve(timeout_s)
        self._answers.release_early()
        self._begin_anew()
        self._connection.durable(self._answers.first_pending)

    def _begin_anew(self) -> None:
        """After a reset of the session, before anything that came since is looked at."""
        if self._flight.begin_anew():
            self._answers.begin_anew()
            self._missed.begin_anew()
            for holding in self._owned:
                holding.looked_at = False

    @property
    def _open(self) -> int:
        """Events that were read and wait: to be sent, for their own answer, or for that to the event before."""
        return self._flight.ready + self._flight.in_flight + sum(one.waiting_count for one in self._owned)

    def _raise_failures(self) -> None:
        failure = self._owned.failure or self._outbox.failure
        if failure is not None:
            raise failure

    # Reading

    def _take(self, message: Message) -> None:
        error = message.error()
        holding = self._owned.holding(message.partition())
        offset = message.offset()
        if error is not None:
            self._read_failed(error, holding, offset)
            return
        if holding is None:
            return
        assert offset is not None
        if not holding.tracker.begin(offset):
            return
        try:
            taken = self._reader.read(message)
        except (CorruptBatchError, SchemaMismatchError) as problem:
            self.counts["refused"] += 1
            self._outbox.refuse_bytes(
                holding.partition,
                offset,
                message.key(),
                message.value() or b"",
                headers_of(message),
                code=type(problem).__name__,
                reason=str(problem),
                then=partial(self._owned.done, holding, offset),
            )
            return
        for decision in judge(holding, taken, self._policy.park_s, self._parse):
            self._decide(holding, decision)

    def _read_failed(self, error: KafkaError, holding: Holding | None, offset: int | None) -> None:
        if error.code() == KafkaError._PARTITION_EOF:
            if holding is not None and offset is not None:
                holding.tracker.reach(offset)
            return
        failure = translate(error, topic=self._topics.out)
        if not isinstance(failure, RetriableError):
            raise failure
        logger.warning("nothing can be read for now: %s", failure)

    def _decide(self, holding: Holding, decision: Decision) -> None:
        if isinstance(decision, Outgoing):
            self._flight.expect(holding, decision)
            self._answers.expected(decision)
        elif isinstance(decision, Drop):
            self.counts["repeats"] += 1
            self._owned.done(holding, decision.taken.offset)
        else:
            self._refuse(holding, decision)

    def _refuse(self, holding: Holding, refused: Refuse, then: Callable[[], None] | None = None) -> None:
        """then: what follows when the topic of errors has it; nothing but that it is done, unless given."""
        self.counts["refused"] += 1
        taken = refused.taken
        logger.warning("refused %s-%d: %s", taken.event.order_id, taken.event.sequence, refused.reason)
        done = partial(self._owned.done, holding, taken.offset)
        self._outbox.refuse(taken, refused.code, refused.reason, then or done)

    def _released(self, holding: Holding, order_id: str) -> None:
        """An answer has come, and what waited for it is judged on it."""
        for decision in judge_waiting(holding, order_id, self._policy.park_s, self._parse):
            self._decide(holding, decision)

    def _expire(self) -> None:
        now = time.monotonic()
        for holding in self._owned:
            late = holding.overdue(now)
            for parked in late:
                reason = f"{parked.reason}, and what is missing has not come within {self._policy.park_s:g} s"
                self._refuse(holding, Refuse(parked.taken, "OrderParked", reason))
        if sum(holding.parked_count for holding in self._owned) > self._policy.max_parked:
            for holding in self._owned:
                for parked in holding.overdue(float("inf")):
                    reason = f"{parked.reason}, and more than {self._policy.max_parked} events wait for others"
                    self._refuse(holding, Refuse(parked.taken, "OrderParked", reason))

    def _ask_what_was_missed(self) -> None:
        """After a reset of the session: its last intent of a partition, from before, says that it had its reports."""
        self._flight.is_held = self._missed.is_open
        if not self._flight.may_send:
            self._missed.hold()
            return
        for holding in self._owned:
            if not holding.looked_at and holding.may_lack_reports(self._connection.name, self._flight.store):
                self._missed.add(questions_of(holding, self._flight.first_unanswered()))
            holding.looked_at = True
        self._missed.go_on()
        self._flight.is_held = self._missed.is_open

    def _say(self, body: str, *, marked: bool) -> None:
        message = self._parse(body)
        if marked:
            mark_resend(message)
        self._connection.send(message)

    def _throttle(self) -> None:
        """Nothing is read while enough waits: for the engine, for its answers, for the broker."""
        waiting = self._open
        full = waiting >= self._policy.max_in_flight or (not self._connection.logged_on and self._flight.ready > 0)
        if full and not self._paused:
            self._paused = True
            self.counts["pauses"] += 1
        elif self._paused and self._connection.logged_on and waiting <= self._policy.max_in_flight // 2:
            self._paused = False
        self._owned.pause(self._paused)

    # Partitions

    def _drain(self, leaving: set[int] | None) -> None:
        """Waits a while for the answers of partitions that go, of all for None; what was not sent is left."""
        self._flight.leave(leaving)
        deadline = time.monotonic() + self._policy.drain_s
        while time.monotonic() < deadline and self._flight.waits_for(leaving):
            if not self._connection.logged_on and self._connection.reports.empty() and not len(self._outbox):
                break
            self._pump(0.02)

    def _drop(self, partitions: set[int]) -> None:
        self._flight.drop(partitions)

    def _look(self) -> GatewayStatus:
        places = []
        for holding in self._owned:
            place = TopicPartition(self._topics.out, holding.partition)
            _, high = self._consumer.get_watermark_offsets(place, cached=True)
            places.append(
                PartitionStatus(
                    holding.partition, holding.committed, holding.intent.end, max(0, high - holding.tracker.next_offset)
                )
            )
        return GatewayStatus(
            name=self._connection.name,
            logged_on=self._connection.logged_on,
            said=self._connection.said,
            in_flight=self._flight.in_flight,
            ready=self._flight.ready,
            parked=sum(one.parked_count for one in self._owned),
            waiting=sum(one.waiting_count for one in self._owned),
            paused=self._paused,
            partitions=tuple(places),
            counts=dict(self.counts) | {"session_rejects": self._connection.session_rejects},
        )
