"""The services of the fault tests: three brokers behind a network that can be cut, a registry, the stand-in."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext
from pathlib import Path

import snowflake.connector
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from fault.network import Network
from fault.workload import Workload, make_feed
from feedline.batch.schemas import MANIFEST_SCHEMA, batch_schema, batch_subject, manifest_subject
from feedline.catalog import Catalog
from feedline.kafka.admin import admin_client, ensure_topics
from feedline.kafka.registry import register_schema, registry_client
from feedline.local.cluster import Cluster, NodePorts, behind, plan_cluster
from feedline.local.ports import HOST, choose_ports
from feedline.local.process import Process, ServiceNotReadyError, is_ours, marked_processes, stop_processes
from feedline.local.registry import RegistryConfig, await_registry, start_registry
from feedline.local.warehouse import WarehouseConfig, await_warehouse, connection_arguments, start_warehouse
from feedline.settings import Settings
from feedline.warehouse.provision import provision_tables

# Away brokers are noticed and left sooner than with librdkafka's defaults (60 s and 10 s), members of a group that
# were killed sooner than with ours.
IMPATIENT = {
    "socket.timeout.ms": 10_000,
    "reconnect.backoff.max.ms": 1_000,
    "session.timeout.ms": 6_000,
    "heartbeat.interval.ms": 1_000,
    "log_level": 3,
}

REGISTRY_STARTS = 3


def host_of(node: int) -> str:
    return f"broker-{node}"


@dataclass
class World:
    """Everything that a run needs; `home` holds the services' files and each run's folder."""

    home: Path
    cluster: Cluster
    network: Network
    registry_config: RegistryConfig
    registry: Process
    settings: Settings
    processes: ForkServerContext
    runs: list[tuple[str, Path]] = field(default_factory=list)

    def workload(self, *, partitions: int = 12, feed_name: str = "") -> tuple[Workload, Path]:
        """A new feed with its topic, schema and tables, and a folder for its run."""
        feed = make_feed(partitions, feed_name)
        folder = self.home / "runs" / feed.name
        (folder / "landing").mkdir(parents=True)
        ensure_topics(admin_client(self.settings.kafka), [feed.topic])
        client = registry_client(self.settings.registry)
        register_schema(client, batch_subject(feed), batch_schema(feed))
        register_schema(client, manifest_subject(feed.topic.name), MANIFEST_SCHEMA)
        connection = snowflake.connector.connect(**self.settings.warehouse)
        try:
            provision_tables(connection, Catalog({feed.name: feed}))
        finally:
            connection.close()
        return Workload(feed, folder / "landing"), folder

    def leads(self, node: int, topic: str) -> bool:
        """Whether the broker leads a partition of the topic as its peers see it; as long as they do not say, too."""
        peers = ",".join(f"{HOST}:{ports.broker}" for other, ports in self.cluster.config.told.items() if other != node)
        # A client of its own each time: after the first answer it would ask any broker.
        client = AdminClient({**self.settings.kafka, "bootstrap.servers": peers})
        try:
            partitions = client.list_topics(topic, timeout=5).topics[topic].partitions.values()
        except KafkaException:
            return True
        return any(one.leader in (node, -1) for one in partitions)

    def mend(self) -> None:
        """Takes every fault back: the network whole, every broker and the registry up."""
        self.network.heal()
        for node in self.cluster.nodes:
            if self.cluster.pid(node) is not None:
                self.cluster.resume(node)
        self.cluster.start()
        if not is_ours(self.registry.pid, self.home):
            self.start_registry()

    def stop_registry(self) -> int:
        """SIGKILL; returns the process id that is no more."""
        os.kill(self.registry.pid, signal.SIGKILL)
        return self.registry.pid

    def start_registry(self) -> None:
        """As whatever supervises it would: it ends when no broker answers it for a minute."""
        for left in reversed(range(REGISTRY_STARTS)):
            self.registry = start_registry(self.registry_config, self.home)
            try:
                await_registry(self.registry, self.registry_config)
            except ServiceNotReadyError:
                if not left:
                    raise
            else:
                return


@contextmanager
def world(home: Path) -> Iterator[World]:
    """Everything started and healthy; every process is gone at the end, whatever happened."""
    home = home.resolve()
    with ExitStack() as stack:
        stack.callback(lambda: stop_processes(marked_processes(home), home, within_s=5))
        network = Network()
        stack.callback(network.close)
        planned = plan_cluster(home)
        told = {
            node: NodePorts(
                network.route(host_of(node), ports.broker),
                network.route(host_of(node), ports.controller, of_hosts=True),
            )
            for node, ports in planned.ports.items()
        }
        cluster = Cluster(behind(planned, told))
        network.hosts_are(lambda: _hosts_of(cluster))
        free = choose_ports({"registry": 0, "warehouse": 0}, {})
        warehouse_config = WarehouseConfig(home / "warehouse", home / "logs" / "warehouse.log", free["warehouse"])
        warehouse = start_warehouse(warehouse_config, home)
        stack.enter_context(cluster)
        bootstrap = cluster.config.bootstrap
        registry_config = RegistryConfig(home / "registry", home / "logs" / "registry.log", free["registry"], bootstrap)
        registry = start_registry(registry_config, home)
        await_warehouse(warehouse, warehouse_config)
        await_registry(registry, registry_config)
        settings = Settings(
            kafka={"bootstrap.servers": bootstrap, **IMPATIENT},
            registry={"url": registry_config.url},
            warehouse=connection_arguments(warehouse_config),
            landing=home / "landing",
        )
        yield World(home, cluster, network, registry_config, registry, settings, _processes())


def _hosts_of(cluster: Cluster) -> dict[int, str]:
    return {pid: host_of(node) for node in cluster.nodes if (pid := cluster.pid(node))}


def _processes() -> ForkServerContext:
    """Drivers are forked from a server that has imported everything: a start takes a tenth of a second, not three."""
    context = multiprocessing.get_context("forkserver")
    # The server finds the harness by this; the children are told by their parent.
    here = str(Path(__file__).resolve().parents[1])
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if here not in known:
        os.environ["PYTHONPATH"] = os.pathsep.join([here, *filter(None, known)])
    context.set_forkserver_preload(["fault.drivers", "fault.service"])
    return context
