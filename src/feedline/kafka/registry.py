"""Schemas in the registry, through confluent-kafka's own client: any registry with Confluent's API serves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from httpx import HTTPError

from feedline.errors import AuthenticationError, ConfigurationError, RegistryUnavailableError

SchemaKind = Literal["AVRO", "JSON"]
# Answers that a registry gives while it starts, restarts or is overloaded.
_PASSING = frozenset({429, 500, 502, 503, 504})
_REFUSED = frozenset({401, 403})


def registry_client(config: Mapping[str, Any]) -> SchemaRegistryClient:
    """A client of `SchemaRegistryClient` properties (`url`, `basic.auth.user.info`, `ssl.ca.location`, ...)."""
    return SchemaRegistryClient(dict(config))


def register_schema(
    client: SchemaRegistryClient, subject: str, schema: Mapping[str, Any], kind: SchemaKind = "AVRO"
) -> int:
    """The id of a schema under a subject, registered if it is not there; the same schema gives the same id again.

    Raises RegistryUnavailableError, AuthenticationError, or ConfigurationError when the registry refuses the schema.
    """
    with _translated(subject):
        return int(client.register_schema(subject, _registered(schema, kind)))


def schema_id(client: SchemaRegistryClient, subject: str, schema: Mapping[str, Any], kind: SchemaKind = "AVRO") -> int:
    """The id of a schema that is registered already; ConfigurationError when it is not."""
    with _translated(subject):
        return int(client.lookup_schema(subject, _registered(schema, kind)).schema_id or 0)


def writer_schema(client: SchemaRegistryClient, number: int) -> tuple[dict[str, Any], SchemaKind]:
    """The schema that a message was written with, by its id, and its kind; the client caches it."""
    with _translated(f"id {number}"):
        found = client.get_schema(number)
    return json.loads(found.schema_str or ""), "JSON" if found.schema_type == "JSON" else "AVRO"


def _registered(schema: Mapping[str, Any], kind: SchemaKind) -> Schema:
    return Schema(json.dumps(schema), kind)


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except SchemaRegistryError as error:
        if error.http_status_code in _REFUSED:
            raise AuthenticationError(f"the schema registry refused the credentials: {error}") from error
        if error.http_status_code in _PASSING:
            raise RegistryUnavailableError(f"the schema registry cannot answer for {what} now: {error}") from error
        raise ConfigurationError(f"the schema registry refused {what}: {error}") from error
    except (HTTPError, OSError) as error:
        raise RegistryUnavailableError(f"the schema registry does not answer: {error}") from error
