"""PipelinedConsumer: reads in one thread, works in many, and commits only what is done.

The polling thread owns the Kafka client, the offset trackers and every commit; workers only call the handler and say
what became of it. So no commit can outlive a revocation: both happen in the same thread, one after the other.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Message

from feedline.consumer.beginning import begins_astray
from feedline.consumer.claim import Claim, Entry
from feedline.consumer.handling import Handler, Handling, OnPoison
from feedline.consumer.ownership import REQUEST_S, Ownership, Positions
from feedline.consumer.pipeline_policy import PipelinePolicy
from feedline.consumer.pipeline_status import PartitionStatus, PipelineStatus
from feedline.consumer.pool import WorkerPool
from feedline.consumer.progress import Progress
from feedline.consumer.ranges import PartitionSpan
from feedline.consumer.readable_ends import ReadableEnds
from feedline.consumer.schedule import Schedule
from feedline.errors import ConfigurationError, OffsetsExpiredError, RetriableError
from feedline.kafka.config import consumer_config
from feedline.kafka.errors import translate
from feedline.kafka.renewal import open_client

logger = logging.getLogger(__name__)

# A poll waits this long for the first message: also the latest time at which something done is looked at.
POLL_S = 0.05
MESSAGES_A_CALL = 1_000
STATUS_S = 0.25
# With the queue full the client is only served its callbacks, and holds its partitions after this long.
HOLD_AFTER_S = 2.0
ENDS_S = 5.0
# Workers with nothing in hand end at once; this is for a machine that is slow.
JOIN_S = 1.0


class PipelinedConsumer:
    """Calls `handler` with messages of the topics, in `policy.workers` threads, and commits what is done.

    handler: gets a `Work`; returning means done. Raising a RetriableError means again later, while other partitions go
    on; an error of `policy.poison` sends the message to `on_poison` (durably, before it returns) and passes it; any
    other error stops the consumer and is raised by `wait`. It must be idempotent: what was done and not committed is
    handed out again after a crash or a rebalance.
    positions: where a store other than the group's offsets says that partitions begin; asked at every assignment,
    with the partitions, for the next offset of each; one it leaves out begins at the group's offset or at the start.
    spans: reads these of its one topic and ends by itself when all of it is done. It then joins no group and commits
    nothing: where a span begins and that it is done is the caller's to know.

    Nothing is read before `start`. Use `with`, or `stop` and `wait`.
    """

    def __init__(
        self,
        kafka: Mapping[str, Any],
        handler: Handler,
        *,
        group_id: str,
        topics: Sequence[str],
        policy: PipelinePolicy | None = None,
        positions: Positions | None = None,
        on_poison: OnPoison | None = None,
        spans: Sequence[PartitionSpan] | None = None,
    ) -> None:
        if not topics:
            raise ConfigurationError("a consumer needs at least one topic")
        if spans is not None and (not spans or len(topics) != 1):
            raise ConfigurationError("spans are those of one topic, and at least one")
        self._kafka = kafka
        self._group_id = group_id
        self._topics = list(topics)
        self._spans = spans
        self._policy = policy = policy or PipelinePolicy()
        self._schedule = Schedule(policy.ordering, policy.batching)
        self._handling = Handling(handler, on_poison, self._schedule, policy)
        self._pool = WorkerPool(self._handling.work, self._schedule.set_workers, name="feedline-worker")
        self._ownership = Ownership(policy, self._schedule, positions, self._settle, self._give_up)
        self._ends = ReadableEnds(kafka, lambda: [claim.where for claim in self._ownership.snapshot()], ENDS_S)
        self._thread = threading.Thread(target=self._run, name="feedline-poll", daemon=True)
        self._stopping = threading.Event()
        self._drain_s = policy.drain_s
        self._failure: BaseException | None = None
        self._in_flight = 0
        self._in_flight_bytes = 0
        self._handled = 0
        self._full_since: float | None = None
        self._progress = Progress()
        self._status = PipelineStatus()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.wait()

    def start(self) -> None:
        self._pool.resize(self._policy.workers)
        self._thread.start()
        if self._spans is None:
            self._ends.start()

    def resize(self, workers: int) -> None:
        """Changes the number of workers while it runs; those too many end after what they have in hand."""
        if workers < 1:
            raise ConfigurationError(f"{workers} workers: use at least 1")
        self._pool.resize(workers)

    def stop(self, drain_s: float | None = None) -> None:
        """Asks it to end: what was taken is worked on for `drain_s` (the policy's), the rest is left to others."""
        if drain_s is not None:
            self._drain_s = drain_s
        self._stopping.set()
        self._handling.told.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it has ended; raises what stopped it."""
        self._thread.join(seconds)
        if self._thread.is_alive():
            return False
        if self._failure is not None:
            raise self._failure
        return True

    def status(self) -> PipelineStatus:
        """As of at most a quarter of a second ago, if the polling thread lives."""
        return self._status

    def _run(self) -> None:
        consumer: Consumer | None = None
        try:
            consumer = self._open()
            while not self._stopping.is_set() and not self._failed() and not self._ownership.finished:
                self._turn(consumer)
            self._drain()
        except KafkaException as error:
            self._fail(translate(error))
        except BaseException as error:  # noqa: BLE001 - raised again by `wait`
            self._fail(error)
        finally:
            self._close(consumer)

    def _turn(self, consumer: Consumer) -> None:
        self._settle(0)
        self._ownership.place_waiting(consumer)
        self._ownership.commit(consumer)
        self._set_aside(consumer)
        self._publish()
        if self._room() <= 0:
            self._wait_for_room(consumer)
        else:
            self._full_since = None
            self._read(consumer)

    def _open(self) -> Consumer:
        # An end that no message lies at, as a transaction's marker, is known by the end-of-partition event.
        settings: dict[str, Any] = {"enable.partition.eof": True, "auto.offset.reset": "error"}
        known = consumer_config(self._kafka, group_id=self._group_id)
        if self._spans is not None:
            consumer = open_client(Consumer, known | settings)
            self._ownership.assign(consumer, self._topics[0], self._spans)
            return consumer
        settings |= {"on_commit": self._ownership.committed, **self._policy.rebalance.settings()}
        ruled = self._policy.rebalance.ruled_by_broker
        left = {name: value for name, value in known.items() if name not in ruled}
        consumer = open_client(Consumer, left | settings)
        self._ownership.subscribe(consumer, self._topics)
        return consumer

    def _close(self, consumer: Consumer | None) -> None:
        self._ends.stop()
        if consumer is not None:
            try:
                # Revokes what is owned, which waits for handlers at work and commits what is done.
                consumer.close()
            except KafkaException as error:
                self._fail(translate(error))
        self._schedule.close()
        if not self._in_flight:
            self._pool.join(JOIN_S)
        self._failed()
        self._publish(last=True)

    def _failed(self) -> bool:
        for failure in (self._handling.failure, self._ownership.failure):
            if failure is not None:
                self._fail(failure)
        return self._failure is not None

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
            logger.error("the consumer of group %s stops: %s", self._group_id, error)
        self._handling.told.set()

    def _read(self, consumer: Consumer) -> None:
        first = consumer.poll(POLL_S)
        if first is None:
            return
        # Taken in before the next call, in which partitions may change hands: what was read of a partition, or its end,
        # must not be held for that of its next claim.
        self._intake(consumer, [first])
        if self._room() > 0:
            self._intake(consumer, consumer.consume(min(self._room(), MESSAGES_A_CALL), timeout=0))

    def _intake(self, consumer: Consumer, messages: Sequence[Message]) -> None:
        taken: list[Entry] = []
        ended: list[Claim] = []
        # Read from somewhere else than their start: nothing more of this call counts for them.
        astray: set[Claim] = set()
        for message in messages:
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            claim = self._ownership.claim((topic, partition))  # type: ignore[arg-type]
            error = message.error()
            is_read = error is None or error.code() == KafkaError._PARTITION_EOF
            if (
                claim is not None
                and not claim.begun
                and is_read
                and offset is not None
                and (claim in astray or begins_astray(consumer, claim, offset))
            ):
                astray.add(claim)
            elif error is not None:
                self._event(consumer, error, claim, offset)
            # Of a partition set aside the reading is set back when it goes on.
            elif claim is None or claim.aside or offset is None or claim.finished:
                continue
            elif claim.end is not None and offset >= claim.end:
                claim.tracker.reach(claim.end)
            else:
                claim.at_end = False
                if claim.tracker.begin(offset):
                    size = len(message)
                    self._in_flight += 1
                    self._in_flight_bytes += size
                    taken.append((message, claim, offset, size))
            if claim is not None and claim.finished:
                ended.append(claim)
        if ended:
            # What lies behind the end is not fetched for nothing.
            consumer.pause([claim.topic_partition() for claim in ended])
        if taken:
            self._schedule.put(taken)

    def _event(self, consumer: Consumer, error: KafkaError, claim: Claim | None, offset: int | None) -> None:
        if error.code() == KafkaError._PARTITION_EOF:
            if claim is not None and offset is not None and not claim.aside:
                claim.tracker.reach(offset)
                claim.at_end = True
            return
        if error.code() == KafkaError._MAX_POLL_EXCEEDED:
            logger.error("the polling thread was held up for longer than max.poll.interval.ms: %s", error.str())
            return
        place: dict[str, Any] = {"topic": claim.where[0], "partition": claim.where[1]} if claim is not None else {}
        failure = translate(error, **place)
        if isinstance(failure, OffsetsExpiredError) and claim is not None:
            at = claim.tracker.position
            low, high = consumer.get_watermark_offsets(claim.topic_partition(), timeout=REQUEST_S)
            raise OffsetsExpiredError(
                f"offsets from {at} on are not on the topic, which holds {low} to {high - 1}: plan the load again, and "
                "produce what was never loaded again from the file archive",
                **place,
                offset=at,
            )
        if not isinstance(failure, RetriableError):
            raise failure
        # librdkafka tries again by itself; what does not come shows as lag.
        logger.warning("the consumer goes on after: %s", failure)

    def _room(self) -> int:
        if self._in_flight_bytes >= self._policy.queue_bytes:
            return 0
        return self._policy.queue_messages - self._in_flight

    def _wait_for_room(self, consumer: Consumer) -> None:
        """The queue is full. Nothing is paused at first: a paused partition gives up what it has read ahead."""
        now = time.monotonic()
        self._full_since = self._full_since or now
        if now - self._full_since < HOLD_AFTER_S or self._spans is not None:
            # Spans are nobody else's: there is no group that would miss this member.
            self._settle(POLL_S)
            return
        held = [claim for claim in self._ownership.snapshot() if not claim.aside]
        consumer.pause([claim.topic_partition() for claim in held])
        try:
            while self._room() <= 0 and not self._stopping.is_set() and not self._failed():
                # What comes in spite of the pause was on its way: it is in order and must not be dropped.
                message = consumer.poll(0)
                self._intake(consumer, [message] if message is not None else [])
                self._settle(POLL_S)
                self._ownership.place_waiting(consumer)
                self._set_aside(consumer)
                self._ownership.commit(consumer)
                self._publish()
        finally:
            still = [claim for claim in held if claim.held and not claim.aside]
            consumer.resume([claim.topic_partition() for claim in still])
            self._full_since = None

    def _settle(self, seconds: float) -> None:
        """Takes in what workers have done; with nothing there yet, waits for so long."""
        outcomes, told = self._handling.outcomes, self._handling.told
        if seconds and not outcomes:
            told.clear()
            if not outcomes:
                told.wait(seconds)
        now = time.monotonic()
        while outcomes:
            entries, done = outcomes.popleft()
            if not done:
                self._give_up(entries)
                continue
            self._handled += len(entries)
            self._in_flight -= len(entries)
            for _, claim, offset, size in entries:
                self._in_flight_bytes -= size
                if claim.held:
                    claim.tracker.complete(offset)
                    self._progress.done(claim, now)

    def _give_up(self, entries: Sequence[Entry]) -> None:
        self._in_flight -= len(entries)
        self._in_flight_bytes -= sum(entry[3] for entry in entries)

    def _set_aside(self, consumer: Consumer) -> None:
        """Stops reading partitions whose messages failed, and goes on where it stopped once they have succeeded."""
        troubled = self._handling.troubled
        while troubled:
            claim = troubled.popleft()
            if claim.held and not claim.aside:
                claim.aside = True
                consumer.pause([claim.topic_partition()])
                given_up = self._schedule.discard([claim], closing=False)
                claim.tracker.set_back([entry[2] for entry in given_up])
                self._give_up(given_up)
        for claim in self._ownership.snapshot():
            if claim.aside and not claim.failing:
                claim.aside = False
                consumer.seek(claim.topic_partition(claim.tracker.position))
                consumer.resume([claim.topic_partition()])

    def _drain(self) -> None:
        """Waits until all that was taken is done, for as long as it may; what is left then is given up on closing."""
        self._schedule.flush()
        deadline = time.monotonic() + self._drain_s
        while self._in_flight and not self._failed() and (left := deadline - time.monotonic()) > 0:
            self._settle(min(left, POLL_S))
        self._settle(0)

    def _publish(self, *, last: bool = False) -> None:
        now = time.monotonic()
        if self._status.workers and not last and now - self._status.taken_at < STATUS_S:
            return
        claims = self._ownership.snapshot()
        self._progress.look(claims)
        self._status = PipelineStatus(
            partitions=tuple(self._look(claim, now) for claim in claims),
            workers=self._pool.size,
            in_flight=self._in_flight,
            in_flight_bytes=self._in_flight_bytes,
            handled=self._handled,
            failed=self._handling.failed,
            poisoned=self._handling.poisoned,
            rebalances=self._ownership.rebalances,
            commit_age_s=self._ownership.commit_age_s,
            unplaced_s=self._ownership.unplaced_s,
            ends_age_s=self._ends.age_s,
        )

    def _look(self, claim: Claim, now: float) -> PartitionStatus:
        next_offset = claim.tracker.next_offset
        if next_offset != claim.seen_next:
            claim.seen_next, claim.moved_at = next_offset, now
        end = self._ends.ends.get(claim.where) if claim.end is None else claim.end
        behind = end is not None and end > next_offset
        if not behind:
            claim.moved_at = now
        since = self._progress.since(claim, queue_is_full=self._full_since is not None)
        return PartitionStatus(
            topic=claim.where[0],
            partition=claim.where[1],
            next_offset=next_offset,
            committed=claim.committed,
            end=end,
            in_flight=claim.tracker.in_flight,
            backing_off=claim.failing > 0,
            stalled_s=now - since if behind else 0.0,
        )
