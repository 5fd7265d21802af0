"""The control tables as the loads use them: which micro-batches are in, how far each partition is, whose turn it is."""

# Names in these statements are checked by `quoted`, values written by `literal`.
# ruff: noqa: S608

from __future__ import annotations

import random
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from snowflake.connector import SnowflakeConnection

from feedline.catalog import Feed
from feedline.consumer.range_reader import group_of
from feedline.consumer.ranges import LoadRange, PartitionSpan
from feedline.errors import ConfigurationError, FeedlineError, LostRaceError, WarehouseUnavailableError
from feedline.warehouse.connection import Session
from feedline.warehouse.names import CONSUMER_CHECKPOINT, LOAD_LEDGER, fence_table, literal

# One attempt at the fence: an account makes it wait for the lock, the stand-in refuses it at once. Attempts are short
# so that a loader that gives up, or is told to stop, does so soon.
FENCE_ATTEMPT_S = 10
# All attempts. An account rolls back the open transaction of a client that died after 5 idle minutes when another one
# waits for its lock (https://docs.snowflake.com/en/sql-reference/transactions), so this must be longer.
FENCE_BUDGET_S = 420.0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Every message of the feed below `next_offset` is dealt with; `epoch` counts the moves."""

    next_offset: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Move:
    """A partition's checkpoint from what it was (None: there was none) to `next_offset`."""

    partition: int
    before: Checkpoint | None
    next_offset: int

    @property
    def after(self) -> Checkpoint:
        return Checkpoint(self.next_offset, self.before.epoch + 1 if self.before else 1)


def read_checkpoints(connection: SnowflakeConnection, feed: str, topic: str) -> dict[int, int]:
    """The next offset to load of each partition that has ever been loaded from."""
    session = Session(connection, feed=feed, topic=topic)
    return {partition: c.next_offset for partition, c in checkpoints(session, feed, topic).items()}


def checkpoints(session: Session, feed: str, topic: str) -> dict[int, Checkpoint]:
    rows = session.execute(
        f"SELECT PARTITION, NEXT_OFFSET, EPOCH FROM {CONSUMER_CHECKPOINT} WHERE {_of_group(feed, topic)}",
        doing="cannot read the checkpoints",
    )
    return {int(partition): Checkpoint(int(offset), int(epoch)) for partition, offset, epoch in rows}


def loaded_batches(session: Session, feed: str, deliveries: Collection[str]) -> dict[str, int]:
    """Records by correlation id of the micro-batches of these deliveries that are in the feed's tables.

    A correlation id is made from its delivery, so no other delivery can hold the same one, unless a producer chose it
    itself: see `loaded_alone`.
    """
    return _loaded(session, feed, "DELIVERY_ID", deliveries)


def loaded_alone(session: Session, feed: str, ids: Collection[str]) -> dict[str, int]:
    """As `loaded_batches`, of these correlation ids whatever their delivery: a record that its producer gave an id of
    its own travels alone, and keeps it in the delivery of another session or date."""
    return _loaded(session, feed, "CORRELATION_ID", ids)


def _loaded(session: Session, feed: str, column: str, values: Collection[str]) -> dict[str, int]:
    if not values:
        return {}
    among = ", ".join(literal(value) for value in sorted(values))
    rows = session.execute(
        f"SELECT CORRELATION_ID, RECORDS FROM {LOAD_LEDGER} "
        f"WHERE FEED = {literal(feed)} AND STATUS = 'LOADED' AND {column} IN ({among})",
        doing="cannot read the ledger",
    )
    return {correlation_id: int(records) for correlation_id, records in rows}


def begin_in_turn(session: Session, feed: Feed, *, budget_s: float = FENCE_BUDGET_S) -> None:
    """Begins a transaction that no other load of the feed is in until it ends; see `begin_behind`."""
    begin_behind(session, fence_table(feed.table), "load", budget_s=budget_s, feed=feed.name)


def begin_behind(session: Session, fence: str, purpose: str, *, budget_s: float, feed: str | None = None) -> None:
    """Begins a transaction that no other one of the same one-row fence table is in until it ends.

    From here on the transaction sees everything that earlier turns committed. Raises LostRaceError when another one
    keeps its turn for longer than the budget.
    """
    deadline = time.monotonic() + budget_s
    while True:
        session.execute("BEGIN TRANSACTION", doing="cannot begin a transaction")
        try:
            if session.affected(
                f"UPDATE {fence} SET TURN = TURN + 1", doing="it is another one's turn", timeout_s=FENCE_ATTEMPT_S
            ):
                return
        except WarehouseUnavailableError as error:
            session.rollback()
            if time.monotonic() > deadline:
                raise LostRaceError(
                    f"another {purpose} has kept its turn for {budget_s:.0f} s; nothing was changed, try again",
                    feed=feed,
                ) from error
            time.sleep(random.uniform(0.05, 0.5))  # noqa: S311
        except BaseException:
            # Also when a signal ends the task here: an open transaction would keep the feed's turn.
            session.rollback()
            raise
        else:
            session.rollback()
            raise ConfigurationError(f"{fence} is empty: provision the tables again", feed=feed)


def remaining(load_range: LoadRange, positions: dict[int, Checkpoint]) -> LoadRange:
    """The part of a range that lies after the checkpoints; raises LostRaceError when one is before the range."""
    spans: list[PartitionSpan] = []
    for span in load_range.spans:
        at = positions.get(span.partition)
        if at is not None and at.next_offset < span.start:
            raise LostRaceError(
                f"the range begins at offset {span.start} but only those below {at.next_offset} are loaded: "
                "an earlier load is still to come, or plan again",
                feed=load_range.feed,
                topic=load_range.topic,
                partition=span.partition,
                offset=at.next_offset,
            )
        start = max(span.start, at.next_offset) if at else span.start
        if start < span.end:
            spans.append(replace(span, start=start))
    return LoadRange(load_range.feed, load_range.topic, tuple(spans))


def move_checkpoints(session: Session, feed: str, topic: str, moves: Collection[Move], at: datetime) -> None:
    """Compare-and-swap of every partition, inside the caller's transaction.

    Raises LostRaceError when any of them is not where `before` says; the caller rolls back.
    """
    changed = [move for move in moves if move.before is not None]
    created = [move for move in moves if move.before is None]
    done = 0
    if changed:
        rows = ", ".join(
            f"({m.partition}, {m.before.next_offset}, {m.before.epoch}, {m.next_offset})" for m in changed if m.before
        )
        done += session.affected(
            f"UPDATE {CONSUMER_CHECKPOINT} SET NEXT_OFFSET = V.TO_OFFSET, EPOCH = EPOCH + 1, MOVED_AT = {literal(at)} "
            "FROM (SELECT COLUMN1 AS IN_PARTITION, COLUMN2 AS FROM_OFFSET, COLUMN3 AS FROM_EPOCH, COLUMN4 AS TO_OFFSET "
            f"FROM VALUES {rows}) V "
            f"WHERE {_of_group(feed, topic)} "
            "AND PARTITION = V.IN_PARTITION AND NEXT_OFFSET = V.FROM_OFFSET AND EPOCH = V.FROM_EPOCH",
            doing="cannot move the checkpoints",
        )
    if created:
        rows = ", ".join(f"({m.partition}, {m.next_offset})" for m in created)
        done += session.affected(
            f"INSERT INTO {CONSUMER_CHECKPOINT} (CONSUMER_GROUP, TOPIC, PARTITION, NEXT_OFFSET, EPOCH, MOVED_AT) "
            f"SELECT {literal(group_of(feed))}, {literal(topic)}, V.NEW_PARTITION, V.TO_OFFSET, 1, {literal(at)} "
            f"FROM (SELECT COLUMN1 AS NEW_PARTITION, COLUMN2 AS TO_OFFSET FROM VALUES {rows}) V "
            f"WHERE NOT EXISTS (SELECT 1 FROM {CONSUMER_CHECKPOINT} C "
            f"WHERE {_of_group(feed, topic)} AND C.PARTITION = V.NEW_PARTITION)",
            doing="cannot create the checkpoints",
        )
    if done != len(moves):
        raise LostRaceError(
            f"{len(moves) - done} of {len(moves)} checkpoints were moved by another load; nothing was changed by this",
            feed=feed,
            topic=topic,
        )


def require_unmoved(found: Mapping[int, Checkpoint], moves: Collection[Move], feed: str, topic: str) -> None:
    """Raises LostRaceError when a checkpoint is no longer where the load began."""
    for move in moves:
        if found.get(move.partition) != move.before:
            raise LostRaceError(
                "another load has moved the checkpoint; nothing was changed by this one",
                feed=feed,
                topic=topic,
                partition=move.partition,
                offset=move.before.next_offset if move.before else None,
            )


def commit(session: Session, feed: str, topic: str, moves: Collection[Move]) -> None:
    """Commits the transaction that made these moves. Raises WarehouseUnavailableError when it did not, or may not."""
    try:
        session.execute("COMMIT", doing="the commit was not confirmed")
    except FeedlineError as error:
        # The answer is lost, not the outcome: only this transaction can have made just these moves. A session that
        # may still be in it would see them whether they are committed or not.
        if not session.rollback():
            raise WarehouseUnavailableError(
                f"{error.reason}; whether it was committed is not known: try again, what is loaded is not loaded twice",
                feed=feed,
                topic=topic,
            ) from error
        found = checkpoints(session, feed, topic)
        if any(found.get(move.partition) != move.after for move in moves):
            raise WarehouseUnavailableError(
                f"{error.reason}; the checkpoints have not moved, try again", feed=feed, topic=topic
            ) from error


def _of_group(feed: str, topic: str) -> str:
    return f"CONSUMER_GROUP = {literal(group_of(feed))} AND TOPIC = {literal(topic)}"
