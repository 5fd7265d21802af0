"""Several real Kafka nodes on one machine, which can be stopped, killed and paused one by one.

For experiments with what a cluster promises: three nodes are brokers and controllers at once, topics keep three copies
and need two. Ports that clients and peers are told may be a proxy's, so that the network between them can be cut.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import psutil  # type: ignore[import-untyped,unused-ignore]

from feedline.errors import ConfigurationError
from feedline.local.cache import Report
from feedline.local.kafka import KafkaConfig, await_kafka, new_cluster_id, start_kafka
from feedline.local.ports import HOST, choose_ports
from feedline.local.process import Process, has_ended, is_ours, stop_processes

HEAP_MB = 288
STOP_WITHIN_S = 30.0
PAUSED_WITHIN_S = 5.0

# A dead or cut-off broker is noticed in 6 s instead of 9, a copy that lags in 6 instead of 30, a dead member of a group
# of the broker's own protocol in 6 instead of 10, and the leaders go back to where they were within 10 s instead of
# 300: an experiment waits for each of these.
QUICK = {
    "broker.session.timeout.ms": "6000",
    "broker.heartbeat.interval.ms": "1000",
    "replica.lag.time.max.ms": "6000",
    "leader.imbalance.check.interval.seconds": "10",
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.heartbeat.interval.ms": "1000",
}


@dataclass(frozen=True, slots=True)
class NodePorts:
    """Where one node listens."""

    broker: int
    controller: int


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """home: the folder of everything of the cluster. ports: by node id, where each listens; told: by node id, where
    the others are told to reach it, when that is not where it listens. settings: by node id, further lines of
    server.properties; client: how the health of each is asked, when that is not in plain text."""

    home: Path
    ports: Mapping[int, NodePorts]
    told: Mapping[int, NodePorts]
    cluster_id: str
    heap_mb: int = HEAP_MB
    settings: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    client: Mapping[int, Mapping[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if set(self.told) != set(self.ports):
            raise ConfigurationError("every node of a cluster needs the ports that the others are told")

    @property
    def bootstrap(self) -> str:
        return ",".join(f"{HOST}:{ports.broker}" for ports in self.told.values())

    def node(self, node_id: int) -> KafkaConfig:
        own, told = self.ports[node_id], self.told[node_id]
        return KafkaConfig(
            folder=self.home / f"kafka-{node_id}",
            log=self.home / "logs" / f"kafka-{node_id}.log",
            port=own.broker,
            controller_port=own.controller,
            node_id=node_id,
            voters=tuple((other, ports.controller) for other, ports in self.told.items()),
            heap_mb=self.heap_mb,
            advertised_port=told.broker,
            cluster_id=self.cluster_id,
            settings={**QUICK, **self.settings.get(node_id, {})},
            client=self.client.get(node_id, {}),
        )


def plan_cluster(home: Path, nodes: int = 3) -> ClusterConfig:
    """A new cluster on free ports, nothing started yet."""
    ids = range(1, nodes + 1)
    chosen = choose_ports({f"{role}-{node}": 0 for node in ids for role in ("broker", "controller")}, {})
    ports = {node: NodePorts(chosen[f"broker-{node}"], chosen[f"controller-{node}"]) for node in ids}
    return ClusterConfig(home.resolve(), ports, ports, new_cluster_id())


def behind(config: ClusterConfig, told: Mapping[int, NodePorts]) -> ClusterConfig:
    """The cluster, reached at other ports than it listens on."""
    return replace(config, told=told)


class Cluster:
    """The running nodes; a context manager that leaves no process behind."""

    def __init__(self, config: ClusterConfig) -> None:
        self.config = config
        self._processes: dict[int, Process] = {}

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def nodes(self) -> tuple[int, ...]:
        return tuple(self.config.ports)

    def pid(self, node: int) -> int | None:
        """The process of a node, or None when it does not run."""
        process = self._processes.get(node)
        return process.pid if process and is_ours(process.pid, self.config.home) else None

    def start(self, *nodes: int, report: Report = lambda _: None) -> None:
        """Starts these nodes, or all, and returns when they answer; those that run are left as they are."""
        wanted = [node for node in (nodes or self.nodes) if self.pid(node) is None]
        if not wanted:
            return
        self.begin(*wanted, report=report)
        for node in wanted:
            await_kafka(self._processes[node], self.config.node(node))

    def begin(self, *nodes: int, report: Report = lambda _: None) -> None:
        """As `start`, without waiting for an answer: a node alone has no majority to answer with."""
        home = self.config.home
        with ThreadPoolExecutor(len(nodes)) as pool:
            futures = {node: pool.submit(start_kafka, self.config.node(node), home, report) for node in nodes}
        for node, future in futures.items():
            self._processes[node] = future.result()

    def stop(self, node: int) -> None:
        """A clean stop, as a rolling restart does it: leaders move away first."""
        pid = self.pid(node)
        if pid is not None:
            stop_processes([pid], self.config.home, within_s=STOP_WITHIN_S)

    def kill(self, node: int) -> int:
        """SIGKILL; returns the process id that is no more."""
        pid = self._signal(node, signal.SIGKILL)
        psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=10)
        return pid

    def pause(self, node: int) -> int:
        """SIGSTOP: its connections stay open and nobody answers. Returns when the system says it has stopped."""
        pid = self._signal(node, signal.SIGSTOP)
        deadline = time.monotonic() + PAUSED_WITHIN_S
        while not self.is_stopped(node) and time.monotonic() < deadline:
            time.sleep(0.01)
        return pid

    def resume(self, node: int) -> int:
        return self._signal(node, signal.SIGCONT)

    def is_stopped(self, node: int) -> bool:
        """Whether the system says that the node is paused or gone."""
        pid = self.pid(node)
        return pid is None or has_ended(pid) or psutil.Process(pid).status() == psutil.STATUS_STOPPED

    def close(self) -> None:
        """Ends every node at once, paused ones too; what they hold is not needed any more."""
        for process in self._processes.values():
            if is_ours(process.pid, self.config.home):
                os.kill(process.pid, signal.SIGKILL)

    def _signal(self, node: int, number: signal.Signals) -> int:
        pid = self.pid(node)
        if pid is None:
            raise ConfigurationError(f"node {node} does not run")
        os.kill(pid, number)
        return pid
