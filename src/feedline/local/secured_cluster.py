"""Three local Kafka nodes that are secured: planned, started, given users and rules, and renewed while they run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from feedline.kafka.admin import admin_client
from feedline.local.cluster import ClusterConfig, plan_cluster
from feedline.local.ports import HOST, choose_ports
from feedline.local.secured import SecurityFiles, admin_settings, ensure_certificates, renew_node, secured_properties
from feedline.security.cluster_access import new_password, put_rules, set_passwords
from feedline.security.principals import Rule
from feedline.security.rotation import await_served, reload_certificates
from feedline.security.secret_file import write_secret

PASSWORDS = "passwords"


@dataclass(frozen=True, slots=True)
class SecuredCluster:
    """A plan: the cluster to start (`feedline.local.cluster.Cluster`), and how to reach it. internal: by node, the port
    of brokers and the administrator."""

    config: ClusterConfig
    files: SecurityFiles
    internal: Mapping[int, int]

    @property
    def admin(self) -> dict[str, str]:
        """The administrator's librdkafka properties: by certificate, over the internal listener."""
        return admin_settings(self.files, self.internal)

    def password_file(self, user: str) -> Path:
        return self.files.folder / PASSWORDS / user

    def client(self, user: str) -> dict[str, Any]:
        """A user's librdkafka properties, as settings hold them: the password by reference to its file."""
        return client_settings(self.config.bootstrap, self.files.ca, user, self.password_file(user))


def client_settings(bootstrap: str, ca: Path, user: str, password_file: Path) -> dict[str, Any]:
    """A user's librdkafka properties as settings hold them, the password by reference."""
    return {
        "bootstrap.servers": bootstrap,
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": user,
        "sasl.password": {"file": str(password_file)},
        "ssl.ca.location": str(ca),
    }


def plan_secured_cluster(home: Path, nodes: int = 3) -> SecuredCluster:
    """A new secured cluster on free ports, with its certificates; nothing started yet."""
    plain = plan_cluster(home, nodes)
    files = SecurityFiles(plain.home / "security")
    ensure_certificates(files, tuple(plain.ports))
    chosen = choose_ports({f"internal-{node}": 0 for node in plain.ports}, {})
    internal = {node: chosen[f"internal-{node}"] for node in plain.ports}
    client = {**admin_settings(files, internal)}
    config = replace(
        plain,
        settings={
            node: secured_properties(
                files,
                node,
                clients=ports.broker,
                advertised=plain.told[node].broker,
                internal=internal[node],
                controller=ports.controller,
            )
            for node, ports in plain.ports.items()
        },
        client={node: {**client, "bootstrap.servers": f"{HOST}:{port}"} for node, port in internal.items()},
    )
    return SecuredCluster(config, files, internal)


def give_access(cluster: SecuredCluster, users: Iterable[str], rules: Iterable[Rule]) -> None:
    """Makes the users, each with a password of its own in a file, and the rules, on a cluster that runs; idempotent."""
    admin = admin_client(cluster.admin)
    set_passwords(admin, {user: _password(cluster.password_file(user)) for user in users})
    put_rules(admin, rules)


def renew_certificates(cluster: SecuredCluster) -> None:
    """Gives every node a new key and certificate while it runs, one node after the other."""
    admin = admin_client(cluster.admin)
    for node, ports in cluster.config.ports.items():
        renew_node(cluster.files, node)
        store = cluster.files.store(node)
        reload_certificates(admin, {node: store}, ("clients", "internal"))
        await_served(HOST, ports.broker, cluster.files.ca, store)


def _password(file: Path) -> str:
    if not file.exists():
        write_secret(file, new_password())
    return file.read_text(encoding="utf-8").strip()
