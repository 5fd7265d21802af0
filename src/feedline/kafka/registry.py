"""The schema registry, through confluent-kafka's own client, so any registry with Confluent's API serves.

A lookup that the registry cannot answer is answered by what was kept of its earlier answers, on disk and on a Kafka
topic, where the settings name them: see `SchemaFallback`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.common._httpx_compat import httpx  # whichever one its client raises from
from confluent_kafka.schema_registry.error import OAuthTokenError, SchemaRegistryError

from feedline.errors import AuthenticationError, ConfigurationError, RegistryUnavailableError
from feedline.kafka.schema_cache import KnownSchema
from feedline.kafka.schema_fallback import SchemaFallback, split_settings

SchemaKind = Literal["AVRO", "JSON"]
T = TypeVar("T")

# The client waits for ever and retries for up to a minute unless told otherwise; a task can be retried as a whole.
_DEFAULTS: Mapping[str, Any] = {"timeout": 10, "max.retries": 3, "retries.wait.ms": 200, "retries.max.wait.ms": 2000}

# Answers that a registry gives while it starts, restarts or is overloaded.
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_NOT_FOUND = 404
_CONFLICT = 409
_REFUSED = frozenset({401, 403})


class RegistryClient(SchemaRegistryClient):
    """confluent-kafka's client with what answers lookups while the registry cannot; fallback is None without one."""

    def __init__(self, conf: Mapping[str, Any]) -> None:
        own, others = split_settings(conf)
        super().__init__({**_DEFAULTS, **others})
        self.fallback = SchemaFallback.of(own, str(others.get("url", "")))


def registry_client(conf: Mapping[str, Any]) -> RegistryClient:
    """A client of confluent-kafka's `SchemaRegistryClient` properties (`url`, `basic.auth.user.info`, `ssl.*`, ...) and
    of ours: `feedline.cache.dir` (a folder where schemas are kept for a time without the registry),
    `feedline.schemas.topic` and `feedline.schemas.kafka` (the topic of schemas, and clients' properties to read it).

    Raises ConfigurationError for settings it refuses; nothing is asked of the registry yet.
    """
    try:
        return RegistryClient(conf)
    except (ValueError, TypeError, OSError) as error:
        raise ConfigurationError(f"the schema registry's settings cannot be used: {error}") from error


def register_schema(
    client: SchemaRegistryClient, subject: str, schema: Mapping[str, Any], kind: SchemaKind = "AVRO"
) -> int:
    """Registers the schema under the subject; the same schema again gives the same id and no new version, also while
    the registry is away.

    Raises ConfigurationError when the registry refuses it (incompatible with the version before, or invalid),
    RegistryUnavailableError, AuthenticationError.
    """
    wanted = _schema(schema, kind)

    def register() -> int:
        try:
            return int(client.register_schema(subject, wanted))
        except SchemaRegistryError as error:
            if error.http_status_code != _CONFLICT:
                raise
        # Incompatible; or it is there already: by another who registers it now, or by an attempt of this client whose
        # answer the registry could not give while it started.
        try:
            return _registered(client, subject, wanted)
        except SchemaRegistryError:
            return int(client.register_schema(subject, wanted))

    return _id_of(client, subject, wanted, kind, register)


def ensure_level(client: SchemaRegistryClient, subject: str, level: str) -> bool:
    """Gives the subject a compatibility level when it has none of its own (the registry's default is NONE), so that the
    registry itself refuses a version that does not keep it; whether it did.

    Raises RegistryUnavailableError, AuthenticationError, ConfigurationError for a level the registry does not know.
    """
    try:
        own = client.get_config(subject).compatibility_level
    except SchemaRegistryError:
        own = None
    if own and str(getattr(own, "value", own)) != "NONE":
        return False
    ask_registry(subject, lambda: client.set_compatibility(subject, level=level))
    return True


def schema_id(client: SchemaRegistryClient, subject: str, schema: Mapping[str, Any], kind: SchemaKind = "AVRO") -> int:
    """The id under which exactly this schema is registered already.

    Raises ConfigurationError when it is not, RegistryUnavailableError, AuthenticationError.
    """
    wanted = _schema(schema, kind)
    return _id_of(client, subject, wanted, kind, lambda: _registered(client, subject, wanted))


def writer_schema(client: SchemaRegistryClient, number: int) -> tuple[dict[str, Any], SchemaKind]:
    """The schema that a message was written with, by its id, and its kind; the client keeps it, so it is asked once.

    Raises ConfigurationError for an id the registry does not know: another registry, more likely than a bad message.
    """
    fallback = _fallback(client)
    known = fallback.recent(number) if fallback else None
    if known is None:
        try:
            schema = ask_registry(f"id {number}", lambda: client.get_schema(number))
        except RegistryUnavailableError:
            known = fallback.schema(number) if fallback else None
            if known is None:
                raise
        else:
            known = KnownSchema(number, schema.schema_str or "null", schema.schema_type or "AVRO")
            if fallback:
                fallback.keep(known)
    return json.loads(known.text), "JSON" if known.kind == "JSON" else "AVRO"


def _registered(client: SchemaRegistryClient, subject: str, wanted: Schema) -> int:
    found = client.lookup_schema(subject, wanted).schema_id
    assert found is not None
    return int(found)


def _fallback(client: SchemaRegistryClient) -> SchemaFallback | None:
    return client.fallback if isinstance(client, RegistryClient) else None


def _id_of(client: SchemaRegistryClient, subject: str, wanted: Schema, kind: SchemaKind, ask: Callable[[], int]) -> int:
    fallback = _fallback(client)
    text = wanted.schema_str or ""
    try:
        number = ask_registry(subject, ask)
    except RegistryUnavailableError:
        found = fallback.registered(subject, text, kind) if fallback else None
        if found is None:
            raise
        return found
    if fallback:
        fallback.keep_registration(subject, KnownSchema(number, text, kind))
    return number


def _schema(schema: Mapping[str, Any], kind: SchemaKind) -> Schema:
    # One spelling for equal schemas: registries compare text before they compare meaning.
    return Schema(json.dumps(schema, separators=(",", ":"), ensure_ascii=False), kind)


def ask_registry(what: str, request: Callable[[], T]) -> T:
    """Makes a request of the client; its failure becomes one of our errors. what: begins the message."""
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
