"""A second admin client, for the requests that librdkafka does not have: reassignment of replicas and client quotas.

It is kafka-python's, made from the same librdkafka properties as every other client.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from confluent_kafka import KafkaError

from feedline.errors import BrokerUnavailableError, ConfigurationError, RetriableError, TerminalError
from feedline.kafka.config import canonical
from feedline.kafka.errors import translate
from feedline.security.references import Secret

# librdkafka's names to kafka-python's.
_NAMES = {
    "bootstrap.servers": "bootstrap_servers",
    "metadata.broker.list": "bootstrap_servers",
    "client.id": "client_id",
    "security.protocol": "security_protocol",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.mechanisms": "sasl_mechanism",
    "sasl.username": "sasl_plain_username",
    "sasl.password": "sasl_plain_password",
    "sasl.kerberos.service.name": "sasl_kerberos_service_name",
    "ssl.ca.location": "ssl_cafile",
    "ssl.certificate.location": "ssl_certfile",
    "ssl.key.location": "ssl_keyfile",
    "ssl.key.password": "ssl_password",
}
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI")
# Properties that decide how a broker is trusted; leaving one out would connect differently from the other clients.
_TRUST = ("ssl.ca.pem", "ssl.certificate.pem", "ssl.key.pem", "ssl.keystore.location", "ssl.crl.location")


def second_settings(base: Mapping[str, Any]) -> dict[str, Any]:
    """kafka-python's settings for a cluster that librdkafka properties name.

    Raises ConfigurationError for a way to sign in that it has no counterpart of.
    """
    named = canonical(base)
    found = {ours: named[theirs] for theirs, ours in _NAMES.items() if theirs in named}
    found["security_protocol"] = str(found.get("security_protocol", "PLAINTEXT")).upper()
    if str(named.get("ssl.endpoint.identification.algorithm", "https")).lower() == "none":
        found["ssl_check_hostname"] = False
    unknown = [name for name in _TRUST if name in named]
    mechanism = found.get("sasl_mechanism")
    if found["security_protocol"].startswith("SASL") and mechanism not in _MECHANISMS:
        unknown.append(f"sasl.mechanism={mechanism}")
    if unknown:
        raise ConfigurationError(
            f"replicas and quotas cannot be changed over a connection with {', '.join(unknown)}: give the principal "
            f"`provisioning` files (ssl.ca.location, ...) and one of {', '.join(_MECHANISMS)}"
        )
    if "sasl_plain_password" in found and not isinstance(found["sasl_plain_password"], Secret):
        # The client writes its settings into its debug log.
        found["sasl_plain_password"] = Secret(found["sasl_plain_password"])
    return found


@contextmanager
def second_client(base: Mapping[str, Any]) -> Iterator[Any]:
    """A connected `kafka.KafkaAdminClient`, closed at the end; its errors leave as Feedline's.

    Raises BrokerUnavailableError, AuthenticationError, ConfigurationError also when the package is not installed.
    """
    try:
        from kafka import KafkaAdminClient, errors  # noqa: PLC0415  only provisioning has it installed
    except ImportError as error:
        raise ConfigurationError(
            "changing replicas or quotas needs the extra packages of `feedline[provisioning]`: install them"
        ) from error
    # It tells every refused login as an error of its own, besides raising it.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    settings = second_settings(base)
    client = None
    try:
        client = KafkaAdminClient(**settings)
        yield client
    except errors.KafkaError as error:
        raise wire_error(error) from error
    finally:
        if client is not None:
            client.close()


def wire_error(error: Any, *, topic: str | None = None) -> Exception:
    """Feedline's error for one of kafka-python's, class or instance."""
    code = getattr(error, "errno", None)
    text = error.__name__ if isinstance(error, type) else str(error)
    if isinstance(code, int) and code > 0:
        return translate(KafkaError(code, text), topic=topic)
    kind = type(error).__name__
    if "Auth" in kind:
        return translate(KafkaError(KafkaError._AUTHENTICATION, text), topic=topic)
    if "Timeout" in kind or "Connection" in kind or "NotReady" in kind or "Brokers" in kind:
        return BrokerUnavailableError(f"{text}: check that the brokers run and can be reached", topic=topic)
    root = RetriableError if getattr(error, "retriable", False) else TerminalError
    return root(f"the Kafka client failed: {text}", topic=topic)
