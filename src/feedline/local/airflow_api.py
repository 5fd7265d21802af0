"""The few calls of Airflow's REST API that running a Dag by hand takes."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from feedline.errors import ConfigurationError, RetriableError
from feedline.local.process import ServiceNotReadyError

FINISHED = frozenset({"success", "failed"})
PAGE = 500
SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class TaskState:
    """One task instance; map_index is -1 for a task that is not mapped, state None for one not scheduled yet."""

    task_id: str
    map_index: int
    state: str | None
    started: datetime | None
    ended: datetime | None
    tries: int


class AirflowApi:
    """A signed-in user of one Airflow. Calls raise ServiceNotReadyError when it does not answer, another RetriableError
    when it fails at an answer (on SQLite, while somebody else writes), and ConfigurationError when it refuses."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url = url
        self._token = ""
        self._token = self._call("POST", "/auth/token", {"username": user, "password": password})["access_token"]

    def await_dag(self, dag: str, *, within_s: float = 300) -> None:
        """Returns when the Dag's file is parsed; raises ConfigurationError with its error when it cannot be."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            found = self._call("GET", f"/api/v2/dags?dag_id_pattern={dag}")["dags"]
            if any(entry["dag_id"] == dag and not entry["has_import_errors"] for entry in found):
                return
            time.sleep(0.5)
        errors = self._call("GET", "/api/v2/importErrors")["import_errors"]
        told = "; ".join(f"{e['filename']}: {e['stack_trace'].strip().splitlines()[-1]}" for e in errors)
        raise ConfigurationError(f"Airflow did not find the Dag {dag} in {within_s:.0f} s: {told or 'no file has it'}")

    def trigger(self, dag: str, conf: dict[str, Any] | None = None) -> str:
        """Starts a run of a Dag, unpausing it; the run's id."""
        self._call("PATCH", f"/api/v2/dags/{dag}?update_mask=is_paused", {"is_paused": False})
        run = self._call("POST", f"/api/v2/dags/{dag}/dagRuns", {"logical_date": None, "conf": conf or {}})
        return str(run["dag_run_id"])

    def run_state(self, dag: str, run: str) -> str:
        """queued, running, success or failed."""
        return str(self._call("GET", self._run(dag, run))["state"])

    def tasks(self, dag: str, run: str) -> list[TaskState]:
        """Every task instance of a run."""
        states: list[TaskState] = []
        while True:
            path = f"{self._run(dag, run)}/taskInstances?limit={PAGE}&offset={len(states)}&order_by=id"
            page = self._call("GET", path)
            states += map(_task_state, page["task_instances"])
            if len(states) >= page["total_entries"] or not page["task_instances"]:
                return states

    def run_address(self, dag: str, run: str) -> str:
        """The run's page for a browser."""
        return f"{self._url}/dags/{dag}/runs/{urllib.parse.quote(run, safe='')}"

    @staticmethod
    def _run(dag: str, run: str) -> str:
        return f"/api/v2/dags/{dag}/dagRuns/{urllib.parse.quote(run, safe='')}"

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310  the address is the local stack's own
            self._url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            detail = " ".join(error.read().decode(errors="replace").split())[:300]
            if error.code >= SERVER_ERROR:
                raise RetriableError(f"Airflow failed at {method} {path}, try again: {error.code} {detail}") from error
            raise ConfigurationError(f"Airflow refused {method} {path}: {error.code} {detail}") from error
        except OSError as error:
            raise ServiceNotReadyError(f"Airflow does not answer {method} {path}: {error}") from error


def _task_state(entry: dict[str, Any]) -> TaskState:
    return TaskState(
        task_id=entry["task_id"],
        map_index=entry["map_index"],
        state=entry["state"],
        started=_moment(entry["start_date"]),
        ended=_moment(entry["end_date"]),
        tries=entry["try_number"],
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
