"""The gateway: order events of a topic to a FIX session, and the engine's answers back, neither lost nor doubled.

One thread does everything but QuickFIX's own. In its turn it takes the engine's reports, lets Kafka say what has become
durable, writes down how far it is about to send, sends that, and reads on. How an offset and a FIX sequence number
come to move together is told in docs/decisions/0018-offset-and-fix-number-move-together.md.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping
from functools import partial
from queue import Empty
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from feedline.errors import CorruptBatchError, RetriableError, SchemaMismatchError
from feedline.kafka.config import consumer_config
from feedline.kafka.errors import translate
from feedline.orders.fix import reports
from feedline.orders.fix.connection import Connection
from feedline.orders.fix.dictionary import SOH, parse
from feedline.orders.fix.gateway_policy import GatewayPolicy
from feedline.orders.fix.gateway_status import GatewayStatus, PartitionStatus
from feedline.orders.fix.holding import Holding, Outgoing, Taken
from feedline.orders.fix.judge import Decision, Drop, EventReader, Refuse, headers_of, judge
from feedline.orders.fix.outbox import Outbox
from feedline.orders.fix.ownership import Ownership
from feedline.orders.fix.states import Held
from feedline.orders.model import ExecType, ExecutionReport, OrdStatus, Status, conclude
from feedline.orders.topics import OrderTopics
from feedline.settings import Settings

logger = logging.getLogger(__name__)

POSS_RESEND = 97
# The last reports by ExecID: what the engine sends again is known by it.
REPORTS_KNOWN = 200_000
REPORTS_A_TURN = 2_000
MESSAGES_A_TURN = 500

_FINAL: Mapping[OrdStatus, Status] = {
    OrdStatus.FILLED: Status.FILLED,
    OrdStatus.CANCELED: Status.CANCELLED,
    OrdStatus.REJECTED: Status.REJECTED,
    OrdStatus.EXPIRED: Status.EXPIRED,
    OrdStatus.DONE_FOR_DAY: Status.EXPIRED,
}


class Gateway:
    """Runs in the thread that calls `run`; `stop` and `status` may be called from any."""

    def __init__(self, settings: Settings, topics: OrderTopics, policy: GatewayPolicy, connection: Connection) -> None:
        self._topics, self._policy, self._connection = topics, policy, connection
        acting = settings.acting_as("gateway")
        self._reader = EventReader(acting.registry, f"{topics.out}-value")
        self._outbox = Outbox(acting.kafka, acting.registry, topics)
        config = consumer_config(acting.kafka, group_id=policy.group) | {
            "partition.assignment.strategy": "cooperative-sticky",
            "fetch.wait.max.ms": 50,
            # Where a partition ends, behind the markers of transactions.
            "enable.partition.eof": True,
        }
        self._consumer = Consumer(config)
        self._owned = Ownership(self._consumer, acting.kafka, topics, drain=self._drain, dropped=self._dropped)
        self._parse: Callable[[str], Any] = partial(parse, sender=connection.name, target=connection.target)
        # To be sent, in order; sent, by ClOrdID and by number.
        self._ready: deque[Outgoing] = deque()
        self._in_flight: dict[str, Outgoing] = {}
        self._numbers: dict[int, str] = {}
        # Of each order, how many of its events wait for an answer.
        self._unanswered: Counter[str] = Counter()
        # Events that have a number in the store of an earlier run, until they are read again.
        self._numbered: dict[tuple[int, int], int] = {}
        # Which store that is, and after which logon it was looked at.
        self._store, self._logons = "", 0
        # Reports not durable yet, by the engine's numbers, and the last ones by ExecID: whether they are durable.
        self._pending: dict[int, None] = {}
        self._known: OrderedDict[str, bool] = OrderedDict()
        self._paused = False
        self._ending = False
        self._commit_at = 0.0
        self._status_at = 0.0
        self.counts: Counter[str] = Counter()
        self._status = GatewayStatus()

    def run(self) -> None:
        """Until `stop`; then answers are waited for, offsets committed, the session logged out.

        Raises RetriableError, TerminalError when it cannot go on.
        """
        # What has a number is known before the first message can get another one.
        self._numbered = self._connection.store.numbered()
        self._connection.start()
        self._store = self._connection.store.identity()
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
        self._send_ready()
        self._throttle()
        now = time.monotonic()
        if now >= self._commit_at:
            self._commit_at = now + self._policy.commit_s
            self._owned.commit()
        if now >= self._status_at:
            self._status_at = now + 0.5
            self._status = self._look()
        busy = (
            bool(self._ready and self._may_send and len(self._in_flight) < self._policy.max_in_flight)
            or not self._connection.reports.empty()
        )
        room = max(1, min(MESSAGES_A_TURN, self._policy.max_in_flight - len(self._in_flight) - len(self._ready)))
        for message in self._consumer.consume(room, timeout=0.0 if busy else self._policy.idle_s):
            self._take(message)
        self._raise_failures()

    def _pump(self, timeout_s: float = 0.0) -> None:
        """Takes what the engine has said and what Kafka has acknowledged."""
        for _ in range(REPORTS_A_TURN):
            try:
                fields = self._connection.reports.get_nowait()
            except Empty:
                break
            self._report(fields)
        self._outbox.serve(timeout_s)
        self._connection.durable(next(iter(self._pending), None))
        logons = self._connection.logons
        if logons != self._logons:
            if self._connection.store.identity() != self._store:
                self._begin_anew()
            self._logons = logons

    @property
    def _may_send(self) -> bool:
        """Whether the session is on, and it is known whose numbers it has."""
        return self._connection.logged_on and self._connection.logons == self._logons

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
                then=partial(self._done, holding, offset),
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
            self._expect(holding, decision)
        elif isinstance(decision, Drop):
            self.counts["repeats"] += 1
            self._done(holding, decision.taken.offset)
        else:
            self._refuse(holding, decision)

    def _expect(self, holding: Holding, outgoing: Outgoing) -> None:
        """To be sent; or sent by an earlier run of this gateway, whose session delivers it, and to be answered."""
        inherited, session = holding.inherited, self._connection.name
        number = self._numbered.pop(outgoing.place, 0)
        if number and inherited.is_of(session, self._store):
            outgoing.number = number
            self._wait_for(outgoing)
            self.counts["numbered_before"] += 1
            return
        outgoing.resend = inherited.perhaps_sent(outgoing.taken.offset, session, self._store)
        self._ready.append(outgoing)

    def _refuse(self, holding: Holding, refused: Refuse) -> None:
        self.counts["refused"] += 1
        taken = refused.taken
        logger.warning("refused %s-%d: %s", taken.event.order_id, taken.event.sequence, refused.reason)
        self._outbox.refuse(taken, refused.code, refused.reason, partial(self._done, holding, taken.offset))

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

    # Sending

    def _send_ready(self) -> None:
        """Sends what is ready and may be, after the group knows that it is about to be."""
        room = self._policy.max_in_flight - len(self._in_flight)
        if not self._ready or room <= 0 or not self._may_send:
            return
        batch = [self._ready[index] for index in range(min(room, len(self._ready)))]
        ends: dict[int, int] = {}
        for outgoing in batch:
            partition, offset = outgoing.place
            ends[partition] = max(ends.get(partition, 0), offset + 1)
        if not self._owned.intend(ends, self._connection.name, self._store):
            return
        for outgoing in batch:
            if not self._may_send:
                return
            self._ready.popleft()
            self._send(outgoing)

    def _send(self, outgoing: Outgoing) -> None:
        message = outgoing.message if outgoing.message is not None else self._parse(outgoing.body)
        if outgoing.resend:
            message.getHeader().setField(POSS_RESEND, "Y")
            self.counts["resent"] += 1
        outgoing.message = None
        outgoing.number = self._connection.send(message)
        self.counts["sent"] += 1
        self._wait_for(outgoing)

    def _wait_for(self, outgoing: Outgoing) -> None:
        name = _name(outgoing.taken)
        self._in_flight[name] = outgoing
        self._unanswered[outgoing.taken.event.order_id] += 1
        self._numbers[outgoing.number] = name

    def _begin_anew(self) -> None:
        """The session's numbers were reset and its store emptied: what is not answered is sent again, marked."""
        self._store = self._connection.store.identity()
        self._numbered.clear()
        self._numbers.clear()
        self._pending.clear()
        unanswered = [one for one in self._in_flight.values() if not one.answered]
        logger.warning("the FIX session begins with number 1: %d events are sent again", len(unanswered))
        self.counts["resets"] += 1
        for outgoing in reversed(unanswered):
            self._forget(outgoing)
            outgoing.resend, outgoing.number = True, 0
            self._ready.appendleft(outgoing)

    def _throttle(self) -> None:
        """Nothing is read while enough waits: for the engine, for its answers, for the broker."""
        waiting = len(self._in_flight) + len(self._ready)
        full = waiting >= self._policy.max_in_flight or (not self._connection.logged_on and bool(self._ready))
        if full and not self._paused:
            self._paused = True
            self.counts["pauses"] += 1
        elif self._paused and self._connection.logged_on and waiting <= self._policy.max_in_flight // 2:
            self._paused = False
        self._owned.pause(self._paused)

    # Answers

    def _report(self, fields: dict[str, str]) -> None:
        kind, number = fields["35"], int(fields["34"])
        if kind in (reports.BUSINESS_REJECT, reports.SESSION_REJECT):
            self._rejected(fields)
            return
        if reports.is_status(fields):
            return
        if reports.is_duplicate(fields):
            self._duplicate(fields)
            return
        try:
            report = reports.report_of(fields, self._connection.name)
            value = self._outbox.encode(report)
        except SchemaMismatchError as problem:
            self._unreadable(fields, number, problem)
            return
        known = self._known.get(report.exec_id)
        if known is not None:
            self.counts["reports_again"] += 1
            if known:
                self._answered(report.cl_ord_id, _final(report), None)
            return
        self._known[report.exec_id] = False
        if len(self._known) > REPORTS_KNOWN:
            self._known.popitem(last=False)
        self._pending[number] = None
        outgoing = self._in_flight.get(report.cl_ord_id)
        trace = None if outgoing is None else dict(outgoing.taken.headers).get("traceparent")

        def durable() -> None:
            self._known[report.exec_id] = True
            self.counts["reports"] += 1
            self._answered(report.cl_ord_id, _final(report), number)

        self._outbox.report(report, value, trace, durable)

    def _unreadable(self, fields: dict[str, str], number: int, problem: SchemaMismatchError) -> None:
        """A report that cannot be one of ours is kept as it came; it answers its event all the same."""
        name = fields.get("11", "")
        logger.error("a report of %s cannot be read: %s", name, problem)
        self.counts["reports_refused"] += 1
        self._pending[number] = None
        raw = SOH.join(f"{tag}={value}" for tag, value in fields.items()).encode(errors="replace")
        self._outbox.refuse_report(
            name.rpartition("-")[0], raw, str(problem), lambda: self._answered(name, None, number)
        )

    def _answered(self, name: str, final: Status | None, number: int | None) -> None:
        """An answer is durable; its order's state is made so, and after that the event is done, and the engine's
        message of that number needs not be asked for again."""
        outgoing = self._in_flight.get(name)
        order_id = name.rpartition("-")[0]
        holding = None if outgoing is None else self._owned.holding(outgoing.place[0])
        if outgoing is None or outgoing.answered or holding is None:
            self._conclude(order_id, final)
            self._pending.pop(number, None)  # type: ignore[arg-type]
            return
        self._mark_answered(outgoing)
        held = outgoing.held
        latest = holding.states.get(order_id, held)
        if final is not None:
            latest = Held(conclude(latest.state, final), latest.terms)
        self._keep(holding, order_id, latest)
        if latest.state.sequence == held.state.sequence:
            held = latest

        def settled() -> None:
            self._forget(outgoing)
            self._done(holding, outgoing.taken.offset)
            self._pending.pop(number, None)  # type: ignore[arg-type]

        self._outbox.state(holding.partition, order_id, held, settled)

    def _mark_answered(self, outgoing: Outgoing) -> None:
        outgoing.answered = True
        order_id = outgoing.taken.event.order_id
        self._unanswered[order_id] -= 1
        if self._unanswered[order_id] <= 0:
            del self._unanswered[order_id]

    def _conclude(self, order_id: str, final: Status | None) -> None:
        """A later report of an order says that it is over."""
        if final is None:
            return
        for holding in self._owned:
            held = holding.states.get(order_id)
            if held is not None and not held.state.status.is_final:
                over = Held(conclude(held.state, final), held.terms)
                self._keep(holding, order_id, over)
                # An event that waits for its answer writes the state itself, when it is answered.
                if not self._unanswered.get(order_id):
                    self._outbox.state(holding.partition, order_id, over)

    def _keep(self, holding: Holding, order_id: str, held: Held) -> None:
        for gone in holding.keep(order_id, held):
            self._outbox.state(holding.partition, gone, None)

    def _rejected(self, fields: dict[str, str]) -> None:
        """The engine refuses the message itself: the event goes to the topic of errors."""
        name = self._numbers.get(int(fields.get("45") or 0)) or fields.get("379", "")
        outgoing = self._in_flight.get(name)
        if outgoing is None or outgoing.answered:
            logger.warning("the engine rejects a message that no event waits for: %s", fields.get("58"))
            return
        holding = self._owned.holding(outgoing.place[0])
        reason = f"the engine rejects the message: {fields.get('58') or fields.get('373') or fields.get('380')}"
        self._forget(outgoing)
        if holding is not None:
            self._refuse(holding, Refuse(outgoing.taken, "FixRejected", reason))

    def _duplicate(self, fields: dict[str, str]) -> None:
        """The engine has it, but this copy was not marked: asked again, marked, it gives its reports again."""
        outgoing = self._in_flight.get(fields["11"])
        self.counts["duplicates"] += 1
        logger.warning("the engine has %s already", fields["11"])
        if outgoing is not None and not outgoing.answered and not outgoing.resend:
            self._forget(outgoing)
            outgoing.resend, outgoing.number = True, 0
            self._ready.append(outgoing)

    def _forget(self, outgoing: Outgoing) -> None:
        if self._in_flight.pop(_name(outgoing.taken), None) is not None and not outgoing.answered:
            self._mark_answered(outgoing)
            outgoing.answered = False
        self._numbers.pop(outgoing.number, None)

    def _done(self, holding: Holding, offset: int) -> None:
        if self._owned.holding(holding.partition) is holding:
            holding.tracker.complete(offset)

    # Partitions

    def _drain(self, leaving: set[int] | None) -> None:
        """Waits a while for the answers of partitions that go, of all for None; what was not sent is left."""
        self._ready = deque(one for one in self._ready if leaving is not None and one.place[0] not in leaving)
        deadline = time.monotonic() + self._policy.drain_s
        while time.monotonic() < deadline and any(
            leaving is None or one.place[0] in leaving for one in self._in_flight.values()
        ):
            if not self._connection.logged_on and self._connection.reports.empty() and not len(self._outbox):
                break
            self._pump(0.02)

    def _dropped(self, partitions: set[int]) -> None:
        """Those partitions are somebody else's: nothing of them is sent or settled any more."""
        self._ready = deque(one for one in self._ready if one.place[0] not in partitions)
        for outgoing in [one for one in self._in_flight.values() if one.place[0] in partitions]:
            self._forget(outgoing)

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
            in_flight=len(self._in_flight),
            ready=len(self._ready),
            parked=sum(one.parked_count for one in self._owned),
            paused=self._paused,
            partitions=tuple(places),
            counts=dict(self.counts),
        )


def _final(report: ExecutionReport) -> Status | None:
    """How the order ends with this report; a rejected cancellation ends nothing."""
    return None if report.exec_type is ExecType.CANCEL_REJECTED else _FINAL.get(report.ord_status)


def _name(taken: Taken) -> str:
    return f"{taken.event.order_id}-{taken.event.sequence}"
