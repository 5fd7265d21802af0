"""A real Airflow in the world of a run: its Dags move the run's feed, and its tasks and workers can be killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import psutil

from fault.run import Run
from fault.workload import write_settings
from feedline.local.airflow import AirflowConfig, airflow_login, await_airflow, start_airflow
from feedline.local.airflow_api import FINISHED, AirflowApi
from feedline.local.ports import choose_ports
from feedline.local.process import stop_processes

PROJECT = Path(__file__).parents[2]
DAG = "ihub_eod"
# Dags name their feeds; this one's catalogue says that it is the run's.
FEED = "accounts"
# A worker that no longer says that its task lives is taken for dead after 20 s instead of 300.
IMPATIENT = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "5",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
}


class Airflow(AirflowApi):
    """The REST API, with the processes behind its task instances."""

    def eod(self, day: date) -> str:
        return self.trigger(DAG, {"business_date": day.isoformat(), "feeds": [FEED]})

    def instance(self, run: str, step: str) -> dict[str, Any]:
        """The one instance of a step of the feed, as Airflow tells it; empty when there is none yet."""
        found = self._call("GET", f"{self._run(DAG, run)}/taskInstances?limit=200")["task_instances"]
        mine = [one for one in found if one["task_id"] == f"{FEED}.{step}"]
        return mine[0] if mine else {}

    def process(self, run: str, step: str) -> psutil.Process | None:
        """The process of a step that runs now."""
        instance = self.instance(run, step)
        if instance.get("state") != "running" or not instance.get("pid"):
            return None
        try:
            return psutil.Process(instance["pid"])
        except psutil.NoSuchProcess:
            return None

    def ended(self, run: str) -> bool:
        return self.run_state(DAG, run) in FINISHED


def kill_task(task: psutil.Process) -> int:
    """SIGKILL of the process that runs the task's code; its supervisor sees it end."""
    os.kill(task.pid, signal.SIGKILL)
    return task.pid


def kill_worker(task: psutil.Process) -> int:
    """SIGKILL of the worker that supervises the task: the task's own process goes on, and nobody looks after it."""
    worker = task.parent()
    assert worker is not None
    os.kill(worker.pid, signal.SIGKILL)
    return worker.pid


@contextmanager
def airflow(run: Run, warehouse_port: int) -> Iterator[Airflow]:
    """Airflow on the run's services, with the warehouse at another port than its own."""
    home = run.world.home
    settings = replace(run.settings, warehouse={**run.settings.warehouse, "port": warehouse_port})
    config = AirflowConfig(
        folder=home / "airflow",
        log=home / "logs" / "airflow.log",
        port=choose_ports({"airflow": 0}, {})["airflow"],
        project=PROJECT,
        settings_file=write_settings(settings, run.workload.feed, run.folder),
        bootstrap=str(settings.kafka["bootstrap.servers"]),
        registry_url=str(settings.registry["url"]),
        warehouse=settings.warehouse,
    )
    before = {name: os.environ.get(name) for name in IMPATIENT}
    os.environ.update(IMPATIENT)
    process = start_airflow(config, home)
    try:
        await_airflow(process, within_s=900)
        api = Airflow(config.url, *airflow_login(config.folder))
        api.await_dag(DAG)
        yield api
    finally:
        stop_processes([process.pid], home, within_s=20)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
