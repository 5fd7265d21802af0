"""The whole local stack, Airflow included, and a small day of files, for the whole session."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from feedline.local.airflow import airflow_login
from feedline.local.stack import StackConfig, down, status, up
from feedline.settings import Settings

ROOT = Path(__file__).parents[2]
BUSINESS_DATE = date(2026, 11, 20)
FUNDS = 2
FINISHED = {"success", "failed"}


class Airflow:
    """The REST API of the stack's Airflow, as its user."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        self.user = user
        self.password = password
        self._token = ""
        self._token = self.call("POST", "/auth/token", {"username": user, "password": password})["access_token"]

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def trigger(self, dag: str, **conf: Any) -> str:
        """Starts a run; its id."""
        self.call("PATCH", f"/api/v2/dags/{dag}", {"is_paused": False})
        return self.call("POST", f"/api/v2/dags/{dag}/dagRuns", {"logical_date": None, "conf": conf})["dag_run_id"]

    def finish(self, dag: str, run: str, *, within_s: float = 300) -> str:
        """Waits for the end of a run; its state."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            state = self.call("GET", f"/api/v2/dags/{dag}/dagRuns/{run}")["state"]
            if state in FINISHED:
                return str(state)
            time.sleep(1)
        raise AssertionError(f"{run} is still {state}: {self.unfinished(dag, run)}")

    def run(self, dag: str, **conf: Any) -> str:
        """Starts a run and waits for it; its id when it succeeded."""
        run = self.trigger(dag, **conf)
        state = self.finish(dag, run)
        assert state == "success", (run, self.unfinished(dag, run))
        return run

    def tasks(self, dag: str, run: str) -> list[dict[str, Any]]:
        return self.call("GET", f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances?limit=1000")["task_instances"]

    def task(self, dag: str, run: str, task: str) -> dict[str, Any]:
        """The one instance of a task, mapped or not."""
        [found] = [instance for instance in self.tasks(dag, run) if instance["task_id"] == task]
        return found

    def log(self, dag: str, run: str, task: str, *, attempt: int = 1, map_index: int = -1) -> str:
        """What a task logged, as text."""
        path = f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances/{task}/logs/{attempt}?map_index={map_index}"
        content = self.call("GET", path)["content"]
        return "\n".join(line if isinstance(line, str) else line.get("event", "") for line in content)

    def unfinished(self, dag: str, run: str) -> dict[str, str]:
        """Every task that has not succeeded, with its state."""
        return {t["task_id"]: t["state"] for t in self.tasks(dag, run) if t["state"] not in ("success", "skipped")}


@dataclass(frozen=True)
class Stack:
    home: Path
    settings: Settings
    airflow: Airflow


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("e2e").resolve()
    try:
        settings = up(StackConfig(home=home, project=ROOT))
        [url] = [service.address for service in status(home) if service.name == "airflow"]
        yield Stack(home, settings, Airflow(str(url), *airflow_login(home / "airflow")))
    finally:
        down(home)


@pytest.fixture(scope="session")
def day(stack: Stack) -> date:
    """The business date of a small day whose files have landed, on a provisioned cluster and warehouse."""
    stack.airflow.run("ihub_provision")
    return BUSINESS_DATE
