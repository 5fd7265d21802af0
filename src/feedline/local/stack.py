"""The local stack as one: up, down, status."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from feedline.kafka.schema_fallback import CACHE_FOLDER, TOPIC
from feedline.kafka.schema_topic import SCHEMA_TOPIC
from feedline.local.airflow import AirflowConfig, airflow_healthy, await_airflow, start_airflow
from feedline.local.airflow_parts import RUNNING, Part, read_parts
from feedline.local.cache import Report
from feedline.local.kafka import KafkaConfig, await_kafka, kafka_healthy, start_kafka
from feedline.local.order_services import ORDER_TITLES, order_service_healthy
from feedline.local.ports import HOST, choose_ports
from feedline.local.process import Process, is_ours, marked_processes, memory_mb, orphans, stop_processes
from feedline.local.registry import RegistryConfig, await_registry, registry_healthy, start_registry
from feedline.local.secured_stack import (
    give_services_access,
    is_secured,
    port_names,
    require_fresh,
    secured_nodes,
    secured_registry,
    secured_settings,
    security_client,
    security_files,
)
from feedline.local.state import SETTINGS, State, locked, read_state, write_json, write_state
from feedline.local.warehouse import (
    STAND_IN,
    WarehouseConfig,
    await_warehouse,
    connection_arguments,
    start_warehouse,
    warehouse_healthy,
)
from feedline.settings import Settings, load_settings

KAFKA, CONTROLLER, REGISTRY, WAREHOUSE, AIRFLOW = "kafka", "controller", "registry", "warehouse", "airflow"
SERVICES = (KAFKA, REGISTRY, WAREHOUSE, AIRFLOW)
STOP_WITHIN_S = 20.0
TITLES = {
    KAFKA: "Apache Kafka",
    REGISTRY: "Apicurio Registry",
    WAREHOUSE: STAND_IN,
    AIRFLOW: "Apache Airflow",
    **ORDER_TITLES,
}


def title(name: str) -> str:
    """What people call a service; further brokers have their number behind."""
    base, _, number = name.partition("-")
    return f"{TITLES[base]} {number}".strip()


def _quiet(_: str) -> None:
    """Reports to nobody."""


@dataclass(frozen=True, slots=True)
class StackConfig:
    """home: the folder of everything local; ports: service name to port, a service not named gets a free one;
    project: the checkout whose `dags/` and `plugins/` Airflow serves; secure: three brokers over SASL_SSL and a
    registry over HTTPS, which a folder that has them stays with."""

    home: Path
    ports: Mapping[str, int] = field(default_factory=dict)
    airflow: bool = True
    project: Path = field(default_factory=Path.cwd)
    secure: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "home", self.home.resolve())
        object.__setattr__(self, "secure", self.secure or is_secured(self.home))


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service as it is now; memory_mb counts its children, and pages that they share once. died: it was started,
    nobody stopped it, and it is gone; parts: those that Airflow has, with their last exit code and their log."""

    name: str
    title: str
    healthy: bool
    running: bool
    pid: int | None
    port: int | None
    address: str | None
    memory_mb: float
    log: str | None
    died: bool = False
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class _Configs:
    nodes: Mapping[str, KafkaConfig]
    registry: RegistryConfig
    warehouse: WarehouseConfig
    airflow: AirflowConfig


def _configs(config: StackConfig, ports: Mapping[str, int]) -> _Configs:
    home, logs = config.home, config.home / "logs"
    nodes, registry = _secured(home, ports) if config.secure else _plain(home, ports)
    bootstrap = _bootstrap(nodes)
    warehouse = WarehouseConfig(folder=home / "warehouse", log=logs / "warehouse.log", port=ports[WAREHOUSE])
    airflow = AirflowConfig(
        folder=home / "airflow",
        log=logs / "airflow.log",
        port=ports[AIRFLOW],
        project=config.project.resolve(),
        settings_file=home / SETTINGS,
        bootstrap=bootstrap,
        registry_url=registry.url,
        warehouse=connection_arguments(warehouse),
        **_airflow_security(home, bootstrap, registry) if config.secure else {},
    )
    return _Configs(nodes, registry, warehouse, airflow)


def _plain(home: Path, ports: Mapping[str, int]) -> tuple[dict[str, KafkaConfig], RegistryConfig]:
    logs = home / "logs"
    node = KafkaConfig(
        folder=home / "kafka", log=logs / "kafka.log", port=ports[KAFKA], controller_port=ports[CONTROLLER]
    )
    registry = RegistryConfig(
        folder=home / "registry", log=logs / "registry.log", port=ports[REGISTRY], bootstrap=node.bootstrap
    )
    return {KAFKA: node}, registry


def _secured(home: Path, ports: Mapping[str, int]) -> tuple[dict[str, KafkaConfig], RegistryConfig]:
    nodes = secured_nodes(home, ports)
    return nodes, secured_registry(home, ports[REGISTRY], _bootstrap(nodes))


def _airflow_security(home: Path, bootstrap: str, registry: RegistryConfig) -> dict[str, Any]:
    found = secured_settings(home, bootstrap, registry.url)
    return {"kafka": found["kafka"], "registry": {"ssl.ca.location": found["registry"]["ssl.ca.location"]}}


def _bootstrap(nodes: Mapping[str, KafkaConfig]) -> str:
    return ",".join(node.bootstrap for node in nodes.values())


def up(config: StackConfig, report: Report = _quiet) -> Settings:
    """Starts what does not run yet and returns when all of it is healthy.

    A stack that is up already is left as it is. What a killed run left behind is stopped first. When a service does
    not start, the services that this call started are stopped again.
    Raises ConfigurationError (a port in use, a failed download), StackBusyError, ServiceNotReadyError.
    """
    if config.secure:
        require_fresh(config.home)
    with locked(config.home):
        state = _cleaned(config.home, report)
        ports = _ports(config, state)
        configs = _configs(config, ports)
        running = dict(state.processes)

        def undo() -> None:
            begun = [name for name in reversed(running) if name not in state.processes]
            _stop(config.home, begun, running, report)
            write_state(config.home, State(state.processes, ports))

        with ExitStack() as unless_healthy:
            unless_healthy.callback(undo)

            def start(name: str, starter: Callable[[], Process]) -> None:
                if name not in running:
                    report(f"starting {title(name)}")
                    running[name] = starter()
                    write_state(config.home, State(running, ports))

            write_json(config.home / SETTINGS, _settings(config, configs))
            (config.home / "landing").mkdir(exist_ok=True)
            home = config.home
            for name, node in configs.nodes.items():
                start(name, partial(start_kafka, node, home, report))
            start(WAREHOUSE, lambda: start_warehouse(configs.warehouse, home))
            for name, node in configs.nodes.items():
                await_kafka(running[name], node)
            if config.secure:
                give_services_access(home, ports)
            start(REGISTRY, lambda: start_registry(configs.registry, home, report))
            if config.airflow:
                start(AIRFLOW, lambda: start_airflow(configs.airflow, home))
            await_warehouse(running[WAREHOUSE], configs.warehouse)
            await_registry(running[REGISTRY], configs.registry)
            if config.airflow:
                await_airflow(running[AIRFLOW])
            unless_healthy.pop_all()
    return load_settings(config.home / SETTINGS)


def down(home: Path, report: Report = _quiet) -> list[str]:
    """Stops everything of the folder, recorded or not; returns the names of the services that ran."""
    home = home.resolve()
    if not home.exists():
        return []
    with locked(home):
        state = read_state(home)
        ran = [name for name, process in state.processes.items() if is_ours(process.pid, home)]
        _stop(home, list(reversed(ran)), state.processes, report)
        stop_processes(marked_processes(home), home, within_s=STOP_WITHIN_S)
        write_state(home, State({}, state.ports))
    return ran


def status(home: Path) -> list[ServiceStatus]:
    """Every service of the folder as it is now."""
    home = home.resolve()
    state = read_state(home)
    further = [name for name in state.processes if name not in SERVICES]
    return [_service_status(home, name, state.processes.get(name)) for name in (*further, *SERVICES)]


def _service_status(home: Path, name: str, process: Process | None) -> ServiceStatus:
    if process is None or not is_ours(process.pid, home):
        log = process.log if process else None
        return ServiceStatus(name, title(name), False, False, None, None, None, 0.0, log, died=process is not None)  # noqa: FBT003
    parts = tuple(read_parts(home / AIRFLOW)) if name == AIRFLOW else ()
    secured = is_secured(home)
    http = f"http://{HOST}:{process.port}"
    kind = name.partition("-")[0]
    address = {
        KAFKA: f"{HOST}:{process.port}",
        REGISTRY: f"http{'s' if secured else ''}://{HOST}:{process.port}/apis/ccompat/v7",
    }.get(kind, http)
    check: Callable[[], bool] = {
        KAFKA: lambda: kafka_healthy(address, security_client(home) if secured else None),
        REGISTRY: lambda: registry_healthy(address, security_files(home).ca if secured else None),
        WAREHOUSE: lambda: warehouse_healthy(process.port),
        AIRFLOW: lambda: airflow_healthy(process.port),
    }.get(kind, lambda: order_service_healthy(name, process.port))
    return ServiceStatus(
        name=name,
        title=title(name),
        healthy=check() and all(part.state == RUNNING for part in parts),
        running=True,
        pid=process.pid,
        port=process.port,
        address=address,
        memory_mb=round(memory_mb(process, home), 1),
        log=process.log,
        parts=parts,
    )


def _settings(config: StackConfig, configs: _Configs) -> dict[str, Any]:
    home, bootstrap, url = config.home, _bootstrap(configs.nodes), configs.registry.url
    clients: dict[str, Any] = (
        secured_settings(home, bootstrap, url)
        if config.secure
        else {"kafka": {"bootstrap.servers": bootstrap}, "registry": {"url": url}}
    )
    return {
        **clients,
        "registry": {
            **clients["registry"],
            CACHE_FOLDER: str(home / "schemas"),
            TOPIC: SCHEMA_TOPIC,
        },
        "warehouse": connection_arguments(configs.warehouse),
        "landing": str(home / "landing"),
        "replication_factor": len(configs.nodes),
    }


def _cleaned(home: Path, report: Report) -> State:
    """The state without services that are gone, after stopping whatever a killed run left.

    A part that lost what it depends on is stopped too: a registry cannot serve a broker that is not the one it knew.
    """
    state = read_state(home)
    alive = {name: p for name, p in state.processes.items() if is_ours(p.pid, home)}
    if KAFKA not in alive:
        alive = {}
    left = orphans(home, [p.pid for p in alive.values()])
    if left or len(alive) < len(state.processes):
        report("cleaning up after an earlier run that was killed")
        stop_processes(left, home, within_s=STOP_WITHIN_S)
    return State(alive, state.ports)


def _ports(config: StackConfig, state: State) -> dict[str, int]:
    """Ports of running services stay; the others are chosen."""
    nodes = port_names() if config.secure else [KAFKA, CONTROLLER]
    names = (*nodes, REGISTRY, WAREHOUSE, AIRFLOW)
    fixed = {name: p.port for name, p in state.processes.items()}
    if KAFKA in fixed:
        fixed = {**{name: state.ports[name] for name in nodes}, **fixed}
    wanted = {name: config.ports.get(name, 0) for name in names if name not in fixed}
    return {**fixed, **choose_ports(wanted, dict(state.ports))}


def _stop(home: Path, names: list[str], processes: Mapping[str, Process], report: Report = _quiet) -> None:
    for name in names:
        report(f"stopping {title(name)}")
        stop_processes([processes[name].pid], home, within_s=STOP_WITHIN_S)
