"""The driver that is `feedline consume`: the command itself, killed at a step of a load or of a rebalance."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from fault import bugs
from fault.drivers import ALL_SENT, Job, die, event
from fault.workload import write_settings
from feedline import continuous
from feedline.catalog_files import SETTINGS_VARIABLE
from feedline.cli import main
from feedline.cli.output import OK, TRY_AGAIN
from feedline.consumer.ownership import Ownership, Place
from feedline.consumer.range_reader import group_of
from feedline.errors import RetriableError
from feedline.kafka.admin import admin_client, partition_count, watermarks
from feedline.kafka.config import consumer_config
from feedline.warehouse.load import Step

LOOK_S = 0.3


class ServiceStep(StrEnum):
    """Where the service is, beside the steps of a load."""

    PLACED = "partitions taken, nothing read"
    OFFSETS = "loaded, offsets about to be committed"


def serve(job: Job) -> None:
    """Runs until the run says that all was sent and the group has come to the end of the topic; `more`: options."""
    folder = job.folder / job.name
    folder.mkdir(exist_ok=True)
    os.environ[SETTINGS_VARIABLE] = str(write_settings(job.settings, job.feed, folder))
    _die_in_load(job)
    _die_in_group(job)
    threading.Thread(target=_tell_to_end, args=(job,), daemon=True).start()
    options = {"--max-age": "0.3", "--max-batches": str(job.chunk_batches), "--drain": "10", **job.more}
    told = [word for option in options.items() for word in option]
    code = main(["consume", "--feeds", job.feed.name, "--port", "0", *told], standalone_mode=False)
    if code == TRY_AGAIN:
        raise RetriableError("the service ended with 3; its log says why")
    if code != OK:
        raise AssertionError(f"the service ended with {code}; its log says why")


def _die_in_load(job: Job) -> None:
    real, chunk = continuous.load_batches, 0

    def load(*arguments: Any, on_step: Any, **more: Any) -> Any:
        def told(step: Step) -> None:
            nonlocal chunk
            on_step(step)
            bugs.at_step(job.bug, step, job.folder, job.name)
            if chunk == job.die_in:
                die(job, step)
            chunk += step is Step.COMMITTED

        result = real(*arguments, on_step=told, **more)
        event(job.folder, "loaded", who=job.name, records=result.records, copies=result.duplicate_batches)
        return result

    continuous.load_batches = load  # type: ignore[attr-defined]


def _die_in_group(job: Job) -> None:
    positions, commit = continuous.FeedLoader.positions, Ownership._commit

    def placed(loader: Any, places: Sequence[Place]) -> Mapping[Place, int]:
        found = positions(loader, places)
        die(job, ServiceStep.PLACED)
        return found

    def committing(ownership: Any, consumer: Any, claims: Any, **more: Any) -> None:
        if any(claim.tracker.next_offset > 0 for claim in claims):
            die(job, ServiceStep.OFFSETS)
        commit(ownership, consumer, claims, **more)

    continuous.FeedLoader.positions = placed  # type: ignore[method-assign]
    Ownership._commit = committing  # type: ignore[method-assign]


def _tell_to_end(job: Job) -> None:
    """SIGTERM once nothing is left to do, as a service is stopped; SIGKILL when the run itself is gone."""
    parent = os.getppid()
    while not ((job.folder / ALL_SENT).exists() and _at_end(job)):
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)


def _at_end(job: Job) -> bool:
    """Whether the group's offsets, which follow the loads, are where the topic ends."""
    topic = job.feed.topic.name
    try:
        partitions = range(partition_count(admin_client(job.settings.kafka), topic))
        marks = watermarks(job.settings.kafka, topic, partitions)
        consumer = Consumer(consumer_config(job.settings.kafka, group_id=group_of(job.feed.name)))
        try:
            places = consumer.committed([TopicPartition(topic, partition) for partition in partitions], timeout=10)
        finally:
            consumer.close()
    except Exception:  # noqa: BLE001  brokers may be away; it is asked again
        return False
    return all(place.offset >= marks[place.partition][1] for place in places if marks[place.partition][1])
