"""Order entry over HTTP on three brokers: what was answered lies where the answer says, once and in sequence;
the same request is the same order, whatever is killed."""

from __future__ import annotations

import random
import time

import pytest

from fault.orders import OrderRun
from fault.world import host_of
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
    one, *others = the_world.cluster.nodes
    run.await_acknowledged(40)
    run.kill_broker(one)
    run.await_acknowledged(40)
    the_world.cluster.start(one)
    before = clients.counts["503"]
    for node in others:
        run.kill_broker(node)
    run.flow.wait_for(lambda: clients.counts["503"] > before + 3, "it is told that nothing can be entered")
    run.fault("all brokers are started")
    the_world.cluster.start(*others)
    run.await_acknowledged(60)
    for name in ("entry-0", "entry-1"):
        run.flow.wait_for(lambda name=name: run.flow.entry_is_ready(name), f"{name} is ready by itself")
    check = judged(run)
    assert check.clean, str(check)


@pytest.mark.parametrize("bug", [None, EntryBug.ONE_COPY])
def test_a_leader_that_its_peers_cannot_reach_loses_answered_orders_with_acks_1_only(run: OrderRun, the_world, bug):
    """What it alone has is gone when another leads. Without a key nothing is read back before the answer."""
    run.start_entries("entry-0", **({"bug": bug} if bug else {}))
    clients = run.start_clients("entry-0", keyed=bug is None)
    run.await_acknowledged(40)
    # With the bug each broker in turn: one cut may find no client that was writing to it just then.
    for cut in list(the_world.cluster.nodes)[: 1 if bug is None else None]:
        the_world.network.held.clear()
        the_world.network.isolate(host_of(cut), [host_of(node) for node in the_world.cluster.nodes if node != cut])
        run.fault(f"network cut between broker {cut} and the others")
        run.flow.wait_for(lambda cut=cut: not the_world.leads(cut, run.topics.out), "another broker leads")
        time.sleep(2)
        held = {"-".join(sorted(link)): count for link, count in the_world.network.held.items()}
        run.fault("network healed", **held)
        assert held
        the_world.network.heal()
        # Whoever asks after an order that is gone is not answered any more.
        if bug is not None and "lost write" in run.check_topic(clients.given()).findings:
            break
        run.await_acknowledged(20)
    if bug is None:
        assert (check := judged(run)).clean, str(check)
    else:
        clients.give_up()
        assert "lost write" in run.verdict(run.check_topic(clients.given())).findings


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
