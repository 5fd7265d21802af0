"""Services of orders as processes of one measurement, and what the operating system says they cost."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from feedline.local.ports import HOST, choose_ports
from feedline.orders.demo.stages import metrics_of

START_WITHIN_S = 120.0
STOP_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Service:
    """A process, and the port at which it says that it is well."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def metric(self, name: str) -> float:
        """A metric, summed over its labels."""
        return (metrics_of(self.url) or {}).get(name, 0.0)


def command(service: str, *options: object) -> list[str]:
    """`feedline orders …` of this environment."""
    return [str(Path(sys.executable).parent / "feedline"), "orders", service, *map(str, options)]


@contextmanager
def running(
    commands: Sequence[Sequence[str]], *, ready: str, environment: dict[str, str] | None = None
) -> Iterator[list[Service]]:
    """Starts the commands side by side, each with a free port of its own behind `--port`, waits until every one answers
    the path `ready` with 200, and ends them by their own numbers."""
    services: list[Service] = []
    try:
        for one in commands:
            port = choose_ports({"service": 0}, {})["service"]
            process = subprocess.Popen(
                [*one, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
            )
            services.append(Service(process, port))
        for service in services:
            wait_for(lambda service=service: _answers(f"{service.url}{ready}"), within_s=START_WITHIN_S)
        yield services
    finally:
        for service in services:
            service.process.terminate()
        for service in services:
            try:
                service.process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                service.process.kill()
                service.process.wait()


def wait_for(condition: Callable[[], bool], *, within_s: float) -> None:
    """Returns when the condition holds; raises TimeoutError."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the benchmark waits for what does not come")
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
