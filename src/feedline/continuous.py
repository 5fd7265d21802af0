"""Continuous loading: a pipelined consumer whose handler loads micro-batches into the warehouse as they come.

The same transaction as a planned load: rows, ledger and checkpoints together. Where a partition begins is the
checkpoint's to say, and the group's offsets are committed after it. A loader that lost its partition and does not know
yet is fenced by the checkpoint's epoch, which its transaction compares and swaps.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from confluent_kafka import Message
from snowflake.connector import SnowflakeConnection
from snowflake.connector.errors import Error

from feedline.batch.consumed import ConsumedBatch
from feedline.catalog import Feed
from feedline.consumer.claim import Claim, Work
from feedline.consumer.ownership import Place
from feedline.consumer.pipeline_policy import Batching, Ordering, PipelinePolicy, Rebalance
from feedline.consumer.pipelined import PipelinedConsumer
from feedline.consumer.range_reader import batch_of, group_of
from feedline.consumer.ranges import LoadRange, PartitionSpan
from feedline.errors import ConfigurationError, ControlMismatchError, LostRaceError, WarehouseUnavailableError
from feedline.kafka.admin import watermarks
from feedline.kafka.registry import registry_client, writer_schema
from feedline.producer.error_report import ErrorReporter
from feedline.settings import Settings
from feedline.strays import find_strays
from feedline.warehouse.connection import connect, open_warehouse
from feedline.warehouse.ledger import read_checkpoints
from feedline.warehouse.load import LoadPolicy, LoadResult, Step, load_batches

logger = logging.getLogger(__name__)

# Messages of other feeds alone move no checkpoint at once: a transaction each would be work for nothing.
MOVE_EMPTY_S = 60.0
# A service that was killed keeps its partitions for so long; librdkafka's 45 s would be most of a recovery. Heartbeats
# come from a thread that no load holds up, and a member that is thought dead in error does no harm: it is fenced.
SESSION = {"session.timeout.ms": 10_000}
# Shorter than a planned load's: the engine tries again by itself, and must notice that it shall end.
FENCE_BUDGET_S = 30.0
# How often a load that waits for its turn looks whether the others get on.
TURN_LOOK_S = 1.0


def loading_policy(
    *,
    loads: int = 2,
    max_messages: int = 2_000,
    max_bytes: int = 48 * 1024 * 1024,
    max_age_s: float = 5.0,
    rebalance: Rebalance = Rebalance.COOPERATIVE,
    drain_s: float = 30.0,
    stall_s: float = 120.0,
) -> PipelinePolicy:
    """loads: how many go on at once, each of other partitions; their transactions take turns in the warehouse, and one
    decodes, writes and uploads while another one's is open. A load closes by count, bytes or age; `max_bytes` is what
    all of them hold together."""
    each = max_bytes // max(loads, 1)
    return PipelinePolicy(
        workers=loads,
        ordering=Ordering.TOPIC,
        batching=Batching(max_messages=max_messages, max_bytes=each, max_age_s=max_age_s),
        rebalance=rebalance,
        queue_messages=(loads + 1) * max_messages,
        queue_bytes=(loads + 1) * each,
        drain_s=drain_s,
        stall_s=stall_s,
    )


class FeedLoader:
    """The handler and the positions of one feed's continuous load; use `continuous_load`. Any number of threads may
    call it at once, with work of other partitions each."""

    def __init__(self, settings: Settings, feed: Feed) -> None:
        self._settings = settings
        self._feed = feed
        self._topic = feed.topic.name
        self._registry = registry_client(settings.registry)
        self._reporter = ErrorReporter(settings.kafka, feed)
        self._strays = find_strays(settings, feed)
        # Loads at work have a connection each; those in nobody's hand are kept for the next.
        self._connections: set[SnowflakeConnection] = set()
        self._idle: list[SnowflakeConnection] = []
        self._turn = threading.Lock()
        # Steps that all loads have taken together.
        self._steps = 0
        self._lock = threading.Lock()
        # Where the next load of a claim begins: at its checkpoint, whatever of it was read or passed over since.
        self._loaded_to: dict[tuple[Place, int], int] = {}
        self._checkpoints: dict[Place, int] = {}
        # Partitions that had no checkpoint yet; any other without one had it deleted.
        self._fresh: set[Place] = set()
        self._moved_at = 0.0
        self.records = 0
        self.batches = 0
        self.error_batches = 0
        self.duplicate_batches = 0
        self.stray_messages = 0
        self.transactions = 0

    def positions(self, places: Sequence[Place]) -> Mapping[Place, int]:
        """Where the warehouse says that partitions begin; those never loaded begin with the topic.

        Raises ConfigurationError when a checkpoint lies beyond its partition's end.
        """
        with open_warehouse(self._settings.warehouse) as connection:
            checkpoints = read_checkpoints(connection, self._feed.name, self._topic)
        marks = watermarks(self._settings.kafka, self._topic, [partition for _, partition in places])
        starts: dict[Place, int] = {}
        self._fresh.update(place for place in places if place[1] not in checkpoints)
        for place in places:
            low, high = marks[place[1]]
            at = checkpoints.get(place[1], low)
            if at > high:
                raise ConfigurationError(
                    f"the warehouse has loaded the partition up to offset {at}, and it ends at {high}: the topic was "
                    "made anew; delete its rows of CONTROL.CONSUMER_CHECKPOINT, then start again",
                    feed=self._feed.name,
                    topic=self._topic,
                    partition=place[1],
                    offset=at,
                )
            if at < low:
                logger.error(
                    "feed %s, %s partition %d: offsets %d to %d left the topic before they were loaded; produce again "
                    "any delivery whose books do not balance",
                    *(self._feed.name, *place, at, low - 1),
                )
            self._checkpoints[place] = at
            starts[place] = max(at, low)
        return starts

    def __call__(self, work: Work) -> None:
        """Loads what of the work is the feed's, in one transaction with the checkpoints of its partitions.

        A micro-batch that comes back under its correlation id with other content goes to the error topic, once the
        engine has cut the work down to it. A message that is no feed's goes there before anything is loaded.
        """
        if strays := self._strays(work.messages):
            self._reporter.forward_strays(strays)
            with self._lock:
                self.stray_messages += len(strays)
        batches = [batch for entry in work.entries if (batch := self._batch(entry[0])) is not None]
        if not batches and time.monotonic() - self._moved_at < MOVE_EMPTY_S:
            return
        batches.sort(key=lambda batch: (batch.partition, batch.offset))
        with self._connected() as connection:
            try:
                self._load(connection, work, batches)
            except ControlMismatchError as error:
                # Without the batch's id the error is not the batch's, but condemns every load: COPY has miscounted.
                if len(work.entries) > 1 or error.where.correlation_id is None:
                    raise
                self._reporter.refuse(batches[0], error)
                logger.warning("a micro-batch went to the error topic: %s", error)
                with self._lock:
                    self.error_batches += 1
                self._load(connection, work, [])

    def _load(self, connection: SnowflakeConnection, work: Work, batches: Sequence[ConsumedBatch]) -> None:
        ends = {claim: offset + 1 for _, claim, offset, _ in work.entries}
        starts = {claim: self._start(claim) for claim in ends}
        self._require_not_set_back(connection, starts)
        spans = [
            PartitionSpan(claim.where[1], starts[claim], end, readable_from=min(claim.start, end))
            for claim, end in ends.items()
            if starts[claim] < end
        ]
        if not spans:
            return

        def require_held(step: Step) -> None:
            self._steps += 1
            work.progressed()
            # Returning would say that all of it is done, also that of the partitions which are left.
            if step in {Step.PREPARED, Step.COMMITTING} and not work.held:
                raise LostRaceError(
                    "partitions were taken away; nothing was changed, what is left of the work is loaded without them",
                    feed=self._feed.name,
                    topic=self._topic,
                )

        result = load_batches(
            connection,
            self._feed,
            LoadRange(self._feed.name, self._topic, tuple(spans)),
            batches,
            lambda schema_id: writer_schema(self._registry, schema_id),
            on_bad_batch=self._reporter.refuse,
            on_step=require_held,
            policy=LoadPolicy(fence_budget_s=FENCE_BUDGET_S),
            turn=_Turn(self._turn, lambda: self._steps, work),
        )
        self._count(result)
        self._moved_at = time.monotonic()
        self._loaded_to.update({(claim.where, claim.generation): end for claim, end in ends.items()})
        self._fresh.difference_update(claim.where for claim in ends)

    def _batch(self, message: Message) -> ConsumedBatch | None:
        return batch_of(message, self._feed.name, self._reporter.forward)

    def _start(self, claim: Claim) -> int:
        return self._loaded_to.get((claim.where, claim.generation), self._checkpoints[claim.where])

    def _require_not_set_back(self, connection: SnowflakeConnection, starts: Mapping[Claim, int]) -> None:
        """Somebody may set a checkpoint back, or delete it, to have messages loaded again: then begins there."""
        found = read_checkpoints(connection, self._feed.name, self._topic)
        back = [
            claim
            for claim, start in starts.items()
            if found.get(claim.where[1], start if claim.where in self._fresh else -1) < start
        ]
        for claim in back:
            claim.displaced = True
        if back:
            _, partition = back[0].where
            raise LostRaceError(
                f"{len(back)} checkpoints were set back, nothing was changed; their partitions begin there again",
                feed=self._feed.name,
                topic=self._topic,
                partition=partition,
                offset=found.get(partition),
            )

    def close(self) -> None:
        with self._lock:
            left, self._connections = self._connections, set()
        for connection in left:
            with suppress(Error):
                connection.close()
        self._reporter.close()

    @contextmanager
    def _connected(self) -> Iterator[SnowflakeConnection]:
        """A connection of one load alone. After an error of the warehouse the next load gets a new one: the session may
        be what is broken."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = connect(self._settings.warehouse)
            with self._lock:
                self._connections.add(connection)
        try:
            yield connection
        except WarehouseUnavailableError:
            with self._lock:
                self._connections.discard(connection)
            with suppress(Error):
                connection.close()
            raise
        except BaseException:
            with self._lock:
                self._idle.append(connection)
            raise
        with self._lock:
            self._idle.append(connection)

    def _count(self, result: LoadResult) -> None:
        with self._lock:
            self.records += result.records
            self.batches += result.batches
            self.error_batches += result.error_batches
            self.duplicate_batches += result.duplicate_batches
            self.transactions += result.transactions


class _Turn:
    """The turn of a load's transactions. Whoever waits for it gets on as the load does that has it. steps: how many
    all loads have taken."""

    def __init__(self, lock: threading.Lock, steps: Callable[[], int], work: Work) -> None:
        self._lock, self._steps, self._work = lock, steps, work

    def __enter__(self) -> None:
        seen = self._steps()
        while not self._lock.acquire(timeout=TURN_LOOK_S):
            now = self._steps()
            if now != seen:
                seen = now
                self._work.progressed()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


@contextmanager
def continuous_load(
    settings: Settings, feed: Feed, policy: PipelinePolicy | None = None
) -> Iterator[tuple[PipelinedConsumer, FeedLoader]]:
    """A feed's consumer, started; at the end it is stopped, drained and waited for.

    Raises what stopped it, at the end: everything but retriable errors and bad batches does.
    """
    settings = settings.acting_as("loader")
    loader = FeedLoader(settings, feed)
    consumer = PipelinedConsumer(
        {**SESSION, **settings.kafka},
        loader,
        group_id=group_of(feed.name),
        topics=[feed.topic.name],
        policy=policy or loading_policy(),
        positions=loader.positions,
    )
    try:
        with consumer:
            yield consumer, loader
    finally:
        loader.close()
