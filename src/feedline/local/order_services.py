"""The services of orders as processes of the local stack: HTTP entry, bulk entry, FIX gateway, simulated engine.

They are recorded and marked as the stack's other processes are, so `feedline stack status` shows them, `feedline stack
down` ends them, and what a killed run left behind is found.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from feedline.errors import ConfigurationError
from feedline.local.cache import Report
from feedline.local.ports import HOST, choose_ports
from feedline.local.process import Process, await_healthy, is_ours, start_process
from feedline.local.state import SETTINGS, locked, read_state, write_state

ENGINE, GATEWAY, ENTRY, BULK = "order_engine", "order_gateway", "order_entry", "order_bulk"
# In the order in which they are started: who receives before who sends.
ORDER_SERVICES = (ENGINE, GATEWAY, ENTRY, BULK)
ORDER_TITLES: Mapping[str, str] = {
    ENGINE: "Simulated FIX engine",
    GATEWAY: "FIX gateway",
    ENTRY: "HTTP order entry",
    BULK: "Bulk order entry",
}
# Where each says that it is well.
_HEALTH: Mapping[str, str] = {ENGINE: "/status", GATEWAY: "/health", ENTRY: "/health/ready", BULK: "/health"}
# The port of the engine's FIX sessions; its own port is that of its controls.
_FIX = "order_fix"
HEALTHY_WITHIN_S = 180.0


@dataclass(frozen=True, slots=True)
class OrderServices:
    """Where they are. folder: of the engine's book, the FIX logs and stores; keys: the file of API keys."""

    folder: Path
    keys: Path
    ports: Mapping[str, int]

    def url(self, service: str) -> str:
        return f"http://{HOST}:{self.ports[service]}"

    @property
    def engine_folder(self) -> Path:
        return self.folder / "engine"


def order_services_at(home: Path, ports: Mapping[str, int]) -> OrderServices:
    folder = home.resolve() / "orders"
    return OrderServices(folder, folder / "keys.json", ports)


def engine_ports(home: Path) -> tuple[int, int] | None:
    """Of the stack's FIX engine, if it was started there: the port of FIX sessions, and that of its controls."""
    state = read_state(home)
    return (state.ports[_FIX], state.ports[ENGINE]) if ENGINE in state.processes and _FIX in state.ports else None


def start_order_services(home: Path, report: Report) -> OrderServices:
    """Starts those that do not run yet and returns when all are well; the stack must be up.

    What this call started is recorded at once, so a call that fails or is killed leaves nothing that `down` misses.
    Raises ConfigurationError without a stack, StackBusyError, ServiceNotReadyError.
    """
    home = home.resolve()
    with locked(home):
        state = read_state(home)
        if not (home / SETTINGS).exists() or not state.processes:
            raise ConfigurationError("the local stack is not up: start it with `feedline stack up --no-airflow`")
        running = {name: p for name, p in state.processes.items() if is_ours(p.pid, home)}
        kept = {name: running[name].port for name in ORDER_SERVICES if name in running}
        if ENGINE in kept:
            kept[_FIX] = state.ports[_FIX]
        wanted = {name: 0 for name in (*ORDER_SERVICES, _FIX) if name not in kept}
        ports = {**state.ports, **kept, **choose_ports(wanted, dict(state.ports))}
        services = order_services_at(home, ports)
        services.folder.mkdir(parents=True, exist_ok=True)
        for name in ORDER_SERVICES:
            if name not in running:
                report(f"starting {ORDER_TITLES[name]}")
                running[name] = _start(name, home, services)
                state = replace(state, processes=dict(running), ports=ports)
                write_state(home, state)
            await_healthy(running[name], _check(name, ports[name]), within_s=HEALTHY_WITHIN_S)
    return services


def order_service_healthy(name: str, port: int) -> bool:
    """Whether the service says that it is well."""
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}{_HEALTH[name]}", timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _check(name: str, port: int) -> Callable[[], bool]:
    return lambda: order_service_healthy(name, port)


def _start(name: str, home: Path, services: OrderServices) -> Process:
    folder, ports = services.folder, services.ports
    settings: list[str | Path] = ["--settings", home / SETTINGS]
    options: dict[str, list[str | Path]] = {
        ENGINE: ["engine", "--fix-port", str(ports[_FIX]), "--folder", services.engine_folder],
        GATEWAY: ["gateway", "--engine", f"{HOST}:{ports[_FIX]}", "--folder", folder / "gateway", *settings],
        ENTRY: ["serve", "--keys", services.keys, *settings],
        BULK: ["bulk", "--instance", "local", *settings],
    }
    return start_process(
        name,
        [Path(sys.executable).parent / "feedline", "orders", *options[name], "--port", str(ports[name])],
        home=home,
        port=ports[name],
        log=home / "logs" / f"{name}.log",
    )
