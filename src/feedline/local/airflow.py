"""Airflow: API server, scheduler, Dag processor and triggerer in one family of processes."""

from __future__ import annotations

import json
import os
import secrets
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import feedline
from feedline.catalog_files import SETTINGS_VARIABLE
from feedline.kafka.schema_fallback import CACHE_FOLDER, TOPIC
from feedline.kafka.schema_topic import SCHEMA_TOPIC
from feedline.local.ports import HOST, choose_ports
from feedline.local.process import Process, await_healthy, start_process
from feedline.local.state import write_json

USER = "admin"
PASSWORDS = "passwords.json"
COMPONENTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")


@dataclass(frozen=True, slots=True)
class AirflowConfig:
    """project: the checkout whose `dags/` and `plugins/` are served; kafka, registry: further client properties of the
    two connections; parallelism: tasks that run at once."""

    folder: Path
    log: Path
    port: int
    project: Path
    settings_file: Path
    bootstrap: str
    registry_url: str
    warehouse: Mapping[str, Any] = field(repr=False)
    kafka: Mapping[str, Any] = field(default_factory=dict, repr=False)
    registry: Mapping[str, Any] = field(default_factory=dict, repr=False)
    parallelism: int = 3

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


def airflow_login(folder: Path) -> tuple[str, str]:
    """User and password of the web page and the REST API; made up on the first call and kept."""
    file = folder / PASSWORDS
    try:
        passwords = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        passwords = {}
    if not passwords.get(USER):
        folder.mkdir(parents=True, exist_ok=True)
        passwords = {USER: secrets.token_urlsafe(9)}
        write_json(file, passwords)
    return USER, passwords[USER]


def connections(config: AirflowConfig) -> dict[str, str]:
    """The Dags' connections as Airflow reads them from the environment."""
    warehouse = dict(config.warehouse)
    entries: dict[str, dict[str, Any]] = {
        "feedline_kafka": {"conn_type": "kafka", "extra": {"bootstrap.servers": config.bootstrap, **config.kafka}},
        "feedline_registry": {
            "conn_type": "http",
            "host": config.registry_url,
            "extra": {CACHE_FOLDER: str(config.folder.parent / "schemas"), TOPIC: SCHEMA_TOPIC, **config.registry},
        },
        "feedline_snowflake": {
            "conn_type": "snowflake",
            "login": warehouse.pop("user"),
            "password": warehouse.pop("password"),
            "extra": warehouse,
        },
    }
    return {f"AIRFLOW_CONN_{name.upper()}": json.dumps(entry) for name, entry in entries.items()}


def airflow_environment(config: AirflowConfig) -> dict[str, str]:
    """The environment of Airflow's processes: a small fast installation that reports to nobody."""
    ports = choose_ports({"worker_logs": 0, "trigger_logs": 0}, {})
    # feedline's own place is named too: an installation without the package may run from a checkout.
    python_path = [config.project / "plugins", Path(feedline.__file__).parents[1]]
    programs = Path(sys.executable).parent
    return {
        "AIRFLOW_HOME": str(config.folder),
        "PATH": os.pathsep.join([str(programs), os.environ.get("PATH", "")]),
        "PYTHONPATH": os.pathsep.join(map(str, python_path)),
        # Airflow renames its processes; without this the renaming overwrites the mark that they are recognised by.
        "SPT_NOENV": "1",
        SETTINGS_VARIABLE: str(config.settings_file),
        # On a busy machine a writer waits for its turn for longer than SQLite's 5 s; Airflow takes that for a failure.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{config.folder / 'airflow.db'}?timeout=60",
        "AIRFLOW__CORE__DAGS_FOLDER": str(config.project / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(config.project / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": str(config.parallelism),
        "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": str(config.parallelism),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{config.url}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(config.folder / PASSWORDS),
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": str(config.port),
        "AIRFLOW__API__BASE_URL": config.url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "10",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(ports["worker_logs"]),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(ports["trigger_logs"]),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "SCARF_ANALYTICS": "false",
        "NO_COLOR": "1",
        **connections(config),
    }


def start_airflow(config: AirflowConfig, home: Path) -> Process:
    """Starts Airflow; does not wait for its health."""
    airflow_login(config.folder)
    return start_process(
        "airflow",
        [sys.executable, "-m", "feedline.local.airflow_parts", config.folder, config.log.parent],
        home=home,
        port=config.port,
        log=config.log,
        environment=airflow_environment(config),
    )


def await_airflow(process: Process, *, within_s: float = 300) -> None:
    """Returns when all four components are healthy; raises ServiceNotReadyError."""
    await_healthy(process, lambda: airflow_healthy(process.port), within_s=within_s)


def airflow_healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/api/v2/monitor/health", timeout=5) as answer:
            health = json.load(answer)
    except (OSError, ValueError, urllib.error.URLError):
        return False
    return all((health.get(component) or {}).get("status") == "healthy" for component in COMPONENTS)
