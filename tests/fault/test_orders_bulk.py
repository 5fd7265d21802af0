"""Bulk order entry on three brokers: what lies committed on `orders.out` is what was given, each event once and each
order in sequence, whatever is killed and whoever takes over."""

from __future__ import annotations

import random

import psutil
import pytest

from fault.orders import PARTITIONS, OrderRun, bulk_given
from order_flow.entry_process import BulkStep, EntryBug
from order_flow.flow import lives

SHORT_S = 6.0


@pytest.fixture
def run(the_world, tmp_path, seed):
    with OrderRun(the_world, tmp_path, seed=seed) as made:
        yield made


def give(run: OrderRun, count: int, seed: int, pace_s: float = 0.0) -> None:
    run.flow.produce(lives(count, seed), topic=run.topics.bulk, pace_s=pace_s)


def start(run: OrderRun, name: str, *, delay: str = "exp:40", **options) -> None:
    run.flow.start_bulk(name, "--delay", delay, short_s=SHORT_S, **options)


def await_landed(run: OrderRun) -> None:
    run.flow.wait_for(lambda: run.has_landed(run.flow.given), "all is on orders.out", within_s=240)


def judged(run: OrderRun):
    given = bulk_given(run.flow.given)
    return run.verdict(run.check_topic(given))


def test_an_instance_that_dies_at_every_step_in_turn_publishes_everything_once(run: OrderRun):
    for number, step in enumerate(BulkStep):
        give(run, 30, seed=number)
        name = f"bulk-{number % 2}"
        start(run, name, die_at=step, after=20 if step is BulkStep.PRODUCED else 2)
        run.flow.wait_for(lambda name=name: run.flow.died(name), f"it is killed: {step}")
        run.fault(f"SIGKILL of {name} at {step}")
    start(run, "bulk-0")
    await_landed(run)
    run.end("bulk-0")
    assert (check := judged(run)).clean, str(check)


def test_instances_and_brokers_that_come_and_go_under_load_publish_everything_once(run: OrderRun, the_world, seed):
    chance = random.Random(seed)
    names = ["bulk-0", "bulk-1", "bulk-2"]
    for name in names:
        start(run, name)
    nodes = iter(the_world.cluster.nodes)
    for turn in range(9):
        give(run, 40, seed=100 * seed + turn, pace_s=0.005)
        name = chance.choice(names)
        if turn % 3 == 2:
            node = next(nodes)
            run.kill_broker(node)
            give(run, 20, seed=100 * seed + 50 + turn, pace_s=0.01)
            the_world.cluster.start(node)
        elif turn % 3 == 1:
            run.end(name)
            run.flow.again(name)
        else:
            run.kill(name)
            run.flow.again(name)
    await_landed(run)
    for name in names:
        run.end(name)
    assert (check := judged(run)).clean, str(check)


def test_a_commit_before_publishing_is_found_as_lost_writes(run: OrderRun):
    give(run, 60, seed=1)
    start(run, "bulk-0", bug=EntryBug.COMMIT_FIRST, die_at=BulkStep.PRODUCED, after=5)
    run.flow.wait_for(lambda: run.flow.died("bulk-0"), "it is killed")
    run.fault("SIGKILL of bulk-0")
    later = lives(60, seed=2)
    run.flow.produce(later, topic=run.topics.bulk)
    start(run, "bulk-0", delay="0")
    # Partitions are read in order: what was before these is published by now, or never.
    run.flow.wait_for(lambda: run.has_landed(later), "what came later is there")
    run.end("bulk-0")
    assert "lost write" in judged(run).findings


@pytest.mark.parametrize("bug", [None, EntryBug.NO_TRANSACTION])
def test_one_that_slept_while_another_took_over_is_found_to_double_without_transactions(run: OrderRun, bug):
    """It stops with a transaction open, of which the broker has the first event. The group knows how far it was before:
    of a topic that it knows nothing of, nobody goes on with events that others have entered."""
    give(run, 4 * PARTITIONS, seed=2)
    start(run, "bulk-1", delay="0", bug=bug)
    await_landed(run)
    run.end("bulk-1")
    give(run, 20 * PARTITIONS, seed=1)
    start(run, "bulk-0", delay="0", bug=bug, stop_at=BulkStep.PRODUCED)
    zombie = psutil.Process(run.flow.processes["bulk-0"].pid)
    run.flow.wait_for(lambda: zombie.status() == psutil.STATUS_STOPPED, "it sleeps")
    run.fault("SIGSTOP of bulk-0", pid=zombie.pid)
    start(run, "bulk-1", delay="1", bug=bug)
    await_landed(run)
    zombie.resume()
    run.fault("SIGCONT of bulk-0")
    run.flow.wait_for(lambda: bulk_goes_on(run, "bulk-0"), "it goes on")
    give(run, 4 * PARTITIONS, seed=3)
    await_landed(run)
    run.end("bulk-1")
    run.end("bulk-0")
    check = judged(run)
    assert check.clean if bug is None else "duplicate" in check.findings, str(check)


def bulk_goes_on(run: OrderRun, name: str) -> bool:
    """It has published what it had at hand, or has learnt that it may not."""
    counts = run.flow.metrics(name, "feedline_orders_bulk")
    return any(counts.get(f"{what}_total") for what in ("publish", "given_up", "producers_renewed"))
