"""Passwords and certificates replaced on a cluster that goes on working.

Both are resumable: the same call after a kill finishes what was begun.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Mapping
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from cryptography import x509

from feedline.errors import BrokerUnavailableError, ConfigurationError
from feedline.kafka.errors import translate
from feedline.security.cluster_access import new_password, set_passwords
from feedline.security.secret_file import write_secret

REQUEST_SECONDS = 30.0
SERVED_WITHIN_S = 60.0


def rotate_password(admin: AdminClient, user: str, file: Path) -> None:
    """Gives a user a new password, on the cluster and in the file that the user's clients read it from.

    Clients that are connected stay so; those that connect in between are refused for a moment and read the file again.
    The new password is on disk before the cluster has it, so a kill in between loses it nowhere.
    """
    pending = file.with_name(f"{file.name}.next")
    if not pending.exists():
        write_secret(pending, new_password())
    set_passwords(admin, {user: pending.read_text(encoding="utf-8").strip()})
    pending.replace(file)


def reload_certificates(admin: AdminClient, stores: Mapping[int, Path], listeners: tuple[str, ...]) -> None:
    """Makes brokers read their key stores again, one after the other; no connection is closed, new ones get the new
    certificate. stores: by broker, its PEM key store; listeners: their names.

    A broker compares the file with what it read when it is told of a store, which need not have another name.
    Raises ConfigurationError when the broker refuses the new store, as one of another name or an authority it does not
    trust itself; then it goes on with the old one.
    """
    for broker, store in sorted(stores.items()):
        entries = [
            ConfigEntry(
                f"listener.name.{listener.lower()}.ssl.keystore.location",
                str(store),
                incremental_operation=AlterConfigOpType.SET,
            )
            for listener in listeners
        ]
        resource = ConfigResource(ResourceType.BROKER, str(broker), incremental_configs=entries)
        for future in admin.incremental_alter_configs([resource], request_timeout=REQUEST_SECONDS).values():
            try:
                future.result()
            except KafkaException as error:
                raise translate(error, file=str(store)) from error


def await_served(host: str, port: int, ca: Path, certificate: Path, *, within_s: float = SERVED_WITHIN_S) -> None:
    """Returns when a TLS server shows the certificate of that PEM file; raises BrokerUnavailableError."""
    wanted = first_certificate(certificate)
    deadline = time.monotonic() + within_s
    while served_certificate(host, port, ca) != wanted:
        if time.monotonic() > deadline:
            raise BrokerUnavailableError(
                f"{host}:{port} still shows another certificate than it was given: look into its log",
                file=str(certificate),
            )
        time.sleep(0.2)


def served_certificate(host: str, port: int, ca: Path) -> x509.Certificate:
    """The certificate that a TLS server shows, held against the authority and the host.

    Raises BrokerUnavailableError when nobody answers, ConfigurationError for a certificate that is not to be trusted.
    """
    context = ssl.create_default_context(cafile=str(ca))
    try:
        with (
            socket.create_connection((host, port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=host) as connection,
        ):
            shown = connection.getpeercert(binary_form=True)
    except ssl.SSLCertVerificationError as error:
        raise ConfigurationError(f"{host}:{port} shows a certificate that is not to be trusted: {error}") from error
    except OSError as error:
        raise BrokerUnavailableError(f"{host}:{port} does not answer over TLS: {error}") from error
    assert shown is not None
    return x509.load_der_x509_certificate(shown)


def first_certificate(file: Path) -> x509.Certificate:
    """The first certificate of a PEM file; raises ConfigurationError."""
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())[0]
    except (OSError, ValueError, IndexError) as error:
        raise ConfigurationError(f"no certificate can be read: {error}", file=str(file)) from error
