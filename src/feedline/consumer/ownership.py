"""Which partitions a consumer owns, where they begin, and what may be committed of them: the polling thread's part."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from feedline.consumer.claim import Claim, Entry
from feedline.consumer.pipeline_policy import PipelinePolicy, Rebalance
from feedline.consumer.ranges import PartitionSpan
from feedline.consumer.schedule import Schedule
from feedline.errors import FeedlineError, RetriableError
from feedline.kafka.assignment import take_up
from feedline.kafka.errors import CAME_TOO_LATE, NOT_HEARD_OF, is_one_of, translate

logger = logging.getLogger(__name__)

Place = tuple[str, int]
Positions = Callable[[Sequence[Place]], Mapping[Place, int]]

# For the group's offsets and the first offsets of partitions, within a rebalance.
REQUEST_S = 10.0
PLACE_AGAIN_S = 1.0


class Ownership:
    """The claims of one consumer, and its rebalance callbacks. Used by the polling thread only, but for `snapshot`."""

    def __init__(
        self,
        policy: PipelinePolicy,
        schedule: Schedule,
        positions: Positions | None,
        settle: Callable[[float], None],
        give_up: Callable[[Sequence[Entry]], None],
    ) -> None:
        self._policy = policy
        self._schedule = schedule
        self._positions = positions
        # Takes in what workers have done, waiting up to so many seconds for more.
        self._settle = settle
        # Takes messages that were not begun out of the books.
        self._give_up = give_up
        self._incremental = policy.rebalance is not Rebalance.EAGER
        self._generations: dict[Place, int] = {}
        self._claims: dict[Place, Claim] = {}
        self._shared: tuple[Claim, ...] = ()
        # Assigned, but where they begin could not be found out yet.
        self._unplaced: list[Place] = []
        self._unplaced_since = 0.0
        self._place_at = 0.0
        self._commit_at = 0.0
        self._uncommitted_since: float | None = None
        self.rebalances = 0
        # Raised by a callback; librdkafka gives it no way to reach the caller.
        self.failure: BaseException | None = None

    def snapshot(self) -> tuple[Claim, ...]:
        """The claims, for another thread to read."""
        return self._shared

    def claim(self, place: Place) -> Claim | None:
        return self._claims.get(place)

    def __len__(self) -> int:
        return len(self._claims)

    @property
    def finished(self) -> bool:
        """Whether there are partitions, each has an end, and all before it is done."""
        return bool(self._claims) and all(
            claim.finished and not claim.tracker.in_flight for claim in self._claims.values()
        )

    def subscribe(self, consumer: Consumer, topics: Sequence[str]) -> None:
        consumer.subscribe(list(topics), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)

    def assign(self, consumer: Consumer, topic: str, spans: Sequence[PartitionSpan]) -> None:
        """Owns fixed spans, without a group."""
        for span in spans:
            place = (topic, span.partition)
            self._claims[place] = Claim(topic, span.partition, span.start, 1, span.end)
        self._share()
        consumer.assign([claim.topic_partition(claim.start) for claim in self._claims.values()])

    def place_waiting(self, consumer: Consumer) -> None:
        """Begins the partitions whose beginning could not be found out when they were assigned, or has changed."""
        displaced = [claim for claim in self._claims.values() if claim.displaced]
        if displaced:
            consumer.pause([claim.topic_partition() for claim in displaced])
            self._give_up(self._schedule.discard(displaced, closing=True))
            self._drop(displaced)
            self._leave_unplaced([claim.where for claim in displaced])
        if self._unplaced and time.monotonic() >= self._place_at:
            found = self._find_starts(consumer, self._unplaced)
            if found is None:
                return
            self._unplaced = []
            for claim in self._begin(found):
                consumer.seek(claim.topic_partition(claim.start))
                consumer.resume([claim.topic_partition()])

    def commit(self, consumer: Consumer) -> None:
        """Sends what is done and not committed, when its time has come."""
        now = time.monotonic()
        due = [
            claim
            for claim in self._claims.values()
            if claim.end is None and claim.tracker.next_offset > claim.committed
        ]
        if not due:
            self._uncommitted_since = None
            return
        if self._uncommitted_since is None:
            self._uncommitted_since = now
        if now < self._commit_at:
            return
        self._commit_at = now + self._policy.commit_s
        self._commit(consumer, due, wait=False)

    @property
    def commit_age_s(self) -> float:
        return 0.0 if self._uncommitted_since is None else time.monotonic() - self._uncommitted_since

    @property
    def unplaced_s(self) -> float:
        """For how long partitions have been owned of which it is not known where they begin; 0 without any."""
        return time.monotonic() - self._unplaced_since if self._unplaced else 0.0

    def committed(self, error: KafkaError | None, places: Sequence[TopicPartition]) -> None:
        """What became of a commit; librdkafka's `on_commit`, called in the polling thread."""
        for place in places:
            problem = error or place.error
            claim = self._claims.get((place.topic, place.partition))
            if problem is None and claim is not None:
                claim.committed = max(claim.committed, place.offset)
            elif problem is not None and problem.code() not in CAME_TOO_LATE:
                failure = translate(problem, topic=place.topic, partition=place.partition, offset=place.offset)
                if isinstance(failure, RetriableError):
                    logger.warning("a commit failed and will be sent again: %s", failure)
                elif self.failure is None:
                    self.failure = failure
        if error is None:
            self._uncommitted_since = None

    def _commit(self, consumer: Consumer, claims: Sequence[Claim], *, wait: bool) -> None:
        offsets = [claim.topic_partition(claim.tracker.next_offset) for claim in claims]
        try:
            if wait:
                self.committed(None, consumer.commit(offsets=offsets, asynchronous=False) or [])
            else:
                consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            self.committed(error.args[0], offsets)

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.rebalances += 1
        try:
            self._take(consumer, [(one.topic, one.partition) for one in partitions])
        except BaseException as error:  # noqa: BLE001 - kept for the polling thread, which raises it
            self.failure = self.failure or error

    def _take(self, consumer: Consumer, places: list[Place]) -> None:
        started = time.monotonic()
        found = self._find_starts(consumer, places) if places else {}
        claims = self._begin(found or {})
        unplaced = [place for place in places if found is None]
        # Assigned at the end and paused: nothing is read of them before it is known where they begin.
        asked = [claim.topic_partition(claim.start) for claim in claims]
        asked += [TopicPartition(topic, partition, OFFSET_END) for topic, partition in unplaced]
        take_up(consumer, asked, incremental=self._incremental)
        if unplaced:
            consumer.pause([TopicPartition(topic, partition) for topic, partition in unplaced])
            self._leave_unplaced(unplaced)
        logger.info("took %d partitions in %.1f s", len(places), time.monotonic() - started)

    def _leave_unplaced(self, places: Sequence[Place]) -> None:
        if not self._unplaced:
            self._unplaced_since = time.monotonic()
        self._unplaced += places

    def _begin(self, starts: Mapping[Place, tuple[int, int]]) -> list[Claim]:
        claims = []
        for place, (start, committed) in starts.items():
            generation = self._generations[place] = self._generations.get(place, 0) + 1
            claim = self._claims[place] = Claim(*place, start, generation)
            claim.committed = committed
            claims.append(claim)
        self._share()
        return claims

    def _find_starts(self, consumer: Consumer, places: Sequence[Place]) -> dict[Place, tuple[int, int]] | None:
        """Where each partition begins and the group's offset of it; None when nobody can be asked just now."""
        try:
            asked = [TopicPartition(topic, partition) for topic, partition in places]
            committed = {(c.topic, c.partition): c.offset for c in consumer.committed(asked, timeout=REQUEST_S)}
            known = dict(self._positions(places)) if self._positions is not None else {}
            starts = {}
            for place in places:
                start = known.get(place, committed[place])
                if start < 0:
                    start, _ = consumer.get_watermark_offsets(TopicPartition(*place), timeout=REQUEST_S)
                starts[place] = (start, committed[place])
        except (KafkaException, FeedlineError) as error:
            failure = translate(error) if isinstance(error, KafkaException) else error
            if not isinstance(failure, RetriableError) and not is_one_of(error, CAME_TOO_LATE | NOT_HEARD_OF):
                raise failure from error
            logger.warning("where %d partitions begin is not known yet: %s", len(places), failure)
            self._place_at = time.monotonic() + PLACE_AGAIN_S
            return None
        return starts

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.rebalances += 1
        try:
            claims = self._leaving(partitions)
            self._give_up(self._schedule.discard(claims, closing=True))
            deadline = time.monotonic() + self._policy.drain_s
            while any(claim.in_hand for claim in claims) and (left := deadline - time.monotonic()) > 0:
                self._settle(min(left, 0.1))
            self._settle(0)
            abandoned = sum(claim.in_hand for claim in claims)
            if abandoned:
                logger.warning("%d messages were still at work and are left to the partitions' next owner", abandoned)
            done = [claim for claim in claims if claim.tracker.next_offset > claim.committed]
            if done:
                self._commit(consumer, done, wait=True)
            self._drop(claims)
            if self._incremental:
                consumer.incremental_unassign(partitions)
            else:
                consumer.unassign()
        except BaseException as error:  # noqa: BLE001 - kept for the polling thread, which raises it
            self.failure = self.failure or error

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """The partitions have been somebody else's for a while: nothing of them is committed."""
        self.rebalances += 1
        logger.warning("%d partitions were lost: another consumer has them", len(partitions))
        claims = self._leaving(partitions)
        self._give_up(self._schedule.discard(claims, closing=True))
        self._drop(claims)
        try:
            if self._incremental:
                consumer.incremental_unassign(partitions)
            else:
                consumer.unassign()
        except KafkaException as error:
            self.failure = self.failure or translate(error)

    def _leaving(self, partitions: Sequence[TopicPartition]) -> list[Claim]:
        places = {(one.topic, one.partition) for one in partitions}
        self._unplaced = [place for place in self._unplaced if place not in places]
        return [self._claims[place] for place in places if place in self._claims]

    def _drop(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            claim.held = False
            del self._claims[claim.where]
        self._share()

    def _share(self) -> None:
        self._shared = tuple(self._claims.values())
