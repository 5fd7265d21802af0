"""How a local Kafka node is secured: SASL_SSL with SCRAM-SHA-512 for clients, mutual TLS between brokers and
controllers, nothing in plain text, nothing allowed that is not said.

Brokers and controllers prove who they are with certificates, so a new cluster needs no password before it runs; so
does the administrator, who makes the first SCRAM users.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from feedline.local.ports import HOST
from feedline.security.certificates import Authority, ensure_authority, issue

BROKER, ADMIN = "broker", "admin"
HOSTS = (HOST, "localhost")


@dataclass(frozen=True, slots=True)
class SecurityFiles:
    """Where the certificates of a secured local cluster are."""

    folder: Path

    @property
    def authority(self) -> Authority:
        return Authority(self.folder / "authority")

    @property
    def ca(self) -> Path:
        """What everybody trusts."""
        return self.authority.certificate

    def store(self, node: int) -> Path:
        return self.folder / f"node-{node}" / f"{BROKER}.pem"

    @property
    def admin_key(self) -> Path:
        return self.folder / ADMIN / f"{ADMIN}.key"

    @property
    def admin_certificate(self) -> Path:
        return self.folder / ADMIN / f"{ADMIN}.crt"


def ensure_certificates(files: SecurityFiles, nodes: tuple[int, ...]) -> None:
    """Makes what is missing: the authority, a certificate for every node, one for the administrator."""
    authority = ensure_authority(files.authority.folder)
    for node in nodes:
        if not files.store(node).exists():
            renew_node(files, node)
    if not files.admin_certificate.exists():
        issue(authority, files.folder / ADMIN, ADMIN)


def renew_node(files: SecurityFiles, node: int) -> None:
    """A new key and certificate for a node, in place of the old ones."""
    issue(files.authority, files.store(node).parent, BROKER, HOSTS)


def secured_properties(
    files: SecurityFiles, node: int, *, clients: int, advertised: int, internal: int, controller: int
) -> dict[str, str]:
    """Lines of server.properties over those of a plain node; the numbers are ports."""
    return {
        "listeners": f"CLIENTS://{HOST}:{clients},INTERNAL://{HOST}:{internal},CONTROLLER://{HOST}:{controller}",
        "advertised.listeners": f"CLIENTS://{HOST}:{advertised},INTERNAL://{HOST}:{internal}",
        "listener.security.protocol.map": "CLIENTS:SASL_SSL,INTERNAL:SSL,CONTROLLER:SSL",
        "inter.broker.listener.name": "INTERNAL",
        "ssl.enabled.protocols": "TLSv1.3,TLSv1.2",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(files.store(node)),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(files.ca),
        "listener.name.internal.ssl.client.auth": "required",
        "listener.name.controller.ssl.client.auth": "required",
        # The common name of a certificate is the principal.
        "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/,DEFAULT",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.clients.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.clients.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{BROKER};User:{ADMIN}",
        "allow.everyone.if.no.acl.found": "false",
    }


def admin_settings(files: SecurityFiles, internal: Mapping[int, int]) -> dict[str, str]:
    """librdkafka properties of the administrator, over the internal listener; `internal` is the port by node."""
    return {
        "bootstrap.servers": ",".join(f"{HOST}:{port}" for port in internal.values()),
        "security.protocol": "SSL",
        "ssl.ca.location": str(files.ca),
        "ssl.certificate.location": str(files.admin_certificate),
        "ssl.key.location": str(files.admin_key),
    }
