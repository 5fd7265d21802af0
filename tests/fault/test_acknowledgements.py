"""Messages that librdkafka reports as delivered, since a later one was, and that no broker has.

A topic asks for three in-sync copies while a broker is down, so every message is refused and sent again and again, up
to five of a partition at a time. In the moment when two copies are enough, the first of them is refused and the next
one taken, on some partitions: those are the ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from fault import bugs, drivers
from fault.run import Run
from fault.workload import BATCH, DAY
from fault.world import World
from feedline.kafka.admin import admin_client

PARTITIONS = 24
PRODUCERS = 4
# Five messages of a producer on each partition are under way at once.
MESSAGES = PARTITIONS * 5
ROUNDS = 25
SENT_AGAIN = "it is sent again"
# Refused messages are tried again at once, not after a tenth of a second and more.
HASTY = {"retry.backoff.ms": 20, "retry.backoff.max.ms": 20}

Begin = Callable[[Run, str, int], Any]


def streams(run: Run, name: str, number: int, bug: str | None = None) -> None:
    ids = tuple(run.workload.new_ids(MESSAGES))
    more = HASTY | {"batch.num.messages": 1}
    run.start(drivers.stream, name, ids=ids, day=DAY + timedelta(days=number), bug=bug, more=more)


def files(run: Run, name: str, number: int) -> None:
    day = DAY + timedelta(days=number)
    run.workload.land(day, MESSAGES * BATCH)
    settings = replace(run.settings, kafka={**run.settings.kafka, **HASTY})
    run.start(drivers.produce, name, day=day, settings=settings)


@pytest.mark.parametrize("begin", [streams, files])
def test_what_was_only_concluded_to_be_delivered_is_sent_again(the_world, begin):
    with Run(the_world, partitions=PARTITIONS) as run, _a_broker_less(run):
        run.start(drivers.load, "loader")
        rounds = _until(lambda: _sent_again(run), run, begin)
        assert _sent_again(run), f"nothing was only concluded to be delivered in {rounds} rounds"
        assert run.finish(within_s=180).clean, str(run.verdict)


def test_a_report_without_an_offset_that_is_believed_is_found_as_a_lost_write(the_world):
    with Run(the_world, partitions=PARTITIONS) as run, _a_broker_less(run):
        run.start(drivers.load, "loader")
        _until(lambda: _without_offset(run), run, partial(streams, bug=bugs.BELIEVING))
        run.finish(within_s=180)
        assert run.verdict is not None
        assert {"lost write", "books"} <= run.verdict.names, str(run.verdict)


@contextmanager
def _a_broker_less(run: Run) -> Iterator[None]:
    world = run.world
    node = world.cluster.nodes[-1]
    run.fault(f"SIGKILL of broker {node}", pid=world.cluster.kill(node))
    topic = run.workload.feed.topic.name
    run.wait_for(lambda: not world.leads(node, topic), "other brokers lead")
    try:
        yield
        _need_copies(world, topic, 2)
    finally:
        world.cluster.start(node)


def _until(seen: Callable[[], object], run: Run, begin: Begin) -> int:
    """Rounds of refused first messages until it is seen; how many it took."""
    topic, number, refused = run.workload.feed.topic.name, 0, 0
    while not seen() and number < ROUNDS * PRODUCERS:
        _need_copies(run.world, topic, 3)
        names = [f"producer-{number + one}" for one in range(PRODUCERS)]
        for name in names:
            begin(run, name, number)
            number += 1
        enough = refused + MESSAGES * PRODUCERS
        run.wait_for(lambda enough=enough: _refused(run) >= enough, "the brokers refuse the messages again and again")
        _need_copies(run.world, topic, 2)
        run.fault("two in-sync copies are enough again", round=number // PRODUCERS)
        run.await_done(*names)
        refused = _refused(run)
    return number // PRODUCERS


def _refused(run: Run) -> int:
    """How often brokers have said so in their logs."""
    said = f":{run.workload.feed.topic.name}-"
    logs = (run.world.home / "logs").glob("kafka-*.log")
    lines = (line for log in logs for line in log.open(encoding="utf-8", errors="replace"))
    return sum("Error processing append operation" in line and said in line for line in lines)


def _need_copies(world: World, topic: str, copies: int) -> None:
    entry = ConfigEntry("min.insync.replicas", str(copies), incremental_operation=AlterConfigOpType.SET)
    changed = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = admin_client(world.settings.kafka)
    admin.incremental_alter_configs([changed])[changed].result(30)


def _sent_again(run: Run) -> int:
    return sum(file.read_text(encoding="utf-8").count(SENT_AGAIN) for file in run.folder.glob("producer-*.log"))


def _without_offset(run: Run) -> int:
    return sum(offset < 0 for _, _, offset in run.acknowledgements())
