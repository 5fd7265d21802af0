"""The local stack over TLS: three brokers over SASL_SSL, the registry over HTTPS and on SASL_SSL, a principal for each
service, and settings that name the passwords instead of holding them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from feedline.catalog import load_catalog
from feedline.errors import ConfigurationError
from feedline.kafka.admin import admin_client
from feedline.kafka.config import canonical
from feedline.local.kafka import KafkaConfig, new_cluster_id
from feedline.local.ports import HOST
from feedline.local.registry import RegistryConfig
from feedline.local.secured import (
    HOSTS,
    SecurityFiles,
    admin_settings,
    ensure_certificates,
    secured_properties,
)
from feedline.orders.topics import OrderTopics
from feedline.security.certificates import issue
from feedline.security.cluster_access import new_password, put_rules, set_passwords
from feedline.security.order_principals import order_rules
from feedline.security.principals import Service, rules
from feedline.security.secret_file import write_secret

SECURITY = "security"
NODES = (1, 2, 3)
HEAP_MB = 384


def security_files(home: Path) -> SecurityFiles:
    """The certificates and passwords of a stack's folder."""
    return SecurityFiles(home / SECURITY)


def is_secured(home: Path) -> bool:
    """Whether the stack of a folder is a secured one, which it stays."""
    return security_files(home).ca.exists()


def require_fresh(home: Path) -> None:
    """Raises ConfigurationError when the folder holds a stack in plain text, whose data a secured one cannot take."""
    if not is_secured(home) and (home / "kafka").exists():
        raise ConfigurationError(
            "this folder holds a stack without security: give the secured one another with --home", file=str(home)
        )


def port_names() -> list[str]:
    """The names of the ports of every node."""
    return [_named(role, node) for node in NODES for role in ("kafka", "controller", "internal")]


def _named(role: str, node: int) -> str:
    return role if node == NODES[0] else f"{role}-{node}"


def secured_nodes(home: Path, ports: Mapping[str, int]) -> dict[str, KafkaConfig]:
    """The brokers by the name of their service; makes the certificates that are missing."""
    files = security_files(home)
    ensure_certificates(files, NODES)
    internal = {node: ports[_named("internal", node)] for node in NODES}
    admin = admin_settings(files, internal)
    voters = tuple((node, ports[_named("controller", node)]) for node in NODES)
    cluster_id = _kept(home / SECURITY / "cluster-id")
    return {
        _named("kafka", node): KafkaConfig(
            folder=home / _named("kafka", node),
            log=home / "logs" / f"{_named('kafka', node)}.log",
            port=ports[_named("kafka", node)],
            controller_port=ports[_named("controller", node)],
            node_id=node,
            voters=voters,
            heap_mb=HEAP_MB,
            cluster_id=cluster_id,
            settings=secured_properties(
                files,
                node,
                clients=ports[_named("kafka", node)],
                advertised=ports[_named("kafka", node)],
                internal=internal[node],
                controller=ports[_named("controller", node)],
            ),
            client={**admin, "bootstrap.servers": f"{HOST}:{internal[node]}"},
        )
        for node in NODES
    }


def secured_registry(home: Path, port: int, bootstrap: str) -> RegistryConfig:
    """The registry over HTTPS, on Kafka as its own principal."""
    files = security_files(home)
    issued = issue(files.authority, files.folder / "registry", "registry", HOSTS)
    user = str(Service.REGISTRY)
    password = _password(home, user)
    login = "org.apache.kafka.common.security.scram.ScramLoginModule"
    return RegistryConfig(
        folder=home / "registry",
        log=home / "logs" / "registry.log",
        port=port,
        bootstrap=bootstrap,
        ca=files.ca,
        properties={
            "apicurio.kafkasql.topic.auto-create": "true",
            "apicurio.kafka.common.security.protocol": "SASL_SSL",
            "apicurio.kafka.common.sasl.mechanism": "SCRAM-SHA-512",
            "apicurio.kafka.common.sasl.jaas.config": f'{login} required username="{user}" password="{password}";',
            "apicurio.kafka.common.ssl.truststore.type": "PEM",
            "apicurio.kafka.common.ssl.truststore.location": str(files.ca),
            "quarkus.http.insecure-requests": "disabled",
            "quarkus.http.ssl-port": str(port),
            "quarkus.http.ssl.certificate.files": str(issued.certificate),
            "quarkus.http.ssl.certificate.key-files": str(issued.key),
            "quarkus.http.ssl.protocols": "TLSv1.3,TLSv1.2",
        },
    )


def secured_settings(home: Path, bootstrap: str, registry_url: str) -> dict[str, Any]:
    """The entries `kafka`, `registry` and `principals` of the settings. Who only looks does it as the watcher."""
    files = security_files(home)
    services = {str(service): _login(home, str(service)) for service in Service}
    return {
        "kafka": {
            "bootstrap.servers": bootstrap,
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "ssl.ca.location": str(files.ca),
            **services[str(Service.WATCHER)],
        },
        "registry": {"url": registry_url, "ssl.ca.location": str(files.ca)},
        "principals": {name.removeprefix("feedline-"): login for name, login in services.items()},
    }


def security_client(home: Path) -> dict[str, Any]:
    """The librdkafka properties of one who looks, for an address that is named apart."""
    found = secured_settings(home, "", "")["kafka"]
    return dict(canonical({name: value for name, value in found.items() if name != "bootstrap.servers"}))


def give_services_access(home: Path, ports: Mapping[str, int]) -> None:
    """Makes the services' users and their rules on the brokers, which run; idempotent."""
    files = security_files(home)
    admin = admin_client(admin_settings(files, {node: ports[_named("internal", node)] for node in NODES}))
    set_passwords(admin, {str(service): _password(home, str(service)) for service in Service})
    put_rules(admin, [*rules(load_catalog().topics()), *order_rules(OrderTopics())])


def _login(home: Path, user: str) -> dict[str, Any]:
    _password(home, user)
    return {"sasl.username": user, "sasl.password": {"file": str(_password_file(home, user))}}


def _password_file(home: Path, user: str) -> Path:
    return home / SECURITY / "passwords" / user


def _password(home: Path, user: str) -> str:
    file = _password_file(home, user)
    if not file.exists():
        write_secret(file, new_password())
    return file.read_text(encoding="utf-8").strip()


def _kept(file: Path) -> str:
    if not file.exists():
        write_secret(file, new_cluster_id())
    return file.read_text(encoding="utf-8").strip()
