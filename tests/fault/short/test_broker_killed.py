"""A broker dies under load: nothing that was acknowledged is lost, nothing is loaded twice."""

from __future__ import annotations

from fault import drivers
from fault.run import Run
from fault.workload import DAY


def test_a_broker_that_is_killed_under_load_costs_no_record(the_world):
    with Run(the_world) as run:
        run.workload.land(DAY, 3_000, bad=3)
        run.start(drivers.witness, "witness")
        run.start(drivers.produce, "producer", pace_s=0.3)
        run.start(drivers.load, "loader")
        run.wait_for(lambda: len(run.acknowledged()) > 500, "a part is acknowledged")
        run.fault("SIGKILL of broker 1", pid=the_world.cluster.kill(1))
        assert the_world.cluster.pid(1) is None
        run.wait(3)
        the_world.cluster.start(1)
        assert run.finish().clean, str(run.verdict)
        assert run.verdict.counts["on the error topic"] == 3
        assert len(run.faults()) == 1
