"""A real Apache Kafka broker in KRaft mode: broker and controller in one process."""

from __future__ import annotations

import shutil
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from feedline.errors import ConfigurationError
from feedline.local.cache import KAFKA, Report, program_folder
from feedline.local.java import java
from feedline.local.ports import HOST, answers
from feedline.local.process import Process, await_healthy, run_to_end, start_process

MIB = 1024 * 1024

# A member of a group of the broker's own protocol (KIP-848) that was killed keeps its partitions for so long, where
# Kafka's default is 45 s: as long as the classic members of `feedline consume`, whose limit is the client's own. Three
# heartbeats may be missed. The least values are what a group's own settings may go down to.
GROUPS = {
    "group.consumer.session.timeout.ms": "10000",
    "group.consumer.heartbeat.interval.ms": "3000",
    "group.consumer.min.session.timeout.ms": "6000",
    "group.consumer.min.heartbeat.interval.ms": "1000",
}
FORMATTED = "formatted"

LOG_SETTINGS = """\
status = warn
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
logger.server.name = kafka.server
logger.server.level = info
"""


@dataclass(frozen=True, slots=True)
class KafkaConfig:
    """One node. voters: the controllers as (node id, port that the others reach it at), the node itself among them.

    advertised_port: where clients and other brokers reach it when that is not `port`, as behind a proxy.
    cluster_id: the same for all nodes of a cluster; a node alone makes its own.
    max_message_bytes: the largest record batch that a broker takes; a topic may ask for less.
    settings: further lines of server.properties, which win over those made here.
    client: how its health is asked, as librdkafka properties, when that is not in plain text at `port`.
    """

    folder: Path
    log: Path
    port: int
    controller_port: int
    node_id: int = 1
    voters: tuple[tuple[int, int], ...] = ()
    heap_mb: int = 512
    max_message_bytes: int = 8 * MIB
    retention_hours: int = 5 * 24
    advertised_port: int = 0
    cluster_id: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    client: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        voters = self.voters or ((self.node_id, self.controller_port),)
        if self.node_id not in dict(voters):
            raise ConfigurationError(f"Kafka node {self.node_id} is not among its controllers {voters}")
        object.__setattr__(self, "voters", voters)

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.port}"


def properties(config: KafkaConfig) -> dict[str, str]:
    """The node's server.properties."""
    replicas = min(3, len(config.voters))
    return {
        "process.roles": "broker,controller",
        "node.id": str(config.node_id),
        "controller.quorum.voters": ",".join(f"{node}@{HOST}:{port}" for node, port in config.voters),
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{HOST}:{config.port},CONTROLLER://{HOST}:{config.controller_port}",
        # The controller's too: a leader tells the others where it is, and what it told would pass a proxy by.
        "advertised.listeners": (
            f"PLAINTEXT://{HOST}:{config.advertised_port or config.port},"
            f"CONTROLLER://{HOST}:{dict(config.voters)[config.node_id]}"
        ),
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(config.folder / "data"),
        "num.network.threads": "2",
        "num.io.threads": "4",
        "num.recovery.threads.per.data.dir": "2",
        "message.max.bytes": str(config.max_message_bytes),
        "replica.fetch.max.bytes": str(config.max_message_bytes),
        "log.retention.hours": str(config.retention_hours),
        # A mistyped topic is an error, not a new topic.
        "auto.create.topics.enable": "false",
        "default.replication.factor": str(replicas),
        "min.insync.replicas": str(max(1, replicas - 1)),
        "offsets.topic.replication.factor": str(replicas),
        "offsets.topic.num.partitions": "8",
        "transaction.state.log.replication.factor": str(replicas),
        "transaction.state.log.min.isr": str(max(1, replicas - 1)),
        "transaction.state.log.num.partitions": "8",
        "share.coordinator.state.topic.replication.factor": str(replicas),
        "share.coordinator.state.topic.min.isr": str(max(1, replicas - 1)),
        "group.initial.rebalance.delay.ms": "0",
        **GROUPS,
        # Enough for the few compacted topics, and a quarter of the heap less than the default.
        "log.cleaner.dedupe.buffer.size": str(16 * MIB),
        **config.settings,
    }


def start_kafka(config: KafkaConfig, home: Path, report: Report = lambda _: None) -> Process:
    """Formats the folder when it is new and starts the node; does not wait for its health."""
    jars = program_folder(KAFKA, report) / "*"
    config.folder.mkdir(parents=True, exist_ok=True)
    settings = config.folder / "server.properties"
    settings.write_text("".join(f"{key}={value}\n" for key, value in properties(config).items()))
    log_settings = config.folder / "log4j2.properties"
    log_settings.write_text(LOG_SETTINGS)
    logging = f"-Dlog4j2.configurationFile={log_settings}"
    _format(config, settings, jars, logging)
    return start_process(
        "kafka",
        [
            java(),
            f"-Xms{config.heap_mb // 2}m",
            f"-Xmx{config.heap_mb}m",
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
            logging,
            "-cp",
            jars,
            "kafka.Kafka",
            settings,
        ],
        home=home,
        port=config.port,
        log=config.log,
    )


def new_cluster_id() -> str:
    """A random id as Kafka writes them."""
    made = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    # It must not begin with a dash, which the format tool would take for an option.
    return made.replace("-", "A", 1) if made.startswith("-") else made


def _format(config: KafkaConfig, settings: Path, jars: Path, logging: str) -> None:
    # The marker is written last: a folder without it is what a killed format left, and holds no record yet.
    marker = config.folder / FORMATTED
    if marker.exists():
        return
    shutil.rmtree(config.folder / "data", ignore_errors=True)
    run_to_end(
        [
            java(),
            "-Xmx128m",
            "-XX:TieredStopAtLevel=1",
            logging,
            "-cp",
            jars,
            "kafka.tools.StorageTool",
            "format",
            "--cluster-id",
            config.cluster_id or new_cluster_id(),
            "--config",
            settings,
        ],
        log=config.log,
        within_s=60,
    )
    marker.touch()


def await_kafka(process: Process, config: KafkaConfig, *, within_s: float = 180) -> None:
    """Returns when the broker answers a metadata request; raises ServiceNotReadyError."""
    await_healthy(process, lambda: kafka_healthy(config.bootstrap, config.client), within_s=within_s)


def kafka_healthy(bootstrap: str, client: Mapping[str, str] | None = None) -> bool:
    """Whether the broker answers; the port is tried first, as a client complains of a closed one. client: further
    librdkafka properties, for one that is secured."""
    if not answers(int(bootstrap.rsplit(":", 1)[1])):
        return False
    try:
        admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0, **(client or {})})
        return bool(admin.list_topics(timeout=2).brokers)
    except KafkaException:
        return False
