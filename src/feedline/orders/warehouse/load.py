"""Loads a range of a topic of orders into its table, once, whatever fails on the way.

Chunk by chunk, one transaction each: take the table's turn, see that the checkpoints are where they were, judge the
messages by what is loaded, COPY rows and ledger, move the checkpoints. The warehouse is the authority: a load that is
killed has changed nothing or a whole chunk, and the same call again goes on from the checkpoints.
"""

from __future__ import annotations

import logging
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from confluent_kafka import Message
from snowflake.connector import SnowflakeConnection

from feedline.consumer.messages import place_of
from feedline.consumer.ranges import LoadRange
from feedline.errors import ConfigurationError, RetriableError
from feedline.orders.warehouse.decode import BadMessage, Row, WriterSchema, decode
from feedline.orders.warehouse.judging import JUDGES, Judged, Verdict
from feedline.orders.warehouse.parked import Reread, parked_places, still_parked, take_out, taken_up
from feedline.orders.warehouse.rows import write_rows
from feedline.orders.warehouse.tables import EVENTS, SCHEMA, OrderTable
from feedline.warehouse import ledger
from feedline.warehouse.connection import Session
from feedline.warehouse.ledger import Checkpoint, Move
from feedline.warehouse.load import Step
from feedline.warehouse.names import DATABASE
from feedline.warehouse.staging import copy_files, put_files
from feedline.warehouse.tables import columns_of, require_columns

logger = logging.getLogger(__name__)

# Gets a message that becomes no row, is no repeat and waits for none, with its verdict and reason; returns once it is
# durably reported. It may get the same one again when a load is repeated.
OnRefused = Callable[[Message, Verdict, str], None]
OnStep = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class OrderLoadPolicy:
    """chunk_messages: of one transaction; fence_budget_s: how long to wait for other loads of the same table."""

    chunk_messages: int = 4_000
    fence_budget_s: float = ledger.FENCE_BUDGET_S

    def __post_init__(self) -> None:
        if self.chunk_messages < 1 or self.fence_budget_s < 0:
            raise ConfigurationError("a load policy's chunk_messages must be at least 1")


@dataclass(slots=True)
class OrderLoadResult:
    """What one caller has loaded, and nobody else. loaded: rows now in the table because of it; refused: messages with
    a reason in ORDER_NOT_LOADED, repeats apart."""

    table: str
    topic: str
    loaded: int = 0
    repeats: int = 0
    refused: int = 0
    transactions: int = 0
    checkpoints: dict[int, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON that is small enough for XCom."""
        return {name: getattr(self, name) for name in self.__slots__}


def load_orders(
    connection: SnowflakeConnection,
    table: OrderTable,
    load_range: LoadRange,
    messages: Iterable[Sequence[Message]],
    writer_schema: WriterSchema,
    *,
    on_refused: OnRefused,
    reread: Reread = lambda _: (),
    on_step: OnStep = lambda _: None,
    policy: OrderLoadPolicy = OrderLoadPolicy(),
    result: OrderLoadResult | None = None,
) -> OrderLoadResult:
    """Loads every message of the range that is not dealt with yet, and moves the checkpoints to the range's end.

    `messages` yields those of the range, each partition's in offset order; those below a checkpoint are passed over.
    `reread` gives messages of before by their places: those that were parked and whose order goes on now.
    Raises LostRaceError when another load got there first, WarehouseUnavailableError, RegistryUnavailableError, and
    RetriableError when the local disk is full (all four: try again), ControlMismatchError when COPY miscounts,
    ConfigurationError when the table lacks a column. What was committed before stays.
    """
    session = Session(connection, topic=load_range.topic)
    # The stand-in keeps COPY's metadata in the current database; to an account it makes no difference.
    session.execute(f"USE DATABASE {DATABASE}", doing=f"cannot use the database {DATABASE}")
    positions = ledger.checkpoints(session, table.name, load_range.topic)
    todo = ledger.remaining(load_range, positions)
    result = result or OrderLoadResult(table.table, load_range.topic)
    if todo.spans:
        require_columns(columns_of(session, table.table, SCHEMA), table.layout, table.metadata)
        load = _Load(session, table, todo, positions, writer_schema, on_refused, reread, on_step, policy, result)
        load.run(messages)
    result.checkpoints = {p: c.next_offset for p, c in positions.items()}
    return result


@dataclass(slots=True)
class _Load:
    """One call of `load_orders`; moves `positions` as it goes."""

    session: Session
    table: OrderTable
    todo: LoadRange
    positions: dict[int, Checkpoint]
    writer_schema: WriterSchema
    on_refused: OnRefused
    reread: Reread
    on_step: OnStep
    policy: OrderLoadPolicy
    result: OrderLoadResult
    load_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def run(self, messages: Iterable[Sequence[Message]]) -> None:
        waiting: list[Message] = []
        for chunk in self._chunks(messages):
            if waiting:
                self._load(waiting, last=False)
            waiting = chunk
        self._load(waiting, last=True)

    def _chunks(self, messages: Iterable[Sequence[Message]]) -> Iterator[list[Message]]:
        spans = {span.partition: span for span in self.todo.spans}
        chunk: list[Message] = []
        for some in messages:
            for message in some:
                partition, offset = place_of(message)
                span = spans.get(partition)
                if span is not None and span.start <= offset < span.end:
                    chunk.append(message)
                    if len(chunk) >= self.policy.chunk_messages:
                        yield chunk
                        chunk = []
        if chunk:
            yield chunk

    def _load(self, chunk: Sequence[Message], *, last: bool) -> None:
        """One transaction; the last one's moves the checkpoints to the end of the range."""
        judge, fields = JUDGES[self.table.name]
        rows, bad = decode(chunk, fields, self.writer_schema)
        moves = self._moves(chunk, last=last)
        ledger.begin_behind(self.session, self.table.fence, "load", budget_s=self.policy.fence_budget_s)
        try:
            found = ledger.checkpoints(self.session, self.table.name, self.todo.topic)
            ledger.require_unmoved(found, moves, self.table.name, self.todo.topic)
            parked = self._parked(rows, fields)
            places = {(row.partition, row.offset) for row in parked}
            judged = [one for one in judge(self.session, [*parked, *rows]) if not still_parked(one, places)]
            out = taken_up(judged, places)
            take_out(self.session, self.todo.topic, out)
            self._report(judged, bad)
            self._copy(judged, bad, moves, out)
            ledger.move_checkpoints(self.session, self.table.name, self.todo.topic, moves, datetime.now(UTC))
            self.on_step(Step.COMMITTING)
        except BaseException:
            # Also when a signal ends the task here: an open transaction would keep the table's turn.
            self.session.rollback()
            raise
        ledger.commit(self.session, self.table.name, self.todo.topic, moves)
        self._count(judged, bad)
        self.positions.update({move.partition: move.after for move in moves})
        self.on_step(Step.COMMITTED)

    def _parked(self, rows: Sequence[Row], fields: Sequence[str]) -> list[Row]:
        """Events of these rows' orders that an earlier load could not place, and that lie on the topic still."""
        if self.table is not EVENTS:
            return []
        places = parked_places(self.session, self.todo.topic, rows)
        found, _ = decode(self.reread(places), fields, self.writer_schema) if places else ([], [])
        if len(found) < len(places):
            logger.warning("%d parked events have left %s", len(places) - len(found), self.todo.topic)
        return found

    def _moves(self, chunk: Sequence[Message], *, last: bool) -> list[Move]:
        ends = {partition: offset + 1 for partition, offset in map(place_of, chunk)}
        if last:
            ends |= {span.partition: span.end for span in self.todo.spans}
        moves = [Move(p, self.positions.get(p), end) for p, end in sorted(ends.items())]
        return [move for move in moves if move.before is None or move.before.next_offset != move.next_offset]

    def _report(self, judged: Sequence[Judged], bad: Sequence[BadMessage]) -> None:
        for one in judged:
            # A parked event is not refused: the gateway sends it when the one before comes in time, or refuses it.
            if one.verdict not in (Verdict.LOADED, Verdict.REPEAT, Verdict.PARKED):
                self.on_refused(one.row.message, one.verdict, one.reason or "")
        for broken in bad:
            self.on_refused(broken.message, Verdict.CORRUPT, broken.reason)

    def _copy(
        self, judged: Sequence[Judged], bad: Sequence[BadMessage], moves: Sequence[Move], out: Sequence[Judged]
    ) -> None:
        stage_path = f"{self.table.name}/{self.load_id}/{uuid.uuid4().hex[:8]}"
        try:
            with tempfile.TemporaryDirectory(prefix="feedline-orders-") as folder:
                files = write_rows(
                    self.table,
                    judged,
                    bad,
                    moves,
                    taken_up=out,
                    topic=self.todo.topic,
                    load_id=self.load_id,
                    at=datetime.now(UTC),
                    folder=Path(folder),
                )
                self.on_step(Step.PREPARED)
                put_files(self.session, Path(folder), stage_path)
        except OSError as error:
            raise RetriableError(
                f"the chunk's files cannot be written: {error}; nothing was changed, make room and try again",
                topic=self.todo.topic,
            ) from error
        self.on_step(Step.STAGED)
        copy_files(self.session, stage_path, files)
        self.on_step(Step.COPIED)

    def _count(self, judged: Sequence[Judged], bad: Sequence[BadMessage]) -> None:
        loaded = sum(one.verdict is Verdict.LOADED for one in judged)
        repeats = sum(one.verdict is Verdict.REPEAT for one in judged)
        self.result.transactions += 1
        self.result.loaded += loaded
        self.result.repeats += repeats
        self.result.refused += len(judged) - loaded - repeats + len(bad)
