"""Orders as FIX on three brokers: the engine's book holds every event of the topic, in sequence, once, every re-send is
marked, and a report of each comes back."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from fault.orders import OrderRun
from feedline.orders.fix.store import StoreFiles
from order_flow.flow import Flow, lives
from order_flow.gateway_process import Bug, Step


@pytest.fixture
def run(the_world, tmp_path, seed):
    with OrderRun(the_world, tmp_path, goal="booked by the engine", seed=seed) as made:
        made.flow.start_engine("--answer", "partial")
        yield made


@pytest.fixture
def running(run: OrderRun) -> Flow:
    return run.flow


def judged(run: OrderRun):
    return run.verdict(run.flow.await_settled(within_s=240))


def test_brokers_that_are_killed_one_after_the_other_cost_no_order(run: OrderRun, running: Flow, the_world):
    running.start_gateway()
    running.produce(lives(50))
    for node in the_world.cluster.nodes:
        run.kill_broker(node)
        running.produce(lives(60, seed=node), pace_s=0.01)
        the_world.cluster.start(node)
    assert (check := judged(run)).clean, str(check)


def test_gateways_engine_and_line_are_lost_again_and_again(run: OrderRun, running: Flow, seed):
    chance = random.Random(seed)
    names = ["GATEWAY-1", "GATEWAY-2", "GATEWAY-3"]
    for name in names:
        running.start_gateway(name)
    for turn in range(4):
        running.control("/behaviour", {"drop_after": 15})
        run.fault("the line is dropped between booking and answer")
        running.produce(lives(40, seed=10 + turn), pace_s=0.005)
        name = chance.choice(names)
        if turn % 2:
            run.end(name)
        else:
            run.kill(name)
        running.produce(lives(20, seed=20 + turn))
        run.kill("engine")
        running.again("engine")
        running.wait_for(running.engine_answers, "the engine is there")
        running.again(name)
    assert (check := judged(run)).clean, str(check)


def test_a_gateway_killed_between_keeping_a_message_and_counting_it_sends_it(run: OrderRun, running: Flow):
    """QuickFIX does the two in one call: the process is stopped at random until it stands just between them."""
    running.start_gateway()
    running.produce(lives(10))
    running.await_settled()
    process = running.processes["GATEWAY-1"]
    store = StoreFiles.of(running.home / "GATEWAY-1", "GATEWAY-1", "ENGINE")
    chance = random.Random(1)
    stopped_between = False
    for turn in range(40):
        running.produce(lives(300, seed=100 + turn))
        began = store.next_number()
        until = time.monotonic() + 2
        while not stopped_between and time.monotonic() < until and store.next_number() < began + 500:
            time.sleep(chance.random() * 0.002)
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            stopped_between = _kept(store) == store.next_number()
            if not stopped_between:
                process.send_signal(signal.SIGCONT)
        if stopped_between:
            break
    assert stopped_between
    number = store.next_number()
    run.kill("GATEWAY-1")
    assert _kept(store) == number == store.next_number()
    running.again("GATEWAY-1")
    assert (check := judged(run)).clean, str(check)


def _kept(store: StoreFiles) -> int:
    """The number of the last message that is in the store, whether it was counted or not."""
    entries = store.part("header").read_bytes().split()
    return int(entries[-1].split(b",")[0]) if entries else 0


def test_a_slow_engine_slows_the_reading_and_nothing_else(run: OrderRun, running: Flow):
    running.control("/behaviour", {"slow_s": 0.01})
    running.start_gateway("GATEWAY-1", "--max-in-flight", "20")
    running.produce(lives(200))
    running.wait_for(lambda: running.metrics().get("paused") == 1, "it does not read on")
    run.fault("the engine is slow: nothing is read")
    running.control("/behaviour", {"slow_s": 0})
    assert (check := judged(run)).clean, str(check)


def test_a_commit_before_sending_is_found_as_lost_writes(run: OrderRun, running: Flow):
    running.start_gateway(bug=Bug.COMMIT_FIRST, die_at=Step.INTENDED)
    running.produce(lives(40))
    running.wait_for(running.died, "it is killed")
    run.fault("SIGKILL of GATEWAY-1")
    running.start_gateway("GATEWAY-2")
    # Partitions are read in order: what was before these is sent by now, or never.
    later = lives(60, seed=2)
    running.produce(later)
    names = {f"{one.order_id}-{one.sequence}" for one in later}
    running.wait_for(lambda: names <= running.answered(), "what came later is answered")
    run.end("GATEWAY-2")
    assert "lost write" in run.verdict(running.check()).findings
