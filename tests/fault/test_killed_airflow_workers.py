"""Airflow's tasks and workers die by SIGKILL while a day is loaded, and Airflow's own retry brings it to its end."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import pytest

from fault.airflow import DAG, FEED, airflow, kill_task, kill_worker
from fault.run import Run
from fault.warehouse_line import Lose, WarehouseLine
from fault.workload import DAY

RECORDS = 600
# How long a day may take: a start, a death that is noticed after 20 s, a retry 10 s later, on a machine that is busy.
DAY_WITHIN_S = 300

# Kills at a random moment, until one meets a task.
TRIES = 9

# What is held up while the task is killed; what was on its way then still arrives, as it may.
STEPS = {
    "before PUT": ("PUT", Lose.BEFORE),
    "before COPY": ("COPY", Lose.BEFORE),
    "after COPY": ("COPY", Lose.AFTER),
    "COMMIT on its way": ("COMMIT", Lose.BEFORE),
    "after COMMIT": ("COMMIT", Lose.AFTER),
}


@pytest.fixture
def line(the_world):
    line = WarehouseLine(the_world.settings.warehouse["port"])
    yield line
    line.close()


@pytest.mark.timeout(2400)
def test_a_day_whose_tasks_and_workers_are_killed_is_in_the_tables_once(the_world, line, seed):
    with Run(the_world, seed=seed, feed_name=FEED) as run, airflow(run, line.port) as api:
        days = count()

        def start():
            day = DAY + timedelta(days=next(days))
            run.workload.land(day, RECORDS, bad=1)
            return api.eod(day)

        def until(condition, what):
            run.wait_for(condition, what, within_s=DAY_WITHIN_S)

        def succeed(day):
            until(lambda: api.ended(day), f"{day} ends")
            assert api.run_state(DAG, day) == "success"

        def kill_held_up(name, kill, what):
            statement, when = STEPS[name]
            before = line.held[statement, when]
            line.hold(statement, when)
            day = start()
            until(lambda: line.held[statement, when] > before, f"the load is {name}")
            until(lambda: api.process(day, "load"), "Airflow tells the process of the load")
            run.fault(f"SIGKILL of {what}: {name}", pid=kill(api.process(day, "load")))
            line.heal()
            succeed(day)
            return day

        for name in STEPS:
            day = kill_held_up(name, kill_task, "the load's task")
            assert api.instance(day, "load")["try_number"] == 2
        # The task outlives its worker and is no longer anybody's; whoever is second finds the work done.
        kill_held_up("before COPY", kill_worker, "the load's worker")

        named = len(run.faults())
        for number in range(TRIES):
            step, day = ("produce", "load")[number % 2], start()
            until(lambda day=day, step=step: api.process(day, step), f"{step} runs")
            # A task may be quicker: the next one is waited for less long.
            run.wait(run.random.uniform(0, 2.5 / (number + 1)))
            process = api.process(day, step)
            if process is not None:
                run.fault(f"SIGKILL of the {step} task", pid=kill_task(process))
            succeed(day)
            if number > 1 and len(run.faults()) > named:
                break

        assert run.finish().clean, str(run.verdict)
        assert len(run.faults()) > named
