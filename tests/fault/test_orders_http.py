"""Order entry over HTTP on three brokers: what was answered lies where the answer says, once and in sequence;
the same request is the same order, whatever is killed."""

from __future__ import annotations

import random

import pytest

from fault.orders import OrderRun
from order_flow.entry_process import EntryBug


@pytest.fixture
def run(the_world, tmp_path, seed):
    with OrderRun(the_world, tmp_path, seed=seed) as made:
        yield made


def judged(run: OrderRun):
    """The verdict on what was entered; every request that was repeated was the same order."""
    clients = run.clients
    assert clients is not None
    clients.stop()
    assert not clients.wrong, clients.wrong[:3]
    assert all(len(ids) <= 1 for ids in clients.order_ids().values())
    return run.verdict(run.check_topic(clients.given()))


def test_instances_that_are_killed_and_ended_under_load_lose_no_answered_order(run: OrderRun, seed):
    chance = random.Random(seed)
    names = ["entry-0", "entry-1", "entry-2"]
    run.flow.start_engine("--answer", "ack")
    run.flow.start_gateway()
    run.start_entries(*names)
    clients = run.start_clients(*names, seed=seed)
    for turn in range(6):
        run.await_acknowledged(60)
        name = names[turn % 3]
        run.flow.wait_for(lambda name=name: run.flow.entry_is_ready(name), f"{name} is ready")
        run.end(name) if turn in (1, 4) else run.kill(name)
        run.await_acknowledged(chance.randrange(20, 60))
        run.flow.again(name)
    check = judged(run)
    assert check.clean, str(check)
    assert clients.counts["cut"] > 0, clients.counts
    assert clients.counts["200"] > 0, clients.counts
    # The engine has booked what was answered, each order in sequence, and nothing else.
    run.flow.expected = sorted((one.order_id, one.name[1]) for one in run.found())
    run.flow.expected = list(dict.fromkeys(run.flow.expected))
    assert run.flow.await_settled().clean, str(run.flow.check())


def test_brokers_that_are_killed_cost_no_answered_order_and_two_at_once_are_told(run: OrderRun, the_world):
    run.start_entries("entry-0", "entry-1")
    clients = run.start_clients("entry-0", "entry-1")
    for node in the_world.cluster.nodes:
        run.await_acknowledged(40)
        run.kill_broker(node)
        run.await_acknowledged(40)
        the_world.cluster.start(node)
    before = clients.counts["503"]
    run.kill_broker(1)
    run.kill_broker(2)
    run.flow.wait_for(lambda: clients.counts["503"] > before + 3, "it is told that nothing can be entered")
    run.fault("brokers 1 and 2 are back")
    the_world.cluster.start(1, 2)
    run.await_acknowledged(60)
    for name in ("entry-0", "entry-1"):
        run.flow.wait_for(lambda name=name: run.flow.entry_is_ready(name), f"{name} is ready by itself")
    check = judged(run)
    assert check.clean, str(check)


def test_answers_before_the_acknowledgement_are_found_as_lost_writes(run: OrderRun, the_world):
    run.start_entries("entry-0", bug=EntryBug.EARLY_ANSWER)
    clients = run.start_clients("entry-0")
    run.await_acknowledged(20)
    for node in the_world.cluster.nodes:
        the_world.cluster.pause(node)
    run.fault("SIGSTOP of all brokers")
    run.await_acknowledged(1)
    run.kill("entry-0")
    clients.give_up()
    for node in the_world.cluster.nodes:
        the_world.cluster.resume(node)
    check = run.verdict(run.check_topic(clients.given()))
    assert "lost write" in check.findings, str(check)
