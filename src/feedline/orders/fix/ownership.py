"""Which partitions a gateway has, what it has committed of them, and the writing down of intents."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from feedline.consumer.tracker import OffsetTracker
from feedline.errors import BrokerUnavailableError, RetriableError
from feedline.kafka.assignment import find_beginnings, take_up
from feedline.kafka.errors import CAME_TOO_LATE, translate
from feedline.orders.fix.holding import Holding
from feedline.orders.fix.intent import Intent
from feedline.orders.fix.states import Held, read_states
from feedline.orders.topics import OrderTopics

logger = logging.getLogger(__name__)

REQUEST_S = 10.0
TRY_FOR_S = 60.0


class Ownership:
    """The holdings of one gateway; of its thread only. failure: raised by a callback, which librdkafka cannot pass on.

    drain: waits for what is in flight of partitions that go; dropped: told that they have gone; written: waits so many
    seconds until all that this gateway has written is acknowledged, and says whether it is; ending: whether the gateway
    has been told to end, after which it takes up nothing more.
    """

    def __init__(
        self,
        consumer: Consumer,
        kafka: Mapping[str, Any],
        topics: OrderTopics,
        *,
        drain: Callable[[set[int] | None], None],
        dropped: Callable[[set[int]], None],
        written: Callable[[float], bool],
        ending: Callable[[], bool],
    ) -> None:
        self._consumer, self._kafka, self._topics = consumer, kafka, topics
        self._drain, self._tell, self._written, self._ending = drain, dropped, written, ending
        self._holdings: dict[int, Holding] = {}
        self._paused: set[int] = set()
        self.failure: BaseException | None = None
        self.rebalances = 0

    def __iter__(self) -> Iterator[Holding]:
        return iter(self._holdings.values())

    def holding(self, partition: int | None) -> Holding | None:
        return None if partition is None else self._holdings.get(partition)

    @property
    def is_catching_up(self) -> bool:
        """Whether events that may have been sent before are not read again yet, as far as is known."""
        return not self.rebalances or any(one.tracker.position < one.inherited.end for one in self)

    def subscribe(self) -> None:
        self._consumer.subscribe(
            [self._topics.out], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )

    def done(self, holding: Holding, offset: int) -> None:
        """That event needs nothing more; of a partition that has gone meanwhile, its next owner sees to it."""
        if self._holdings.get(holding.partition) is holding:
            holding.tracker.complete(offset)

    def intend(self, spans: Mapping[int, tuple[int, int]], session: str, store: str) -> bool:
        """Writes down that all below the end of these spans, by partition, may be sent from now on; whether the group
        took it. It takes it from a member that has the partitions, and from no other.

        An intent that reaches far enough is written again when something below its end is sent only now: that member
        may have lost the partition since.
        """
        wanted = {}
        for partition, (first, end) in spans.items():
            now = self._holdings[partition].intent
            if end > now.end or first < now.end or not now.is_of(session, store):
                wanted[partition] = now.extended(end, session, store)
        return not wanted or self._commit([self._holdings[partition] for partition in wanted], wanted)

    def commit(self, *, everything: bool = False) -> None:
        """Moves the group's offsets to where all is done, when they are not there."""
        due = [one for one in self if everything or one.tracker.next_offset > one.committed]
        if due:
            self._commit(due)

    def pause(self, paused: bool) -> None:
        """All partitions are read, or none."""
        wanted = set(self._holdings) if paused else set()
        for change, partitions in (
            (self._consumer.pause, wanted - self._paused),
            (self._consumer.resume, self._paused - wanted),
        ):
            if partitions:
                change([TopicPartition(self._topics.out, partition) for partition in partitions])
        self._paused = wanted

    def _commit(self, holdings: list[Holding], intents: Mapping[int, Intent] | None = None) -> bool:
        """Whether the group took the offsets, with these intents where they are new."""
        new = intents or {}
        offsets = [
            TopicPartition(
                self._topics.out,
                one.partition,
                one.tracker.next_offset,
                metadata=new.get(one.partition, one.intent).metadata(),
            )
            for one in holdings
        ]
        deadline = time.monotonic() + TRY_FOR_S
        while True:
            problem = self._refused(offsets)
            if problem is None:
                for one, place in zip(holdings, offsets, strict=True):
                    one.committed = place.offset
                    one.intent = new.get(one.partition, one.intent)
                return True
            if problem.code() in CAME_TOO_LATE:
                return False
            failure = translate(problem, topic=self._topics.out)
            if not isinstance(failure, RetriableError) or time.monotonic() > deadline:
                raise failure
            logger.warning("an offset cannot be committed and is tried again: %s", failure)
            time.sleep(0.1)

    def _refused(self, offsets: list[TopicPartition]) -> KafkaError | None:
        """Commits and waits for the answer: why it was refused, None when it was not."""
        try:
            committed = self._consumer.commit(offsets=offsets, asynchronous=False) or ()
        except KafkaException as error:
            problem: KafkaError = error.args[0]
            return problem
        return next((place.error for place in committed if place.error is not None), None)

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.rebalances += 1
        try:
            numbers = [one.partition for one in partitions]
            taken = self._take(numbers) if numbers else []
            if taken is None:
                # Nothing of them is read, and nobody need know where they begin.
                consumer.incremental_assign(partitions)
                return
            for holding in taken:
                self._holdings[holding.partition] = holding
            places = [
                TopicPartition(self._topics.out, number, self._holdings[number].tracker.position) for number in numbers
            ]
            take_up(consumer, places)
            logger.info("took %d partitions", len(numbers))
        except BaseException as error:  # noqa: BLE001 - kept for the gateway's thread, which raises it
            self.failure = self.failure or error

    def _take(self, numbers: list[int]) -> list[Holding] | None:
        """As whoever had them before left them; None when the gateway is told to end meanwhile."""
        # A partition that comes back begins with the states that were written under its last claim, not with older ones
        # which those would follow.
        if not self._written(TRY_FOR_S):
            raise BrokerUnavailableError(
                f"what was written is not acknowledged after {TRY_FOR_S:g} s: start the gateway again when the broker "
                "answers",
                topic=self._topics.states,
            )
        return find_beginnings(
            lambda: self._held_before(numbers), len(numbers), within_s=TRY_FOR_S, ending=self._ending
        )

    def _held_before(self, numbers: list[int]) -> list[Holding]:
        asked = [TopicPartition(self._topics.out, number) for number in numbers]
        committed = self._consumer.committed(asked, timeout=REQUEST_S)
        states = read_states(self._kafka, self._topics.states, numbers)
        return [self._holding(place, states[place.partition]) for place in committed]

    def _holding(self, place: TopicPartition, states: dict[str, Held]) -> Holding:
        start, intent = place.offset, Intent.of(place.metadata)
        if start < 0:
            start, end = self._consumer.get_watermark_offsets(
                TopicPartition(self._topics.out, place.partition), timeout=REQUEST_S
            )
            if states:
                # A group of another name was here: what no state tells of any more, it may have sent.
                intent = Intent(end)
        return Holding(place.partition, OffsetTracker(start), intent, intent, states, place.offset)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.rebalances += 1
        try:
            leaving = {one.partition for one in partitions}
            self._drain(leaving)
            done = [self._holdings[one] for one in leaving if one in self._holdings]
            due = [one for one in done if one.tracker.next_offset > one.committed]
            if due:
                self._commit(due)
            self._drop(leaving)
            consumer.incremental_unassign(partitions)
        except BaseException as error:  # noqa: BLE001 - kept for the gateway's thread, which raises it
            self.failure = self.failure or error

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """They have been somebody else's for a while: nothing of them is committed."""
        self.rebalances += 1
        logger.warning("%d partitions were lost: another gateway has them", len(partitions))
        try:
            self._drop({one.partition for one in partitions})
            consumer.incremental_unassign(partitions)
        except BaseException as error:  # noqa: BLE001 - kept for the gateway's thread, which raises it
            self.failure = self.failure or error

    def _drop(self, partitions: set[int]) -> None:
        for partition in partitions:
            self._holdings.pop(partition, None)
        self._paused -= partitions
        self._tell(partitions)
