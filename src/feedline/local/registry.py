"""A real Apicurio Registry that keeps its schemas in a Kafka topic and speaks the Confluent-compatible API."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from feedline.local.cache import REGISTRY, Report, program_folder
from feedline.local.java import java
from feedline.local.ports import HOST
from feedline.local.process import Process, await_healthy, start_process
from feedline.security.secret_file import write_secret


@dataclass(frozen=True, slots=True)
class RegistryConfig:
    """ca: what its certificate is held against, when it is reached over HTTPS; properties: further settings of its own,
    which may hold secrets and go into a file that only its owner may read."""

    folder: Path
    log: Path
    port: int
    bootstrap: str
    # A hostile schema of 10,000 fields, asked about again while it is still answered, has filled 256.
    heap_mb: int = 512
    ca: Path | None = None
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def url(self) -> str:
        return f"{'https' if self.ca else 'http'}://{HOST}:{self.port}/apis/ccompat/v7"


def start_registry(config: RegistryConfig, home: Path, report: Report = lambda _: None) -> Process:
    """Starts the registry on a Kafka that is healthy; does not wait for the registry's health."""
    program = program_folder(REGISTRY, report)
    config.folder.mkdir(parents=True, exist_ok=True)
    return start_process(
        "registry",
        [
            java(),
            f"-Xmx{config.heap_mb}m",
            "-XX:+ExitOnOutOfMemoryError",
            "-XX:+UseSerialGC",
            # It is asked little: what the second compiler gains never pays for compiling, half the CPU time of a start.
            "-XX:TieredStopAtLevel=1",
            f"-Djava.io.tmpdir={config.folder}",
            *_further(config),
            "-jar",
            program / "quarkus-run.jar",
        ],
        home=home,
        port=config.port,
        log=config.log,
        environment={
            "APICURIO_STORAGE_KIND": "kafkasql",
            "APICURIO_KAFKASQL_BOOTSTRAP_SERVERS": config.bootstrap,
            # How long an empty topic is waited on, twice at every start; five seconds unless told otherwise.
            "APICURIO_KAFKASQL_CONSUMER_POLL_TIMEOUT": "500",
            "QUARKUS_HTTP_HOST": HOST,
            "QUARKUS_HTTP_PORT": str(config.port),
            # The management page has a port of its own, 9000 unless told otherwise: any free one, for several stacks.
            "QUARKUS_MANAGEMENT_HOST": HOST,
            "QUARKUS_MANAGEMENT_PORT": "0",
            "QUARKUS_LOG_LEVEL": "WARN",
            "QUARKUS_BANNER_ENABLED": "false",
        },
    )


def _further(config: RegistryConfig) -> list[str]:
    if not config.properties:
        return []
    file = config.folder / "further.properties"
    write_secret(file, "".join(f"{name}={value}\n" for name, value in config.properties.items()))
    return [f"-Dsmallrye.config.locations={file}"]


def await_registry(process: Process, config: RegistryConfig, *, within_s: float = 180) -> None:
    """Returns when the registry lists its subjects; raises ServiceNotReadyError."""
    await_healthy(process, lambda: registry_healthy(config.url, config.ca), within_s=within_s)


def registry_healthy(url: str, ca: Path | None = None) -> bool:
    trust = ssl.create_default_context(cafile=str(ca)) if ca else None
    try:
        with urllib.request.urlopen(f"{url}/subjects", timeout=2, context=trust) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
