"""`feedline consume` dies by SIGKILL, at every named step and at any moment, and one started in its place goes on."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fault import drivers, service
from fault.run import Run
from fault.service import ServiceStep
from fault.workload import DAY
from feedline.consumer.pipeline_policy import Rebalance
from feedline.warehouse.load import Step


@pytest.mark.parametrize("step", [*Step, *ServiceStep])
def test_a_service_that_dies_at_a_step_loads_all_of_it_once(the_world, step):
    with Run(the_world) as run:
        run.workload.land(DAY, 600, bad=2)
        run.start(drivers.produce, "producer")
        run.start(service.serve, "service", die_at=step, chunk_batches=15)
        assert run.finish().clean, str(run.verdict)
        assert run.faults() == [f"SIGKILL of service: {step}"]
        assert run.actors["service"].exits == [-9, 0]


@pytest.mark.parametrize("rebalance", list(Rebalance))
def test_services_that_die_at_any_moment_lose_nothing_and_double_nothing(the_world, seed, rebalance):
    with Run(the_world, seed=seed) as run:
        more = {"--rebalance": rebalance.value}
        names = ["service-0", "service-1", "service-2"]
        for name in names:
            run.start(service.serve, name, more=more, chunk_batches=10)
        for number in range(3):
            day = DAY + timedelta(days=number)
            run.workload.land(day, 900, bad=1)
            run.start(drivers.produce, f"producer-{number}", day=day, pace_s=0.5)
        run.start(drivers.witness, "witness")
        fired = 0
        for _ in range(10):
            run.wait(run.random.uniform(0.5, 3.0))
            fired += run.kill(run.random.choice(names))
        assert run.finish(within_s=180).clean, str(run.verdict)
        assert fired == len(run.faults()) > 0
