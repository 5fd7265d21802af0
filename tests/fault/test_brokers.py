"""Brokers die, stop answering, and are too few."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fault import bugs, drivers
from fault.run import Run
from fault.workload import DAY
from fault.world import host_of


def _start(run: Run, records: int = 2_400, **options) -> None:
    run.workload.land(DAY, records, bad=2)
    run.start(drivers.witness, "witness")
    run.start(drivers.produce, "producer", pace_s=0.4, **options)
    run.start(drivers.load, "loader")
    run.wait_for(lambda: len(run.acknowledged()) > 300, "a part is acknowledged")


def _one_more_delivery(run: Run, number: int) -> None:
    """Under way when this returns, for half a minute at least: a broker's restart takes as long as it takes."""
    day = DAY + timedelta(days=number)
    run.workload.land(day, 1_600)
    before = len(run.acknowledged())
    run.start(drivers.produce, f"producer-{number}", day=day, pace_s=2.0)
    run.wait_for(lambda: len(run.acknowledged()) > before, "a part of the delivery is acknowledged")
    assert not run.actors[f"producer-{number}"].done


def test_each_broker_in_turn_is_killed_under_load(the_world):
    with Run(the_world) as run:
        run.start(drivers.witness, "witness")
        run.start(drivers.load, "loader")
        for number, node in enumerate(the_world.cluster.nodes):
            _one_more_delivery(run, number)
            run.fault(f"SIGKILL of broker {node}", pid=the_world.cluster.kill(node))
            assert the_world.cluster.pid(node) is None
            run.wait(3)
            the_world.cluster.start(node)
        assert run.finish(within_s=180).clean, str(run.verdict)


def test_each_broker_in_turn_stops_answering_under_load(the_world):
    with Run(the_world) as run:
        run.start(drivers.witness, "witness")
        run.start(drivers.load, "loader")
        for number, node in enumerate(the_world.cluster.nodes):
            _one_more_delivery(run, number)
            pid = the_world.cluster.pause(node)
            run.fault(f"SIGSTOP of broker {node}", pid=pid, stopped=the_world.cluster.is_stopped(node))
            assert the_world.cluster.is_stopped(node)
            run.wait(9)
            the_world.cluster.resume(node)
        assert run.finish(within_s=180).clean, str(run.verdict)


def test_two_brokers_down_is_a_clear_error_and_all_goes_on_when_they_are_back(the_world):
    with Run(the_world) as run:
        patience = {**run.settings.kafka, "delivery.timeout.ms": 6_000}
        run.settings = _with_kafka(run.settings, patience)
        _start(run)
        for node in (1, 2):
            run.fault(f"SIGKILL of broker {node}", pid=the_world.cluster.kill(node))
        run.wait_for(lambda: run.retries("producer"), "the producer says that it cannot go on")
        assert set(run.retries("producer")) == {"BrokerUnavailableError"}
        the_world.cluster.start(1, 2)
        assert run.finish(within_s=180).clean, str(run.verdict)
        assert not run.events("failed")


def _with_kafka(settings, kafka):
    from dataclasses import replace

    return replace(settings, kafka=kafka)


def test_a_broker_that_clients_cannot_reach_holds_up_and_loses_nothing(the_world):
    with Run(the_world) as run:
        _start(run)
        run.fault("network cut between clients and broker 2")
        the_world.network.cut("client", host_of(2))
        run.wait(12)
        held = the_world.network.held[frozenset(("client", host_of(2)))]
        run.fault("network healed", held_up=held)
        the_world.network.heal()
        assert held > 0
        assert run.finish(within_s=180).clean, str(run.verdict)


@pytest.mark.parametrize("node", [1, 2, 3])
def test_a_broker_that_the_others_cannot_reach_loses_nothing(the_world, node):
    with Run(the_world) as run:
        _cut_off(run, node, bug=None)
        assert run.finish(within_s=180).clean, str(run.verdict)


def test_acknowledged_by_one_copy_only_is_found_as_a_lost_write(the_world):
    with Run(the_world) as run:
        _cut_off(run, 2, bug=bugs.ONE_COPY)
        assert "lost write" in run.finish(within_s=180).names


def _cut_off(run: Run, node: int, *, bug: str | None) -> None:
    """Clients reach the broker, its peers do not: what it alone acknowledges is gone when another leads."""
    world = run.world
    ids = tuple(run.workload.new_ids(2_500))
    run.start(drivers.stream, "producer", ids=ids, pace_s=0.01, bug=bug)
    run.wait_for(lambda: len(run.acknowledged()) > 200, "a part is acknowledged")
    others = [host_of(other) for other in world.cluster.nodes if other != node]
    world.network.held.clear()
    world.network.isolate(host_of(node), others)
    run.fault(f"network cut between broker {node} and the others")
    run.wait_for(lambda: not world.leads(node, run.workload.feed.topic.name), "another broker leads")
    run.wait(2)
    held = {"-".join(sorted(link)): count for link, count in world.network.held.items()}
    run.fault("network healed", **held)
    assert held
    world.network.heal()
    run.await_done("producer", within_s=180)
    run.wait(3)
    run.start(drivers.load, "loader")
