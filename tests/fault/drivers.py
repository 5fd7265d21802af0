"""The processes that are killed: producers, loaders and a witness, each the real code in a process of its own.

A driver does what an Airflow task does: one call of a step of `feedline.cycle`. It exits 0 when its work is done, 75
when it may be tried again (a RetriableError, told in its events), 1 for anything else; whoever started it decides
about the retry. It kills itself with SIGKILL at the step that its job names, once.
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, TextIO

from confluent_kafka import Consumer, KafkaError, TopicPartition

from fault import bugs
from fault.workload import DAY, ids_in, record_of
from feedline import FeedProducer, cycle
from feedline.batch.headers import MANIFEST, header
from feedline.batch.identity import Cycle
from feedline.catalog import Catalog, Feed
from feedline.consumer.claim import Work
from feedline.consumer.pipeline_policy import PipelinePolicy, Rebalance
from feedline.consumer.pipelined import PipelinedConsumer
from feedline.consumer.ranges import LoadRange, PartitionSpan
from feedline.errors import RetriableError
from feedline.kafka.admin import admin_client, partition_count, watermarks
from feedline.kafka.config import consumer_config
from feedline.producer import delivery as delivery_module
from feedline.producer import delivery_sender
from feedline.producer.delivery import BulkPolicy
from feedline.producer.delivery_sender import DeliverySender
from feedline.settings import Settings
from feedline.warehouse import load as load_module
from feedline.warehouse.connection import open_warehouse
from feedline.warehouse.ledger import read_checkpoints
from feedline.warehouse.load import LoadPolicy, Step

TRY_AGAIN = 75
IDLE_S = 0.2
ALL_SENT = "all-sent"
CLOCK_STEPS_AFTER_S = 1.0


class ProduceStep(StrEnum):
    """Where the bulk path is."""

    CONNECTED = "before the first batch"
    SENDING = "half of the batches sent"
    ALL_SENT = "all acknowledged, before the manifest"
    MANIFEST = "manifest sent, not acknowledged"
    DONE = "manifest acknowledged"


@dataclass(frozen=True)
class Job:
    """What one driver does. folder: of the run, for events, acknowledgements and markers.

    die_at: the step to die at, in chunk `die_in` of a load; pace_s: seconds slept a block of about 100 records;
    bug: a seeded bug of `fault.bugs`; clock_step: how far the wall clock jumps after a moment; file_limit: bytes that a
    local file may have; again: a driver's work, repeated though it is done.
    """

    name: str
    settings: Settings
    feed: Feed
    folder: Path
    day: date = DAY
    die_at: str | None = None
    die_in: int = 0
    pace_s: float = 0.0
    bug: str | None = None
    clock_step: timedelta | None = None
    file_limit: int | None = None
    chunk_batches: int = 25
    ids: tuple[str, ...] = ()
    seconds: float = 0.0
    once: bool = False
    more: dict[str, Any] = field(default_factory=dict)


def event(folder: Path, kind: str, **told: Any) -> None:
    """One line of the run's history; written at once, so that a SIGKILL after it does not lose it."""
    line = json.dumps({"at": time.time(), "event": kind, **told}, default=str) + "\n"
    with (folder / "events.jsonl").open("a", encoding="utf-8") as out:
        out.write(line)


def drive(what: Callable[[Job], None], job: Job) -> None:
    """The main function of a driver's process."""
    sys.stderr = (job.folder / f"{job.name}.log").open("a", encoding="utf-8", buffering=1)
    os.dup2(sys.stderr.fileno(), 2)
    faulthandler.register(signal.SIGUSR1, file=sys.stderr)
    try:
        if job.file_limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (job.file_limit, job.file_limit))
        if job.bug is not None:
            bugs.seed(job.bug, job.folder, job.name)
        if job.clock_step is not None:
            _step_clock(job)
        event(job.folder, "started", who=job.name, pid=os.getpid())
        what(job)
    except RetriableError as error:
        event(job.folder, "retriable", who=job.name, error=type(error).__name__, message=str(error))
        os._exit(TRY_AGAIN)
    except BaseException as error:  # noqa: BLE001  whatever it was is told, and the process ends
        traceback.print_exc()
        event(job.folder, "failed", who=job.name, error=type(error).__name__, message=str(error)[:500])
        os._exit(1)
    event(job.folder, "done", who=job.name)
    sys.stderr.flush()
    os._exit(0)


def produce(job: Job) -> None:
    """One delivery by the bulk path; each acknowledgement is written down with the ids that it was for."""
    with _acknowledgements(job) as acknowledged:
        told = DeliverySender._on_batch

        def on_batch(sender: Any, records: int, size: int, error: Any, message: Any) -> None:
            told(sender, records, size, error, message)
            if error is None:
                acknowledged(ids_in(message.value()), message)

        DeliverySender._on_batch = on_batch  # type: ignore[method-assign]
        _die_in_sender(job)
        policy = BulkPolicy(threads=1, blocks_ahead=1, block_bytes=16_000)
        cycle.produce(
            job.settings, job.feed, job.day, policy=policy, progress=lambda *_: time.sleep(job.pace_s) or None
        )
        die(job, ProduceStep.DONE)


def stream(job: Job) -> None:
    """Records one by one through FeedProducer, each under its own id, again what was not acknowledged before."""
    already = {line.split()[1] for line in _lines(job.folder / f"acks-{job.name}.txt")}
    options = {
        **job.settings.kafka,
        "feedline.catalog": Catalog({job.feed.name: job.feed}),
        "feedline.registry": dict(job.settings.registry),
        "feedline.register.schemas": True,
        "feedline.business.date": job.day,
        "feedline.cycle": Cycle.INTRADAY,
        "feedline.delivery.id": f"stream-{job.feed.name}-{job.day}",
        **bugs.producer_settings(job.bug),
        **job.more,
    }
    with _acknowledgements(job) as acknowledged:
        failed: list[str] = []

        def reported(record: str, error: KafkaError | None, message: Any) -> None:
            if error is None:
                acknowledged((record,), message)
            else:
                failed.append(f"{record}: {error.str()}")

        producer = FeedProducer(options)
        for number, record in enumerate(record for record in job.ids if record not in already):
            headers = [("correlationId", record.encode())]
            producer.produce(
                job.feed.topic.name,
                json.dumps(record_of(record)),
                headers=headers,
                on_delivery=lambda error, message, record=record: reported(record, error, message),
            )
            producer.poll(job.pace_s)
            if job.die_at and number == job.die_in:
                die(job, job.die_at)
        producer.flush()
        producer.close()
        if failed:
            raise RetriableError(f"{len(failed)} records were not acknowledged, as {failed[0]}")


def load(job: Job) -> None:
    """Loads what is on the topic until the run says that all was sent and nothing is left, or once."""
    real, chunk = load_module.load_batches, 0

    def on_step(step: Step) -> None:
        nonlocal chunk
        bugs.at_step(job.bug, step, job.folder, job.name)
        if chunk == job.die_in:
            die(job, step)
        chunk += step is Step.COMMITTED

    cycle.load_batches = lambda *a, **more: real(*a, **more, on_step=on_step)  # type: ignore[attr-defined]
    policy = LoadPolicy(chunk_batches=job.chunk_batches, fence_budget_s=60)
    parent = os.getppid()
    while os.getppid() == parent:
        sent = (job.folder / ALL_SENT).exists()
        with open_warehouse(job.settings.warehouse) as connection:
            while os.getppid() == parent:
                todo = _todo(job, read_checkpoints(connection, job.feed.name, job.feed.topic.name))
                if todo is None:
                    break
                result = cycle.load(job.settings, connection, job.feed, todo, policy=policy)
                event(job.folder, "loaded", who=job.name, records=result.records, copies=result.duplicate_batches)
                if job.once:
                    return
        if sent:
            return
        time.sleep(IDLE_S)


def _todo(job: Job, checkpoints: dict[int, int]) -> LoadRange | None:
    topic = job.feed.topic.name
    partitions = range(partition_count(admin_client(job.settings.kafka), topic))
    marks = watermarks(job.settings.kafka, topic, partitions)
    spans = [
        PartitionSpan(partition, max(low, checkpoints.get(partition, 0)), high)
        for partition, (low, high) in sorted(marks.items())
        if max(low, checkpoints.get(partition, 0)) < high
    ]
    return LoadRange(job.feed.name, topic, tuple(spans)) if spans else None


def witness(job: Job) -> None:
    """Reads the topic from its start all the while, partitions its own, and writes down what it is given."""
    parent = os.getppid()
    overrides = {"auto.offset.reset": "earliest"}
    consumer = Consumer(consumer_config(job.settings.kafka, group_id=f"witness-{job.folder.name}") | overrides)
    with (job.folder / f"polls-{job.name}.txt").open("a", encoding="utf-8", buffering=1) as out:
        consumer.assign([TopicPartition(job.feed.topic.name, p, 0) for p in range(job.feed.topic.partitions)])
        while os.getppid() == parent:
            for message in consumer.consume(200, timeout=0.2):
                if message.error() is None:
                    headers = message.headers()
                    kind = "manifest" if header(headers, "contentType") == MANIFEST else "batch"
                    place = f"{message.partition()} {message.offset()}"
                    out.write(f"{place} {header(headers, 'correlationId')} {kind}\n")


def consume(job: Job) -> None:
    """A member of a group, by PipelinedConsumer; writes down what it was given, each message before it is done."""
    parent, lock = os.getppid(), threading.Lock()
    chance = random.Random(os.getpid())
    with (job.folder / f"handled-{job.name}.txt").open("a", encoding="utf-8") as out:

        def handle(work: Work) -> None:
            time.sleep(chance.uniform(0, 0.02))
            lines = "".join(f"{m.partition()} {m.offset()}\n" for m in work.messages)
            with lock:
                out.write(lines)
                out.flush()

        policy = PipelinePolicy(workers=4, commit_s=0.2, drain_s=2, rebalance=Rebalance(job.more["rebalance"]))
        group, topics = f"storm-{job.feed.name}", [job.feed.topic.name]
        with PipelinedConsumer(job.settings.kafka, handle, group_id=group, topics=topics, policy=policy) as consumer:
            while os.getppid() == parent and not consumer.wait(0.2):
                if (job.folder / f"leave-{job.name}").exists():
                    consumer.stop()


@contextmanager
def _acknowledgements(job: Job) -> Iterator[Callable[[tuple[str, ...], Any], None]]:
    out: TextIO
    with (job.folder / f"acks-{job.name}.txt").open("a", encoding="utf-8") as out:

        def write(ids: tuple[str, ...], message: Any) -> None:
            line = f"{time.time():.3f} {{}} {message.partition()} {message.offset()}\n"
            out.write("".join(map(line.format, ids)))
            out.flush()

        yield write


def _die_in_sender(job: Job) -> None:
    """Makes the bulk path die at the step that the job names."""
    if job.die_at is None:
        return
    send, manifest = DeliverySender.send, DeliverySender.send_manifest
    sent = 0

    def dying_send(sender: Any, headers: Any, value: bytes) -> None:
        nonlocal sent
        if sent == 0:
            die(job, ProduceStep.CONNECTED)
        if sent == max(job.die_in, 1):
            # Some of it is on its way: neither nothing nor all has been acknowledged.
            die(job, ProduceStep.SENDING)
        sent += 1
        send(sender, headers, value)

    def dying_manifest(sender: Any, headers: Any, value: bytes) -> None:
        die(job, ProduceStep.ALL_SENT)
        if job.die_at == ProduceStep.MANIFEST:
            DeliverySender.finish = lambda _: die(job, ProduceStep.MANIFEST)  # type: ignore[method-assign]
        manifest(sender, headers, value)

    DeliverySender.send = dying_send  # type: ignore[method-assign]
    DeliverySender.send_manifest = dying_manifest  # type: ignore[method-assign]


def die(job: Job, step: str) -> None:
    """Dies here by SIGKILL if this is the step that the job names, and it has not died there before."""
    marker = job.folder / f"died-{job.name}"
    if job.die_at != step or marker.exists():
        return
    marker.touch()
    event(job.folder, "fault", what=f"SIGKILL of {job.name}: {step}", pid=os.getpid())
    os.kill(os.getpid(), signal.SIGKILL)


def _step_clock(job: Job) -> None:
    """The wall clock of the code under test jumps; the monotonic clock does not, as on a real machine."""
    begun, by, seen = time.monotonic(), job.clock_step or timedelta(), False

    class Stepped(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            nonlocal seen
            real = datetime.now(tz or UTC)
            if time.monotonic() - begun <= CLOCK_STEPS_AFTER_S:
                return real
            if not seen:
                seen = True
                event(job.folder, "clock", who=job.name, by=str(by), read=str(real + by))
            return real + by

    for module in (delivery_module, delivery_sender, load_module):
        module.datetime = Stepped  # type: ignore[attr-defined]


def _lines(file: Path) -> list[str]:
    if not file.exists():
        return []
    # The last line may have been cut by a SIGKILL.
    return [line for line in file.read_text(encoding="utf-8").split("\n")[:-1] if line]
