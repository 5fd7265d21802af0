"""What answers for the schema registry while it cannot: the folder of kept schemas, then the topic of schemas."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feedline.errors import ConfigurationError, FeedlineError
from feedline.kafka.schema_cache import KnownSchema, SchemaCache
from feedline.kafka.schema_topic import SchemaEntry, read_entries

CACHE_FOLDER = "feedline.cache.dir"
TOPIC = "feedline.schemas.topic"
TOPIC_CLIENTS = "feedline.schemas.kafka"
_OURS = frozenset({CACHE_FOLDER, TOPIC, TOPIC_CLIENTS})

# How long an answer of ours is taken without asking the registry again: it costs seconds to find it away.
TRUSTED_S = 30.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FallbackSettings:
    """folder: of the kept schemas; topic and kafka: where schemas lie on a topic, and how to read it."""

    folder: Path | None = None
    topic: str | None = None
    kafka: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.topic and self.kafka is None:
            raise ConfigurationError(f"{TOPIC} needs {TOPIC_CLIENTS}: how the brokers are reached")


def split_settings(conf: Mapping[str, Any]) -> tuple[FallbackSettings, dict[str, Any]]:
    """Ours of a registry's settings, and those of its client. Raises ConfigurationError."""
    folder = conf.get(CACHE_FOLDER)
    ours = FallbackSettings(Path(folder) if folder else None, conf.get(TOPIC), conf.get(TOPIC_CLIENTS))
    return ours, {name: value for name, value in conf.items() if name not in _OURS}


def normal_form(text: str) -> Any:
    """A schema without the namespaces that are those of the type around it, which registries leave out."""
    try:
        return _normal(json.loads(text), None)
    except (ValueError, RecursionError):
        return text


def _normal(value: Any, namespace: str | None) -> Any:
    if isinstance(value, list):
        return [_normal(one, namespace) for one in value]
    if not isinstance(value, dict):
        return value
    own = value.get("namespace", namespace)
    return {
        name: _normal(part, own)
        for name, part in value.items()
        if not (name == "namespace" and part == namespace and "type" in value)
    }


class SchemaFallback:
    """Lookups without the registry; used by one client, from any thread."""

    def __init__(self, settings: FallbackSettings, registry: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._cache = SchemaCache(settings.folder, registry) if settings.folder else None
        self._answered: dict[int, tuple[KnownSchema, float]] = {}
        self._entries: tuple[list[SchemaEntry], float] | None = None

    @classmethod
    def of(cls, settings: FallbackSettings, registry: str) -> SchemaFallback | None:
        """None when the settings name neither a folder nor a topic."""
        return cls(settings, registry) if settings.folder or settings.topic else None

    def keep(self, known: KnownSchema) -> None:
        """Keeps what the registry said of an id."""
        self._answered.pop(known.number, None)
        if self._cache:
            self._cache.keep(known)

    def keep_registration(self, subject: str, known: KnownSchema) -> None:
        """Keeps that the registry has a schema under a subject."""
        if self._cache:
            self._cache.keep_registration(subject, known)
            self._cache.keep(known)

    def recent(self, number: int) -> KnownSchema | None:
        """What was answered in place of the registry a moment ago."""
        known, until = self._answered.get(number, (None, 0.0))
        return known if self._clock() < until else None

    def schema(self, number: int) -> KnownSchema | None:
        """The schema of an id, from the folder or from the topic; None when neither has it."""
        known = self._cache.schema(number) if self._cache else None
        if known is None:
            entry = next((one for one in self._topic() if one.number == number), None)
            if entry is not None:
                known = KnownSchema(number, entry.text, entry.kind)
                self.keep(known)
        if known:
            _log.warning("the schema registry is away: schema %d is taken as it was kept", number)
            self._answered[number] = (known, self._clock() + TRUSTED_S)
        return known

    def registered(self, subject: str, text: str, kind: str) -> int | None:
        """The id under which exactly this schema is registered under the subject, as it was kept; else None."""
        number = self._cache.registered(subject, text, kind) if self._cache else None
        if number is None:
            wanted = normal_form(text)
            candidates = (one for one in self._topic() if (one.subject, one.kind) == (subject, kind))
            number = next((one.number for one in candidates if normal_form(one.text) == wanted), None)
        if number is not None:
            _log.warning("the schema registry is away: %s is schema %d as it was kept", subject, number)
        return number

    def _topic(self) -> list[SchemaEntry]:
        if not self._settings.topic or self._settings.kafka is None:
            return []
        if self._entries is None or self._clock() > self._entries[1]:
            try:
                found = read_entries(self._settings.kafka, self._settings.topic)
            except FeedlineError as error:
                # The caller says what it was that it wanted of the registry.
                _log.warning("the topic of schemas cannot be read either: %s", error)
                return []
            self._entries = (found, self._clock() + TRUSTED_S)
        return self._entries[0]
