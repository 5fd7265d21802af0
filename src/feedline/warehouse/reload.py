"""Loads beside the checkpoints: what is missing put back, a delivery loaded anew, a stopped one taken out.

Rows and ledger rows change together in one transaction in the feed's turn, as in a load; the checkpoints stay where
they are, so a live load neither notices nor is held up for longer than a transaction. What is loaded replaces what the
tables have of the same micro-batches: done twice, or by two at once, it is there once.
"""

# Names in these statements are checked by `quoted`, values written by `literal`.
# ruff: noqa: S608

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import InitVar, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from snowflake.connector import SnowflakeConnection

from feedline.batch.consumed import ConsumedBatch
from feedline.batch.manifest import DeliveryManifest
from feedline.catalog import Feed
from feedline.errors import ControlMismatchError, FeedlineError, WarehouseUnavailableError
from feedline.warehouse import ledger, own_ids
from feedline.warehouse.chunk import LEDGER_FILES, Prepared, chunks, prepare
from feedline.warehouse.connection import Session
from feedline.warehouse.ddl import create_table
from feedline.warehouse.decode import Decoder, WriterSchema
from feedline.warehouse.error_books import corrected_ids
from feedline.warehouse.layout import feed_layout
from feedline.warehouse.load import LoadPolicy, OnBadBatch, OnStep, Step
from feedline.warehouse.names import DATA_SCHEMA, DATABASE, LOAD_LEDGER, data_table, literal, quoted
from feedline.warehouse.staging import StagedFile, copy_files, put_files
from feedline.warehouse.tables import require_columns, table_columns

USUAL = LoadPolicy()


@dataclass(slots=True)
class Reloaded:
    """What one call has changed: micro-batches and records now in the tables because of it, rows of the feed's own
    table that it took out before, micro-batches that cannot be decoded, those of corrected records that it left as they
    were because it was not given them, and those of one record with an id of its own that another delivery has."""

    batches: int = 0
    records: int = 0
    deleted_rows: int = 0
    error_batches: int = 0
    spared: int = 0
    elsewhere: int = 0
    transactions: int = 0


@dataclass(frozen=True, slots=True)
class _Staged:
    """A prepared chunk whose files lie on the stage."""

    chunk: Prepared
    path: str
    files: Mapping[str, list[StagedFile]]


def replace_batches(
    connection: SnowflakeConnection,
    feed: Feed,
    batches: Iterable[ConsumedBatch],
    writer_schema: WriterSchema,
    *,
    on_bad_batch: OnBadBatch,
    on_step: OnStep = lambda _: None,
    policy: LoadPolicy = USUAL,
) -> Reloaded:
    """Puts these micro-batches into the tables in place of what is there under their correlation ids.

    A record with an id of its own that another delivery has is taken from it, which has a duplicate then.
    Chunk by chunk, each in a transaction of its own; what was committed before a failure stays, and the same call
    again replaces it by itself. Raises as `load_batches`, save that there is no race to lose but for the turn.
    """
    reload = _Reload(
        connection=connection,
        feed=feed,
        decoder=Decoder(feed, writer_schema),
        on_bad_batch=on_bad_batch,
        on_step=on_step,
        policy=policy,
    )
    done: set[str] = set()
    with reload.workplace():
        for chunk in chunks(_unseen(batches, done), policy.chunk_bytes, policy.chunk_batches):
            staged = reload.stage(chunk, {})
            done.update(batch.headers.correlation_id for batch in staged.chunk.loaded)
            if staged.chunk.loaded:
                reload.replace(staged)
    return reload.result


def rebuild_delivery(
    connection: SnowflakeConnection,
    feed: Feed,
    manifest: DeliveryManifest,
    batches: Iterable[ConsumedBatch],
    writer_schema: WriterSchema,
    *,
    on_bad_batch: OnBadBatch,
    schema: str | None = None,
    on_step: OnStep = lambda _: None,
    policy: LoadPolicy = USUAL,
) -> Reloaded:
    """Loads a delivery anew in one transaction: what the tables have of it goes, `batches` come. Corrected records that
    are not among them, since they have left the topic or were sent while it was read, stay: nothing would load them
    again. A record with an id of its own that another delivery has stays there, and is a duplicate here, as in a load.

    schema: of the same database; the feed's tables are made there if need be and filled instead, and neither the
    feed's own tables nor the ledger are touched. Raises ControlMismatchError, with nothing changed, when the batches
    are fewer than the manifest announces, and what `replace_batches` raises.
    """
    target = DATA_SCHEMA if schema is None else f"{DATABASE}.{quoted(schema)}"
    reload = _Reload(
        connection=connection,
        feed=feed,
        decoder=Decoder(feed, writer_schema),
        on_bad_batch=on_bad_batch,
        on_step=on_step,
        policy=policy,
        schema=target,
    )
    if schema is not None:
        reload.make_tables()
    with reload.workplace():
        known: dict[str, int] = {}
        staged: list[_Staged] = []
        for chunk in chunks(batches, policy.chunk_bytes, policy.chunk_batches):
            staged.append(reload.stage(chunk, known))
            known |= {b.headers.correlation_id: b.headers.record_count for b in staged[-1].chunk.loaded}
        bad = {one.batch.headers.correlation_id for part in staged for one in part.chunk.bad} - known.keys()
        if len(known) + len(bad) < manifest.batches:
            raise ControlMismatchError(
                f"only {len(known) + len(bad)} of the delivery's {manifest.batches} micro-batches are on the topic: "
                "nothing was changed; produce the delivery again from the archive, then rebuild it",
                feed=feed.name,
                delivery_id=manifest.delivery_id,
                topic=feed.topic.name,
            )
        reload.rebuild(staged, manifest.delivery_id)
    return reload.result


def drop_delivery(connection: SnowflakeConnection, feed: Feed, delivery_id: str) -> Reloaded:
    """Takes a delivery's rows and its ledger rows out, in one transaction. Records with an id of their own that another
    delivery sent too become that one's."""
    reload = _Reload(
        connection=connection,
        feed=feed,
        decoder=Decoder(feed, _no_schema),
        on_bad_batch=lambda *_: None,
        on_step=lambda _: None,
        policy=LoadPolicy(),
    )
    reload.drop(delivery_id)
    return reload.result


def rows_of_delivery(connection: SnowflakeConnection, feed: Feed, delivery_id: str) -> int:
    """Rows that the feed's own table has of a delivery."""
    session = Session(connection, feed=feed.name, delivery_id=delivery_id)
    [(rows,)] = session.execute(
        f'SELECT COUNT(*) FROM {data_table(feed.table)} WHERE "_DELIVERY_ID" = {literal(delivery_id)}',
        doing=f"cannot count the rows of {feed.table}",
    )
    return int(rows)


def _no_schema(schema_id: int) -> tuple[Mapping[str, Any], str]:
    raise AssertionError(f"nothing is decoded by schema {schema_id} when nothing is loaded")


def _among(column: str, values: Iterable[str]) -> str:
    return f"{column} IN ({', '.join(literal(value) for value in values)})"


def _is_alone(batch: ConsumedBatch) -> bool:
    return batch.headers.record_count == 1


def _ids(staged: Iterable[_Staged]) -> set[str]:
    return {batch.headers.correlation_id for one in staged for batch in one.chunk.loaded}


def _unseen(batches: Iterable[ConsumedBatch], done: set[str]) -> Iterator[ConsumedBatch]:
    """Without the copies of what an earlier chunk has loaded."""
    for batch in batches:
        if batch.headers.correlation_id not in done:
            yield batch


@dataclass(slots=True, kw_only=True)
class _Reload:
    """One call: its session, its files, its counts."""

    connection: InitVar[SnowflakeConnection]
    feed: Feed
    decoder: Decoder
    on_bad_batch: OnBadBatch
    on_step: OnStep
    policy: LoadPolicy
    schema: str = DATA_SCHEMA
    result: Reloaded = field(default_factory=Reloaded)
    session: Session = field(init=False)
    root: Path = field(init=False)
    # A transaction's outcome is looked up by this.
    load_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def __post_init__(self, connection: SnowflakeConnection) -> None:
        self.session = Session(connection, feed=self.feed.name, topic=self.feed.topic.name)
        self.session.execute(f"USE DATABASE {DATABASE}", doing=f"cannot use the database {DATABASE}")

    @property
    def _books(self) -> bool:
        """Whether the ledger tells of these tables."""
        return self.schema == DATA_SCHEMA

    def make_tables(self) -> None:
        doing = f"cannot make the tables of {self.schema}"
        self.session.execute(f"CREATE SCHEMA IF NOT EXISTS {self.schema}", doing=doing)
        for table in feed_layout(self.feed).tables():
            self.session.execute(create_table(table, self.schema), doing=doing)

    @contextmanager
    def workplace(self) -> Iterator[None]:
        with tempfile.TemporaryDirectory(prefix="feedline-reload-") as root:
            self.root = Path(root)
            yield

    def stage(self, chunk: list[ConsumedBatch], known: Mapping[str, int]) -> _Staged:
        prepared = prepare(
            chunk, known, self.decoder, root=self.root, load_id=self.load_id, loaded_at=datetime.now(UTC)
        )
        columns = table_columns(self.session, self.feed, self.schema.rsplit(".", 1)[-1].strip('"'))
        for layout in prepared.layouts:
            require_columns(columns, layout)
        for bad in prepared.bad:
            self.on_bad_batch(bad.batch, bad.error)
        path = f"{self.feed.name}/{self.load_id}/{uuid.uuid4().hex[:8]}"
        self.on_step(Step.PREPARED)
        put_files(self.session, prepared.folder, path)
        shutil.rmtree(prepared.folder)
        self.on_step(Step.STAGED)
        return _Staged(prepared, path, self._placed(prepared.files))

    def _placed(self, files: Mapping[str, list[StagedFile]]) -> dict[str, list[StagedFile]]:
        """The files with the tables that they go to."""
        return {
            name: staged if name == LEDGER_FILES else [replace(f, table=data_table(name, self.schema)) for f in staged]
            for name, staged in files.items()
            if self._books or name != LEDGER_FILES
        }

    def replace(self, staged: _Staged) -> None:
        """One transaction: what is there under the correlation ids of what is staged goes, that comes."""
        with self._turn():
            ids = [batch.headers.correlation_id for batch in staged.chunk.loaded]
            deleted = self._delete_rows("CORRELATION_ID", ids)
            by_delivery: dict[str, set[str]] = {}
            for batch in (*staged.chunk.loaded, *staged.chunk.duplicates):
                by_delivery.setdefault(batch.headers.delivery_id, set()).add(batch.headers.correlation_id)
            for delivery, own in by_delivery.items():
                self._unbook(f"DELIVERY_ID = {literal(delivery)} AND {_among('CORRELATION_ID', own)}")
            self.session.execute(
                f"UPDATE {LOAD_LEDGER} SET STATUS = 'DUPLICATE' WHERE FEED = {literal(self.feed.name)} "
                f"AND {_among('CORRELATION_ID', ids)} AND STATUS = 'LOADED'",
                doing="cannot book what other deliveries had",
            )
            self._copy([staged])
        self._count([staged.chunk], deleted)

    def rebuild(self, staged: list[_Staged], delivery_id: str) -> None:
        """One transaction: the delivery's rows and ledger rows go, but those of corrected records that are not staged;
        what is staged comes, but records with an id of their own that another delivery has."""
        elsewhere = 0
        with self._turn():
            spared = self._corrected(delivery_id) - _ids(staged) if self._books else set()
            kept = f"NOT IN ({', '.join(literal(key) for key in sorted(spared))})"
            but = f' AND "_CORRELATION_ID" {kept}' if spared else ""
            deleted = self._delete_rows("DELIVERY_ID", [delivery_id], but)
            if self._books:
                self._unbook(
                    f"DELIVERY_ID = {literal(delivery_id)}" + (f" AND CORRELATION_ID {kept}" if spared else "")
                )
            else:
                # No ledger tells of these tables: the delivery that is rebuilt last has them there.
                alone = [b.headers.correlation_id for one in staged for b in one.chunk.loaded if _is_alone(b)]
                for start in range(0, len(alone), own_ids.ROWS_A_STATEMENT):
                    self._delete_rows("CORRELATION_ID", alone[start : start + own_ids.ROWS_A_STATEMENT])
            self._copy(staged)
            if self._books:
                elsewhere = own_ids.leave_elsewhere(self.session, self.feed, delivery_id)
        self.result.spared += len(spared)
        self.result.elsewhere += elsewhere
        self._count([one.chunk for one in staged], deleted)
        self.result.batches -= elsewhere
        self.result.records -= elsewhere

    def drop(self, delivery_id: str) -> None:
        """One transaction: the delivery's rows and ledger rows go."""
        with self._turn():
            own_ids.hand_over(self.session, self.feed, [delivery_id])
            deleted = self._delete_rows("DELIVERY_ID", [delivery_id])
            self._unbook(f"DELIVERY_ID = {literal(delivery_id)}")
        self._count([], deleted)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """A transaction in the feed's turn, committed at the end."""
        ledger.begin_in_turn(self.session, self.feed, budget_s=self.policy.fence_budget_s)
        try:
            yield
            self.on_step(Step.COPIED)
            self.on_step(Step.COMMITTING)
        except BaseException:
            # Also when a signal ends the task here: an open transaction would keep the feed's turn.
            self.session.rollback()
            raise
        self._commit()
        self.on_step(Step.COMMITTED)

    def _copy(self, staged: Iterable[_Staged]) -> None:
        for one in staged:
            copy_files(self.session, one.path, one.files)

    def _corrected(self, delivery_id: str) -> set[str]:
        """Correlation ids of the delivery's corrected records that are loaded."""
        rows = self.session.execute(corrected_ids(self.feed.name, delivery_id), doing="cannot read the ledger")
        return {key for (key,) in rows}

    def _delete_rows(self, column: str, values: Iterable[str], but: str = "") -> int:
        """Rows of the feed's own table that are gone; their child rows are, too."""
        among = _among(f'"_{column}"', values)
        counts = [
            self.session.affected(
                f"DELETE FROM {data_table(table.name, self.schema)} WHERE {among}{but}",
                doing=f"cannot take rows out of {table.name}",
            )
            for table in feed_layout(self.feed).tables()
        ]
        return counts[0]

    def _unbook(self, which: str) -> None:
        # That a micro-batch was refused stays on the books: it lies on the error topic, whatever is loaded later.
        self.session.execute(
            f"DELETE FROM {LOAD_LEDGER} WHERE FEED = {literal(self.feed.name)} AND {which} AND STATUS <> 'ERROR'",
            doing="cannot take rows out of the ledger",
        )

    def _commit(self) -> None:
        try:
            self.session.execute("COMMIT", doing="the commit was not confirmed")
        except FeedlineError as error:
            # The answer is lost, not the outcome: only this transaction can have written rows under its load id. A
            # session that may still be in it would see them whether they are committed or not.
            if not self.session.rollback():
                raise WarehouseUnavailableError(
                    f"{error.reason}; whether it was committed is not known: do it again, it replaces what is there",
                    feed=self.feed.name,
                ) from error
            if not (self._books and self._is_booked()):
                raise WarehouseUnavailableError(
                    f"{error.reason}; doing it again is safe, it replaces what is there", feed=self.feed.name
                ) from error

    def _is_booked(self) -> bool:
        [(rows,)] = self.session.execute(
            f"SELECT COUNT(*) FROM {LOAD_LEDGER} WHERE LOAD_ID = {literal(self.load_id)}",
            doing="cannot read the ledger",
        )
        return int(rows) > 0

    def _count(self, loaded: list[Prepared], deleted: int) -> None:
        self.result.transactions += 1
        self.result.deleted_rows += deleted
        for chunk in loaded:
            self.result.batches += len(chunk.loaded)
            self.result.records += sum(batch.headers.record_count for batch in chunk.loaded)
            self.result.error_batches += len(chunk.bad)
        self.load_id = str(uuid.uuid4())
