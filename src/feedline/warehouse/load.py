"""Loads a range of a feed's topic into its tables, once, whatever fails on the way.

Chunk by chunk: decode, Parquet, PUT; then one transaction that takes the feed's turn, sees that neither the checkpoints
nor the ledger say otherwise than expected, COPYs, writes the ledger and moves the checkpoints. The next chunk is
decoded while the warehouse works on this one. The warehouse is the authority: a load that is killed or fails has
changed nothing or a whole chunk, and the same call again goes on from the checkpoints.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from snowflake.connector import SnowflakeConnection

from feedline.batch.consumed import ConsumedBatch
from feedline.catalog import Feed
from feedline.consumer.ranges import LoadRange
from feedline.errors import (
    ConfigurationError,
    CorruptBatchError,
    RetriableError,
)
from feedline.warehouse import ledger
from feedline.warehouse.chunk import Prepared, chunks, prepare
from feedline.warehouse.connection import Session
from feedline.warehouse.decode import Decoder, WriterSchema
from feedline.warehouse.ledger import Checkpoint, Move
from feedline.warehouse.names import DATABASE
from feedline.warehouse.staging import copy_files, put_files
from feedline.warehouse.tables import TableColumns, require_columns, table_columns


class Step(StrEnum):
    """Where a load is, as told to `on_step`, once a chunk."""

    PREPARED = "before PUT"
    STAGED = "after PUT"
    COPIED = "after COPY"
    COMMITTING = "before COMMIT"
    COMMITTED = "after COMMIT"


@dataclass(frozen=True, slots=True)
class LoadPolicy:
    """Bounds of one chunk: bytes of message values before decoding, and messages; two chunks are in memory at once.

    fence_budget_s: how long to wait for other loads of the same feed.
    """

    chunk_bytes: int = 48 * 1024 * 1024
    chunk_batches: int = 4_000
    fence_budget_s: float = ledger.FENCE_BUDGET_S

    def __post_init__(self) -> None:
        if self.chunk_bytes < 1 or self.chunk_batches < 1 or self.fence_budget_s < 0:
            raise ConfigurationError("a load policy's chunk_bytes and chunk_batches must be at least 1")


@dataclass(slots=True)
class LoadResult:
    """What one caller has loaded, and nobody else. `batches` and `records` are those now in the tables because of it;
    `raw_bytes` the bytes of all message values taken."""

    feed: str
    topic: str
    batches: int = 0
    records: int = 0
    duplicate_batches: int = 0
    error_batches: int = 0
    error_records: int = 0
    raw_bytes: int = 0
    transactions: int = 0
    checkpoints: dict[int, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON that is small enough for XCom."""
        return {name: getattr(self, name) for name in self.__slots__}


_NO_TURN = nullcontext()

OnStep = Callable[[Step], None]
OnBadBatch = Callable[[ConsumedBatch, CorruptBatchError], None]


def remaining(connection: SnowflakeConnection, feed: Feed, load_range: LoadRange) -> LoadRange:
    """The part of a range that is not loaded yet, with no spans when all of it is: what is worth reading.

    Raises LostRaceError when a checkpoint is before the range: what lies between is not this range's to skip.
    """
    session = Session(connection, feed=feed.name, topic=load_range.topic)
    return ledger.remaining(load_range, ledger.checkpoints(session, feed.name, load_range.topic))


def load_batches(
    connection: SnowflakeConnection,
    feed: Feed,
    load_range: LoadRange,
    batches: Iterable[ConsumedBatch],
    writer_schema: WriterSchema,
    *,
    on_bad_batch: OnBadBatch,
    on_step: OnStep = lambda _: None,
    policy: LoadPolicy = LoadPolicy(),
    result: LoadResult | None = None,
    turn: AbstractContextManager[object] = _NO_TURN,
) -> LoadResult:
    """Loads every batch of the feed in the range that is not loaded yet, and moves the checkpoints to the range's end.

    `batches` yields the feed's batches in the range, each partition's in offset order; those below the checkpoint are
    passed over. `on_bad_batch` gets each batch that cannot be decoded and returns once it is durably reported; it may
    get the same one again when a load is repeated. result: counts on in this one, chunk by chunk as they are committed,
    so that a caller who tries again after an error knows what was loaded before it. turn: held during each transaction,
    for loads of one feed in one process, which then need not try the feed's fence again and again.

    Raises LostRaceError when another load got there first, WarehouseUnavailableError, RegistryUnavailableError, and
    RetriableError when the local disk is full (all four: try again), ControlMismatchError when a
    correlation id comes back with other content or COPY miscounts, ConfigurationError when the tables lack a column
    that the records fill. What was committed before stays.
    """
    session = Session(connection, feed=feed.name, topic=load_range.topic)
    # The stand-in keeps COPY's metadata in the current database; to an account it makes no difference.
    session.execute(f"USE DATABASE {DATABASE}", doing=f"cannot use the database {DATABASE}")
    positions = ledger.checkpoints(session, feed.name, load_range.topic)
    todo = ledger.remaining(load_range, positions)
    result = result or LoadResult(feed.name, load_range.topic)
    if not todo.spans:
        result.checkpoints = {p: c.next_offset for p, c in positions.items()}
        return result
    with tempfile.TemporaryDirectory(prefix="feedline-load-") as root:
        load = _Load(
            session=session,
            feed=feed,
            todo=todo,
            positions=positions,
            columns=table_columns(session, feed),
            result=result,
            decoder=Decoder(feed, writer_schema),
            root=Path(root),
            on_bad_batch=on_bad_batch,
            on_step=on_step,
            policy=policy,
            turn=turn,
        )
        load.run(batches)
    result.checkpoints = {p: c.next_offset for p, c in load.positions.items()}
    return result


@dataclass(slots=True, kw_only=True)
class _Load:
    """One call of `load_batches`; only `prepare` runs beside the others, in the decoding thread."""

    session: Session
    feed: Feed
    todo: LoadRange
    positions: dict[int, Checkpoint]
    columns: TableColumns
    result: LoadResult
    decoder: Decoder
    root: Path
    on_bad_batch: OnBadBatch
    on_step: OnStep
    policy: LoadPolicy
    turn: AbstractContextManager[object]
    load_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    known: dict[str, int] = field(default_factory=dict)
    deliveries: set[str] = field(default_factory=set)

    def run(self, batches: Iterable[ConsumedBatch]) -> None:
        with ThreadPoolExecutor(1, thread_name_prefix="feedline-decode") as pool:
            waiting: Future[Prepared] | None = None
            for chunk in chunks(self._within(batches), self.policy.chunk_bytes, self.policy.chunk_batches):
                self._know_deliveries(chunk)
                coming = pool.submit(self._prepare, chunk, dict(self.known))
                if waiting is not None:
                    self._load_chunk(waiting.result(), last=False)
                waiting = coming
            self._load_chunk(waiting.result() if waiting is not None else None, last=True)

    def _within(self, batches: Iterable[ConsumedBatch]) -> Iterator[ConsumedBatch]:
        spans = {span.partition: span for span in self.todo.spans}
        for batch in batches:
            span = spans.get(batch.partition)
            if span is not None and span.start <= batch.offset < span.end:
                yield batch

    def _know_deliveries(self, chunk: Sequence[ConsumedBatch]) -> None:
        """Reads the ledger for deliveries met for the first time."""
        new = {batch.headers.delivery_id for batch in chunk} - self.deliveries
        self.known.update(ledger.loaded_batches(self.session, self.feed.name, new))
        self.deliveries |= new

    def _prepare(self, chunk: Sequence[ConsumedBatch], known: Mapping[str, int]) -> Prepared:
        try:
            return prepare(
                chunk, known, self.decoder, root=self.root, load_id=self.load_id, loaded_at=datetime.now(UTC)
            )
        except OSError as error:
            raise RetriableError(
                f"the chunk's files cannot be written: {error}; nothing was changed, make room and try again",
                feed=self.feed.name,
                topic=self.todo.topic,
                file=str(self.root),
            ) from error

    def _load_chunk(self, chunk: Prepared | None, *, last: bool) -> None:
        """Loads one chunk in one transaction; the last one's moves the checkpoints to the end of the range."""
        moves = self._moves(chunk.batches if chunk else (), last=last)
        if chunk is None:
            self._transaction(None, "", moves)
        else:
            while not self._try(chunk, moves):
                # By the time it was our turn the ledger told otherwise of some of these batches: prepare again.
                chunk = self._prepare(chunk.batches, self.known)
            self._count(chunk)
        self.positions.update({move.partition: move.after for move in moves})

    def _moves(self, batches: Sequence[ConsumedBatch], *, last: bool) -> list[Move]:
        ends = {batch.partition: batch.offset + 1 for batch in batches}
        if last:
            ends |= {span.partition: span.end for span in self.todo.spans}
        moves = [Move(p, self.positions.get(p), end) for p, end in sorted(ends.items())]
        return [move for move in moves if move.before is None or move.before.next_offset != move.next_offset]

    def _try(self, chunk: Prepared, moves: Sequence[Move]) -> bool:
        for layout in chunk.layouts:
            require_columns(self.columns, layout)
        for bad in chunk.bad:
            self.on_bad_batch(bad.batch, bad.error)
        stage_path = f"{self.feed.name}/{self.load_id}/{uuid.uuid4().hex[:8]}"
        self.on_step(Step.PREPARED)
        put_files(self.session, chunk.folder, stage_path)
        shutil.rmtree(chunk.folder)
        self.on_step(Step.STAGED)
        return self._transaction(chunk, stage_path, moves)

    def _transaction(self, chunk: Prepared | None, stage_path: str, moves: Sequence[Move]) -> bool:
        """Whether it committed; False, with nothing changed, when some of the batches turned out to be loaded, or what
        others are copies of to be there no more."""
        with self.turn:
            return self._transaction_in_turn(chunk, stage_path, moves)

    def _transaction_in_turn(self, chunk: Prepared | None, stage_path: str, moves: Sequence[Move]) -> bool:
        ledger.begin_in_turn(self.session, self.feed, budget_s=self.policy.fence_budget_s)
        try:
            found = ledger.checkpoints(self.session, self.feed.name, self.todo.topic)
            ledger.require_unmoved(found, moves, self.feed.name, self.todo.topic)
            if chunk is not None:
                alone = {batch.headers.correlation_id for batch in chunk.batches if batch.headers.record_count == 1}
                now_loaded = ledger.loaded_batches(self.session, self.feed.name, chunk.deliveries)
                now_loaded |= ledger.loaded_alone(self.session, self.feed.name, alone - now_loaded.keys())
                fresh = {batch.headers.correlation_id for batch in chunk.loaded}
                copies = {batch.headers.correlation_id for batch in chunk.duplicates}
                # Taken out of the tables since they were taken for copies of what is there.
                gone = copies - fresh - now_loaded.keys()
                self.known.update(now_loaded)
                for key in gone:
                    self.known.pop(key, None)
                if gone or fresh & now_loaded.keys():
                    self.session.rollback()
                    return False
                copy_files(self.session, stage_path, chunk.files)
                self.on_step(Step.COPIED)
            ledger.move_checkpoints(self.session, self.feed.name, self.todo.topic, moves, datetime.now(UTC))
            self.on_step(Step.COMMITTING)
        except BaseException:
            # Also when a signal ends the task here: an open transaction would keep the feed's turn.
            self.session.rollback()
            raise
        ledger.commit(self.session, self.feed.name, self.todo.topic, moves)
        self.on_step(Step.COMMITTED)
        return True

    def _count(self, chunk: Prepared) -> None:
        result = self.result
        result.transactions += 1
        result.batches += len(chunk.loaded)
        result.records += sum(batch.headers.record_count for batch in chunk.loaded)
        result.duplicate_batches += len(chunk.duplicates)
        result.error_batches += len(chunk.bad)
        result.error_records += sum(bad.batch.headers.record_count for bad in chunk.bad)
        result.raw_bytes += sum(len(batch.value) for batch in chunk.batches)
        self.known.update({batch.headers.correlation_id: batch.headers.record_count for batch in chunk.loaded})
