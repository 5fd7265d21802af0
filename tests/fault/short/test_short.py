"""The part that every change is held to: one broker killed, and two bugs that must be found."""

from __future__ import annotations

from fault import bugs, drivers
from fault.checker import check
from fault.run import Run
from fault.workload import DAY
from feedline.warehouse.load import Step
from feedline.warehouse.names import data_table


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
        # What it sees when an amount is wrong by the least that there is.
        table, record = data_table(run.workload.feed.table), run.workload.source[0]
        run.query(f"UPDATE {table} SET AMOUNT = AMOUNT + 0.0001 WHERE ID = '{record}'")
        assert check(run.observe()).names == {"changed"}


def test_a_checkpoint_committed_before_its_load_is_found_as_unseen(the_world):
    with Run(the_world) as run:
        run.workload.land(DAY, 300)
        run.start(drivers.produce, "producer")
        run.await_done("producer")
        run.start(drivers.load, "loader", bug=bugs.CHECKPOINT_FIRST, die_at=Step.COPIED)
        assert "unseen" in run.finish().names
        assert run.faults()


def test_a_load_that_does_not_look_into_the_ledger_is_found_as_duplicates(the_world):
    with Run(the_world) as run:
        run.workload.land(DAY, 300)
        for again in range(2):
            run.start(drivers.produce, f"producer-{again}")
            run.await_done(f"producer-{again}")
            run.start(drivers.load, f"loader-{again}", bug=bugs.NO_LEDGER, once=True)
            run.await_done(f"loader-{again}")
        assert "duplicate" in run.finish().names
