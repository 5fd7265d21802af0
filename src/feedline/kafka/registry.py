"""The schema registry, through confluent-kafka's own client, so any registry with Confluent's API serves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.common._httpx_compat import httpx  # whichever one its client raises from
from confluent_kafka.schema_registry.error import OAuthTokenError, SchemaRegistryError

from feedline.errors import AuthenticationError, ConfigurationError, RegistryUnavailableError
from feedline.security.references import resolve

SchemaKind = Literal["AVRO", "JSON"]
T = TypeVar("T")

# The client waits for ever and retries for up to a minute unless told otherwise; a task can be retried as a whole.
_DEFAULTS: Mapping[str, Any] = {"timeout": 10, "max.retries": 3, "retries.wait.ms": 200, "retries.max.wait.ms": 2000}

# Answers that a registry gives while it starts, restarts or is overloaded.
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_NOT_FOUND = 404
_REFUSED = frozenset({401, 403})


def registry_client(conf: Mapping[str, Any]) -> SchemaRegistryClient:
    """A client of confluent-kafka's `SchemaRegistryClient` properties (`url`, `basic.auth.user.info`, `ssl.*`, ...).

    Secrets may be references. Raises ConfigurationError for settings it refuses; nothing is asked of the registry yet.
    """
    try:
        return SchemaRegistryClient({**_DEFAULTS, **resolve(conf)})
    except (ValueError, TypeError, OSError) as error:
        raise ConfigurationError(f"the schema registry's settings cannot be used: {error}") from error


def register_schema(
    client: SchemaRegistryClient, subject: str, schema: Mapping[str, Any], kind: SchemaKind = "AVRO"
) -> int:
    """Registers the schema under the subject; the same schema again gives the same id and no new version.

    Raises ConfigurationError when the registry refuses it (incompatible with the version before, or invalid),
    RegistryUnavailableError, AuthenticationError.
    """
    return int(_ask(subject, lambda: client.register_schema(subject, _schema(schema, kind))))


def schema_id(client: SchemaRegistryClient, subject: str, schema: Mapping[str, Any], kind: SchemaKind = "AVRO") -> int:
    """The id under which exactly this schema is registered already.

    Raises ConfigurationError when it is not, RegistryUnavailableError, AuthenticationError.
    """
    found = _ask(subject, lambda: client.lookup_schema(subject, _schema(schema, kind)))
    assert found.schema_id is not None
    return int(found.schema_id)


def writer_schema(client: SchemaRegistryClient, number: int) -> tuple[dict[str, Any], SchemaKind]:
    """The schema that a message was written with, by its id, and its kind; the client keeps it, so it is asked once.

    Raises ConfigurationError for an id the registry does not know: another registry, more likely than a bad message.
    """
    schema = _ask(f"id {number}", lambda: client.get_schema(number))
    return json.loads(schema.schema_str or "null"), "JSON" if schema.schema_type == "JSON" else "AVRO"


def _schema(schema: Mapping[str, Any], kind: SchemaKind) -> Schema:
    # One spelling for equal schemas: registries compare text before they compare meaning.
    return Schema(json.dumps(schema, separators=(",", ":"), ensure_ascii=False), kind)


def _ask(what: str, request: Callable[[], T]) -> T:
    try:
        return request()
    except SchemaRegistryError as error:
        status = error.http_status_code
        if status in _REFUSED:
            raise AuthenticationError(f"the schema registry refused the credentials for {what}: {error}") from error
        if status in _PASSING:
            raise RegistryUnavailableError(f"the schema registry cannot answer for {what} now: {error}") from error
        if status == _NOT_FOUND:
            raise ConfigurationError(
                f"the schema registry does not have {what}: provision the feeds first ({error})"
            ) from error
        raise ConfigurationError(f"the schema registry refused {what}: {error}") from error
    except OAuthTokenError as error:
        raise AuthenticationError(f"no token for the schema registry: {error}") from error
    except (httpx.HTTPError, OSError) as error:
        raise RegistryUnavailableError(f"the schema registry did not answer for {what}: {error}") from error
