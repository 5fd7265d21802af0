"""Producers and loaders die by SIGKILL: at every named step, and whenever it happens to be."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fault import drivers
from fault.drivers import ProduceStep
from fault.run import Run
from fault.workload import DAY
from feedline.warehouse.load import Step


@pytest.mark.parametrize("step", list(Step))
def test_a_loader_that_dies_at_a_step_loads_all_of_it_once(the_world, step):
    with Run(the_world) as run:
        run.workload.land(DAY, 600, bad=2)
        run.start(drivers.produce, "producer")
        run.await_done("producer")
        run.start(drivers.load, "loader", die_at=step, die_in=1, chunk_batches=15)
        assert run.finish().clean, str(run.verdict)
        assert run.faults() == [f"SIGKILL of loader: {step}"]
        assert run.actors["loader"].exits == [-9, 0]


@pytest.mark.parametrize("step", list(ProduceStep))
def test_a_producer_that_dies_at_a_step_delivers_all_of_it_once(the_world, step):
    with Run(the_world) as run:
        run.workload.land(DAY, 600, bad=2)
        run.start(drivers.load, "loader")
        run.start(drivers.produce, "producer", die_at=step, die_in=30)
        assert run.finish().clean, str(run.verdict)
        assert run.faults() == [f"SIGKILL of producer: {step}"]
        assert run.actors["producer"].exits == [-9, 0]


def test_a_program_that_dies_while_it_sends_records_one_by_one_sends_the_rest_and_none_twice(the_world):
    with Run(the_world) as run:
        ids = tuple(run.workload.new_ids(600))
        run.start(drivers.load, "loader")
        run.start(drivers.stream, "producer", ids=ids, pace_s=0.005, die_at="record 300", die_in=300)
        assert run.finish().clean, str(run.verdict)
        assert run.actors["producer"].exits == [-9, 0]


def test_drivers_that_die_at_any_moment_lose_nothing_and_double_nothing(the_world, seed):
    with Run(the_world, seed=seed) as run:
        for number in range(3):
            run.workload.land(DAY + timedelta(days=number), 900, bad=1)
            day = DAY + timedelta(days=number)
            run.start(drivers.produce, f"producer-{number}", day=day, pace_s=0.3)
        run.start(drivers.witness, "witness")
        run.start(drivers.load, "loader-1", chunk_batches=10)
        run.start(drivers.load, "loader-2", chunk_batches=10)
        fired = 0
        for _ in range(10):
            run.wait(run.random.uniform(0.2, 2.0))
            names = ["producer-0", "producer-1", "producer-2", "loader-1", "loader-2"]
            fired += run.kill(run.random.choice(names))
        assert run.finish().clean, str(run.verdict)
        assert fired == len(run.faults()) > 0
