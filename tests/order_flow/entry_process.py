"""Order entry as the command that it is, `feedline orders serve` or `bulk`, in a process that may die at a named step
of its n-th transaction, or has a bug.

`python entry_process.py JSON`: `arguments` of the command, `bug`; of bulk entry `die_at` or `stop_at` (it sleeps until
SIGCONT), `after`, `short_s`: how long the broker waits for an open transaction and a lost member, `at_once`: how many
events a transaction has.
"""

from __future__ import annotations

import asyncio
import faulthandler
import json
import os
import signal
import sys
from contextlib import suppress
from enum import StrEnum
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from feedline.cli import main
from feedline.kafka import config
from feedline.orders.bulk import service, transaction
from feedline.orders.bulk.service import BulkEntry, BulkPolicy
from feedline.orders.entry.desk import Desk, Entered
from feedline.orders.model.book import Place


class BulkStep(StrEnum):
    """What has been done of a transaction when the process dies."""

    BEGUN = "begin_transaction"
    PRODUCED = "produce"
    OFFSETS = "send_offsets_to_transaction"
    COMMITTING = "commit_transaction"
    COMMITTED = "committed"


class EntryBug(StrEnum):
    EARLY_ANSWER = "HTTP: answered before the acknowledgement"
    ONE_COPY = "HTTP: acks=1"
    COMMIT_FIRST = "bulk: the offset is committed before the events are published"
    NO_TRANSACTION = "bulk: no transaction"


class Killed(Producer):
    """A producer that ends or stops its process when a step has been done so many times."""

    step, left, signal = "", 0, signal.SIGKILL

    def _done(self, step: str) -> None:
        if step == Killed.step:
            Killed.left -= 1
            if Killed.left == 0:
                os.kill(os.getpid(), Killed.signal)

    def begin_transaction(self) -> None:
        super().begin_transaction()
        self._done("begin_transaction")

    def produce(self, *args: Any, **settings: Any) -> None:
        super().produce(*args, **settings)
        if Killed.step == "produce" and Killed.left == 1:
            # So that the broker has what is in no committed transaction.
            self.flush(10)
        self._done("produce")

    def send_offsets_to_transaction(self, *args: Any) -> None:
        super().send_offsets_to_transaction(*args)
        self._done("send_offsets_to_transaction")

    def commit_transaction(self, *args: Any) -> None:
        self._done("commit_transaction")
        super().commit_transaction(*args)
        self._done("committed")


def end_here(step: BulkStep, after: int, how: signal.Signals) -> None:
    Killed.step, Killed.left, Killed.signal = step.value, after, how
    transaction.Producer = Killed  # type: ignore[attr-defined]


def be_short(seconds: float, at_once: int) -> None:
    made = BulkPolicy

    def policy(**more: Any) -> BulkPolicy:
        return made(transaction_s=seconds, session_s=seconds, at_once=at_once, **more)

    service.BulkPolicy = policy  # type: ignore[misc, assignment]


def seed(bug: EntryBug) -> None:
    match bug:
        case EntryBug.EARLY_ANSWER:
            _answer_early()
        case EntryBug.ONE_COPY:
            config.DURABLE = {"acks": "1", "enable.idempotence": False}
            config.require_durable = lambda _: None
        case EntryBug.COMMIT_FIRST:
            _commit_first()
        case EntryBug.NO_TRANSACTION:
            _without_transactions()


def _answer_early() -> None:
    real = Desk._enter

    async def enter(self: Any, *arguments: Any, **more: Any) -> Any:
        work = asyncio.ensure_future(real(self, *arguments, **more))
        work.add_done_callback(lambda done: done.exception())
        done, _ = await asyncio.wait([work], timeout=0.01)
        return work.result() if done else Entered(Place(self._partition(arguments[0].order_id), 0), repeated=False)

    Desk._enter = enter  # type: ignore[method-assign]


def _commit_first() -> None:
    publish = BulkEntry._publish

    def committed_first(self: Any, consumer: Consumer, producer: Any, found: Any) -> None:
        read = consumer.position([TopicPartition(self._topics.bulk, number) for number in self._lanes])
        begun = [place for place in read if place.offset >= 0]
        if begun and found:
            consumer.commit(offsets=begun, asynchronous=False)
        publish(self, consumer, producer, found)

    BulkEntry._publish = committed_first  # type: ignore[method-assign]


class _Plain(Killed):
    """Publishes, then commits: each by itself, and by whoever it is."""

    consumer: Consumer

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__({name: value for name, value in settings.items() if not name.startswith("transaction")})

    def init_transactions(self, *_: Any) -> None: ...

    def begin_transaction(self) -> None: ...

    def send_offsets_to_transaction(self, offsets: Any, *_: Any) -> None:
        self.flush(10)
        with suppress(KafkaException):
            _Plain.consumer.commit(offsets=offsets, asynchronous=False)

    def commit_transaction(self, *_: Any) -> None: ...


def _without_transactions() -> None:
    publish = BulkEntry._publish

    def published(self: Any, consumer: Consumer, producer: Any, found: Any) -> None:
        _Plain.consumer = consumer
        publish(self, consumer, producer, found)

    BulkEntry._publish = published  # type: ignore[method-assign]
    transaction.Producer = _Plain  # type: ignore[attr-defined]


if __name__ == "__main__":
    faulthandler.register(signal.SIGUSR1)
    chosen = json.loads(sys.argv[1])
    if chosen.get("short_s"):
        be_short(chosen["short_s"], chosen.get("at_once", BulkPolicy().at_once))
    for option, how in (("die_at", signal.SIGKILL), ("stop_at", signal.SIGSTOP)):
        if chosen.get(option):
            end_here(BulkStep(chosen[option]), chosen.get("after", 1), how)
    if chosen.get("bug"):
        seed(EntryBug(chosen["bug"]))
    main(["orders", *chosen["arguments"]])
