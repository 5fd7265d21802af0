"""Members of a group come, go, die and stop answering without pause: no message is passed over."""

from __future__ import annotations

import os
import signal

import pytest
from confluent_kafka import Consumer, TopicPartition

from fault import drivers
from fault.run import Run
from fault.workload import DAY
from feedline.consumer.pipeline_policy import Rebalance
from feedline.kafka.config import consumer_config


def _handled(run: Run) -> set[tuple[int, int]]:
    lines = (line.split() for file in run.folder.glob("handled-*.txt") for line in drivers._lines(file))
    return {(int(partition), int(offset)) for partition, offset in lines}


def _committed(run: Run) -> dict[int, int]:
    feed = run.workload.feed
    consumer = Consumer(consumer_config(run.settings.kafka, group_id=f"storm-{feed.name}"))
    try:
        asked = [TopicPartition(feed.topic.name, partition) for partition in range(feed.topic.partitions)]
        return {found.partition: found.offset for found in consumer.committed(asked, timeout=20)}
    finally:
        consumer.close()


def _passed_over(run: Run) -> list[tuple[int, int]]:
    """Offsets below what is committed that nobody was given."""
    # In this order: what is handled meanwhile is no excuse for an earlier commit.
    committed = _committed(run)
    handled = _handled(run)
    return [
        (partition, offset)
        for partition, end in committed.items()
        for offset in range(max(end, 0))
        if (partition, offset) not in handled
    ]


@pytest.mark.parametrize("rebalance", list(Rebalance))
def test_a_storm_of_rebalances_passes_no_message_over(the_world, seed, rebalance):
    with Run(the_world, seed=seed) as run:
        run.workload.land(DAY, 4_000)
        run.start(drivers.produce, "producer", pace_s=0.5)
        more = {"rebalance": rebalance.value}
        for number in range(3):
            run.start(drivers.consume, f"member-{number}", more=more)
        for gust in range(12):
            run.wait(run.random.uniform(0.5, 2.0))
            assert _passed_over(run) == []
            name = f"member-{run.random.randrange(3)}"
            what = run.random.choice(["kill", "leave", "pause"])
            actor = run.actors[name]
            if not actor.process.is_alive():
                continue
            if what == "kill":
                run.kill(name)
            elif what == "leave":
                (run.folder / f"leave-{name}").touch()
                run.fault(f"{name} leaves", gust=gust)
                run.wait_for(lambda actor=actor: bool(actor.process.exitcode is not None), f"{name} has left")
                (run.folder / f"leave-{name}").unlink()
                run.actors[name].done = False
                run.start(drivers.consume, name, more=more)
            else:
                os.kill(actor.process.pid, signal.SIGSTOP)
                run.fault(f"SIGSTOP of {name}", pid=actor.process.pid)
                run.wait(2)
                os.kill(actor.process.pid, signal.SIGCONT)
        run.await_done("producer")
        batches, ends, manifests = run._read_batches()
        places = {(batch.partition, batch.offset) for batch in batches} | manifests
        run.wait_for(lambda: places <= _handled(run), "every message has been handled", within_s=90)
        run.wait_for(lambda: _committed(run) == ends, "everything is committed", within_s=60)
        assert _passed_over(run) == []
        assert len(run.faults()) > 3
