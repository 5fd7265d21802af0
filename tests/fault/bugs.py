"""Bugs that a careless hand might make, seeded into a driver's process by replacing parts of the real code.

Each is one that the checker must find, or the proof proves nothing. None of them is in the sources.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from feedline.errors import WarehouseUnavailableError
from feedline.kafka import config
from feedline.producer import options, record_path
from feedline.producer.record_path import RecordPath
from feedline.warehouse import ledger
from feedline.warehouse.load import Step, _Load

CHECKPOINT_FIRST = "the checkpoint is committed before the load"
NO_LEDGER = "nobody looks into the ledger"
NO_FENCE = "loads do not take turns and the checkpoint is not compared"
ONE_COPY = "acks=1"
BELIEVING = "a delivery report without an offset is believed"

MEET_WITHIN_S = 20.0


def seed(bug: str, folder: Path, name: str) -> None:
    """Puts the bug into this process."""
    _SEEDS[bug](folder, name)


def producer_settings(bug: str | None) -> dict[str, Any]:
    return {"acks": "1", "enable.idempotence": False, "retries": 5} if bug == ONE_COPY else {}


def at_step(bug: str | None, step: Step, folder: Path, name: str) -> None:
    """Loads without turns do harm only when they overlap: each waits, inside its transaction, for the other."""
    if bug == NO_FENCE and step is Step.COPIED:
        (folder / f"inside-{name}").touch()
        deadline = time.monotonic() + MEET_WITHIN_S
        while len(list(folder.glob("inside-*"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)


def _believing(_folder: Path, _name: str) -> None:
    settle = RecordPath._settle

    def believe(path: Any, sent: Any, error: Any, message: Any) -> None:
        if error is None and message.offset() is None:
            path._report(sent.lane, sent.totals.records, sent.reports, None, message)
        else:
            settle(path, sent, error, message)

    record_path.is_unproven = lambda *_: False  # type: ignore[attr-defined]
    RecordPath._settle = believe  # type: ignore[method-assign]


def _checkpoint_first(_folder: Path, _name: str) -> None:
    attempt: Callable[..., bool] = _Load._try
    move = ledger.move_checkpoints

    def checkpoint_then_load(self: Any, chunk: Any, moves: Any) -> bool:
        from datetime import UTC, datetime

        self.session.execute("BEGIN TRANSACTION", doing="begin")
        move(self.session, self.feed.name, self.todo.topic, moves, datetime.now(UTC))
        self.session.execute("COMMIT", doing="commit")
        return attempt(self, chunk, moves)

    _Load._try = checkpoint_then_load  # type: ignore[method-assign]
    ledger.require_unmoved = lambda *_: None
    ledger.move_checkpoints = lambda *_: None


def _no_ledger(_folder: Path, _name: str) -> None:
    ledger.loaded_batches = lambda *_: {}


def _no_fence(_folder: Path, _name: str) -> None:
    def begin(session: Any, _feed: Any, **_: Any) -> None:
        session.execute("BEGIN TRANSACTION", doing="begin")

    def move(session: Any, feed: str, topic: str, moves: Any, at: Any) -> None:
        # A plain overwrite; the stand-in refuses to let two transactions change one row, so it comes after.
        return None

    commit = ledger.commit

    def commit_then_move(session: Any, feed: str, topic: str, moves: Any) -> None:
        commit(session, feed, topic, moves)
        with suppress(WarehouseUnavailableError):
            session.execute("BEGIN TRANSACTION", doing="begin")
            moved = ledger.checkpoints(session, feed, topic)
            still = [m for m in moves if moved.get(m.partition) == m.before]
            if still:
                from datetime import UTC, datetime

                real_move(session, feed, topic, still, datetime.now(UTC))
            session.execute("COMMIT", doing="commit")

    real_move = ledger.move_checkpoints
    ledger.begin_in_turn = begin
    ledger.require_unmoved = lambda *_: None
    ledger.move_checkpoints = move
    # What the other has not committed yet, the ledger does not show: the check before COPY alone is not enough.
    ledger.commit = commit_then_move


def _one_copy(_folder: Path, _name: str) -> None:
    config.DURABLE = {"acks": "1", "enable.idempotence": False}
    config.require_durable = lambda _: None
    options.durability_gap = lambda _: None


_SEEDS = {
    CHECKPOINT_FIRST: _checkpoint_first,
    NO_LEDGER: _no_ledger,
    NO_FENCE: _no_fence,
    ONE_COPY: _one_copy,
    BELIEVING: _believing,
}
