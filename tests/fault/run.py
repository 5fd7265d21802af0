"""One run: drivers on a workload, faults meanwhile, retries as Airflow makes them, and what is left at the end."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.context import ForkServerProcess
from typing import Any, Self

from confluent_kafka import Consumer, KafkaError, TopicPartition
from snowflake.connector import SnowflakeConnection

from fault import drivers, service
from fault.checker import LedgerRow, Observation, TableRow, TopicBatch, Verdict, check
from fault.drivers import ALL_SENT, TRY_AGAIN, Job, event
from fault.workload import Workload, ids_in, values_of
from fault.world import World
from feedline.batch.headers import MANIFEST, header
from feedline.errors import RetriableError
from feedline.kafka.admin import watermarks
from feedline.kafka.config import consumer_config
from feedline.warehouse.connection import connect
from feedline.warehouse.names import CONSUMER_CHECKPOINT, LOAD_LEDGER, data_table

TEND_S = 0.1
SAMPLE_S = 0.5
PAUSE_S = 0.5
WITHIN_S = 120.0
SHOWN_WITHIN_S = 60.0


class RunFailedError(AssertionError):
    """A driver ended with an error that no retry mends, or the run did not end in time."""


@dataclass
class Actor:
    """A driver and how its processes have ended so far."""

    job: Job
    what: Callable[[Job], None]
    process: ForkServerProcess
    exits: list[int] = field(default_factory=list)
    not_before: float = 0.0
    again: bool = True
    done: bool = False


class Run:
    """A context manager: whatever happens, its processes are gone afterwards."""

    def __init__(
        self,
        world: World,
        *,
        partitions: int = 12,
        seed: int = 0,
        name: str = "",
        feed_name: str = "",
        sample_s: float = SAMPLE_S,
    ) -> None:
        self.world = world
        self._sample_s = sample_s
        self.name = name or os.environ.get("PYTEST_CURRENT_TEST", "run").split("::")[-1].removesuffix(" (call)")
        self.random = random.Random(seed)
        self.workload: Workload
        self.workload, self.folder = world.workload(partitions=partitions, feed_name=feed_name)
        self.settings = replace(world.settings, landing=self.workload.landing)
        self.actors: dict[str, Actor] = {}
        self.moves: dict[int, list[int]] = defaultdict(list)
        self.verdict: Verdict | None = None
        self._connection: SnowflakeConnection | None = None
        self._sampled = 0.0
        world.runs.append((self.name, self.folder))
        event(self.folder, "run", seed=seed, feed=self.workload.feed.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for actor in self.actors.values():
            if actor.process.is_alive():
                actor.process.kill()
                actor.process.join(10)
        if self._connection is not None:
            self._connection.close()

    def job(self, name: str, **options: Any) -> Job:
        settings = options.pop("settings", self.settings)
        return Job(name=name, settings=settings, feed=self.workload.feed, folder=self.folder, **options)

    def start(self, what: Callable[[Job], None], name: str, *, again: bool = True, **options: Any) -> Actor:
        """Starts a driver, which is tried again after a SIGKILL or a retriable error unless told otherwise."""
        job = self.job(name, **options)
        self.actors[name] = Actor(job, what, self._begin(what, job), again=again)
        return self.actors[name]

    def _begin(self, what: Callable[[Job], None], job: Job) -> ForkServerProcess:
        process = self.world.processes.Process(target=drivers.drive, args=(what, job), name=job.name)
        process.start()
        return process

    def fault(self, what: str, **proof: Any) -> None:
        event(self.folder, "fault", what=what, **proof)

    def kill(self, name: str) -> bool:
        """SIGKILL of a driver as it is now; whether there was something to kill."""
        process = self.actors[name].process
        pid = process.pid
        if pid is None or not process.is_alive() or self.actors[name].done:
            return False
        os.kill(pid, signal.SIGKILL)
        process.join(10)
        self.fault(f"SIGKILL of {name}", pid=pid, exit=process.exitcode)
        return True

    def tend(self) -> None:
        """Looks after the drivers once: who has ended is noted, and tried again if that may help."""
        now = time.monotonic()
        for name, actor in self.actors.items():
            code = actor.process.exitcode
            if actor.done or code is None:
                continue
            if not actor.not_before:
                actor.exits.append(code)
                actor.done = code == 0 or not actor.again
                if code not in (0, TRY_AGAIN, -signal.SIGKILL):
                    raise RunFailedError(f"{name} ended with {code}: {self.last_words(name)}")
                actor.not_before = now + PAUSE_S
            elif now >= actor.not_before:
                actor.not_before = 0.0
                actor.process = self._begin(actor.what, actor.job)
        if now - self._sampled >= self._sample_s:
            self._sampled = now
            self.sample()

    def wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.tend()
            time.sleep(TEND_S)

    def wait_for(self, condition: Callable[[], object], what: str, *, within_s: float = WITHIN_S) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            self.tend()
            if time.monotonic() > deadline:
                self._ask_what_they_do()
                raise RunFailedError(f"not within {within_s:g} s: {what}; {self.told()}")
            time.sleep(TEND_S)

    def _ask_what_they_do(self) -> None:
        """Every driver that lives writes the stacks of its threads into its log."""
        for actor in self.actors.values():
            if actor.process.is_alive() and actor.process.pid is not None:
                os.kill(actor.process.pid, signal.SIGUSR1)
        time.sleep(1)

    def await_done(self, *names: str, within_s: float = WITHIN_S) -> None:
        self.wait_for(
            lambda: all(self.actors[name].done for name in names), f"{' and '.join(names)} done", within_s=within_s
        )

    def finish(self, *, within_s: float = WITHIN_S) -> Verdict:
        """Waits until producers, then loaders are done, and checks what is left."""
        loaders = [name for name, actor in self.actors.items() if actor.what in (drivers.load, service.serve)]
        senders = [n for n, a in self.actors.items() if a.what in (drivers.produce, drivers.stream)]
        if senders:
            self.await_done(*senders, within_s=within_s)
        self._await_shown()
        (self.folder / ALL_SENT).touch()
        if loaders:
            self.await_done(*loaders, within_s=within_s)
        self.verdict = check(self.observe())
        event(self.folder, "verdict", verdict=str(self.verdict), findings=sorted(self.verdict.names))
        return self.verdict

    def acknowledged(self) -> list[str]:
        return [record for record, _, _ in self.acknowledgements()]

    def acknowledgements(self) -> Iterator[tuple[str, int, int]]:
        """Id, partition and offset of each acknowledged record; the offset is -1 when the broker told none."""
        for file in self.folder.glob("acks-*.txt"):
            for line in drivers._lines(file):
                _, record, partition, offset = line.split()
                yield record, int(partition), -1 if offset == "None" else int(offset)

    def _await_shown(self) -> None:
        """Until readers are shown all that was acknowledged: a leader that has just begun shows what it knows its peers
        to have, which may be less for some seconds. What is not shown in time is for the checker to find."""
        ends: dict[int, int] = defaultdict(int)
        for _, partition, offset in self.acknowledgements():
            ends[partition] = max(ends[partition], offset + 1)
        deadline, hidden = time.monotonic() + SHOWN_WITHIN_S, set(ends)
        while hidden and time.monotonic() < deadline:
            with contextlib.suppress(RetriableError):
                marks = watermarks(self.world.settings.kafka, self.workload.feed.topic.name, hidden)
                hidden = {partition for partition in hidden if marks[partition][1] < ends[partition]}
            if hidden:
                self.tend()
                time.sleep(TEND_S)
        if hidden:
            event(self.folder, "not shown", partitions=sorted(hidden), ends={p: ends[p] for p in sorted(hidden)})

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        file = self.folder / "events.jsonl"
        found = [json.loads(line) for line in drivers._lines(file)]
        return [one for one in found if kind is None or one["event"] == kind]

    def faults(self) -> list[str]:
        return [one["what"] for one in self.events("fault")]

    def retries(self, name: str) -> list[str]:
        """The retriable errors that a driver has ended with."""
        return [one["error"] for one in self.events("retriable") if one["who"] == name]

    def told(self) -> str:
        said = [one for one in self.events() if one["event"] not in ("rows", "loaded")]
        return "; ".join(f"{one['event']} {one.get('who', '')} {one.get('message', '')[:200]}" for one in said[-5:])

    def last_words(self, name: str) -> str:
        file = self.folder / f"{name}.log"
        return file.read_text(encoding="utf-8")[-1500:] if file.exists() else "it wrote nothing"

    def query(self, sql: str) -> list[Any]:
        if self._connection is None:
            self._connection = connect(self.world.settings.warehouse)
        with self._connection.cursor() as cursor:
            return list(cursor.execute(sql).fetchall())

    def rows(self) -> int:
        return int(self.query(f"SELECT COUNT(*) FROM {data_table(self.workload.feed.table)}")[0][0])

    def sample(self) -> None:
        """Where the checkpoints are now, and how many rows there are."""
        self._sample_checkpoints()
        event(self.folder, "rows", rows=self.rows(), acknowledged=len(set(self.acknowledged())))

    def _sample_checkpoints(self) -> None:
        sql = (
            f"SELECT PARTITION, NEXT_OFFSET FROM {CONSUMER_CHECKPOINT} WHERE TOPIC = '{self.workload.feed.topic.name}'"
        )
        for partition, offset in self.query(sql):
            if self.moves[int(partition)][-1:] != [int(offset)]:
                self.moves[int(partition)].append(int(offset))

    def observe(self) -> Observation:
        """Everything that the checker wants to know, read now."""
        feed = self.workload.feed
        self._sample_checkpoints()
        topic, ends, manifests = self._read_batches()
        table = self.query(f'SELECT ID, "_CORRELATION_ID", AMOUNT, NOTE FROM {data_table(feed.table)}')
        ledger = self.query(
            f"SELECT CORRELATION_ID, PARTITION, MESSAGE_OFFSET, RECORDS, STATUS FROM {LOAD_LEDGER} "
            f"WHERE FEED = '{feed.name}' ORDER BY LOADED_AT, PARTITION, MESSAGE_OFFSET"
        )
        return Observation(
            source=self.workload.source,
            acknowledged=self.acknowledged(),
            topic=topic,
            table=[TableRow(record, batch) for record, batch, _, _ in table],
            changed=[record for record, _, amount, note in table if (amount, note) != values_of(record)],
            ledger=[LedgerRow(c, int(p), int(o), int(n), s) for c, p, o, n, s in ledger],
            errors=self._errors(),
            polls=self._polls(manifests),
            moves=dict(self.moves),
            ends=ends,
        )

    def _read_batches(self) -> tuple[list[TopicBatch], dict[int, int], set[tuple[int, int]]]:
        feed, manifests, batches = self.workload.feed, set(), []
        messages, ends = self._read(feed.topic.name)
        for message in messages:
            place = (int(message.partition()), int(message.offset()))
            if header(message.headers(), "contentType") == MANIFEST:
                manifests.add(place)
            else:
                correlation = header(message.headers(), "correlationId") or ""
                batches.append(TopicBatch(*place, correlation, ids_in(message.value())))
        return batches, ends, manifests

    def _errors(self) -> list[str]:
        by_id = {
            header(message.headers(), "correlationId"): ids_in(message.value())
            for message in self._read(self.workload.feed.topic.error_topic)[0]
        }
        return [record for ids in by_id.values() for record in ids]

    def _polls(self, manifests: set[tuple[int, int]]) -> dict[str, Sequence[tuple[int, int, str]]]:
        found = {}
        for file in self.folder.glob("polls-*.txt"):
            lines = (line.split() for line in drivers._lines(file))
            found[file.stem.removeprefix("polls-")] = [
                (int(p), int(o), c) for p, o, c, _ in lines if (int(p), int(o)) not in manifests
            ]
        return found

    def _read(self, topic: str) -> tuple[list[Any], dict[int, int]]:
        """Everything on a topic and where its partitions end, by a reader of its own."""
        overrides = {"enable.partition.eof": True, "auto.offset.reset": "earliest"}
        consumer = Consumer(consumer_config(self.world.settings.kafka, group_id="checker") | overrides)
        messages, ends = [], {}
        deadline = time.monotonic() + 60
        try:
            partitions = list(consumer.list_topics(topic, timeout=20).topics[topic].partitions)
            consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
            while len(ends) < len(partitions):
                for message in consumer.consume(500, timeout=0.2):
                    error = message.error()
                    if error is None:
                        messages.append(message)
                    elif error.code() == KafkaError._PARTITION_EOF:
                        ends[message.partition()] = message.offset()
                if time.monotonic() > deadline:
                    raise RunFailedError(f"{topic} cannot be read to its end")
        finally:
            consumer.close()
        return messages, ends
