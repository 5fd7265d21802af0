"""The subjects of a registry with Confluent's API, and beside them, on the topic of schemas, what the registry drops:
metadata and rule sets, and who registered what and when.

Apicurio's Confluent API answers a registration that has `metadata` or a `ruleSet` as if it had kept them, and gives
neither back; so both live on the topic, under the subject's version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from confluent_kafka.schema_registry import Schema
from confluent_kafka.schema_registry.error import SchemaRegistryError

from feedline.errors import ConfigurationError
from feedline.kafka.registry import RegistryClient, ask_registry, ensure_level
from feedline.kafka.schema_topic import SchemaEntry, ensure_schema_topic, publish, read_entries
from feedline.metadata.registry_errors import (
    INCOMPATIBLE,
    INVALID_SCHEMA,
    INVALID_VERSION,
    SCHEMA_NOT_FOUND,
    SUBJECT_NOT_FOUND,
    VERSION_NOT_FOUND,
    SchemaRefusedError,
)


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a subject as Confluent's API shows it; by, at and what are of our own book."""

    subject: str
    version: int
    number: int
    schema: Mapping[str, Any]
    kind: str = "AVRO"
    metadata: Mapping[str, Any] | None = None
    rule_set: Mapping[str, Any] | None = None
    by: str = ""
    at: str = ""
    what: str = ""


class Subjects:
    """Asks the registry and keeps the book; stateless between calls, safe for threads.

    kafka: clients' properties; replication: of the topic of schemas when it has to be made.
    """

    def __init__(self, client: RegistryClient, kafka: Mapping[str, Any], topic: str, replication: int = 3) -> None:
        self._client, self._kafka, self._topic, self._replication = client, kafka, topic, replication

    def names(self) -> list[str]:
        return sorted(ask_registry("the subjects", self._client.get_subjects))

    def versions(self, subject: str) -> list[int]:
        """Their numbers, oldest first. Raises SchemaRefusedError 40401."""
        return sorted(self._ask(subject, lambda: self._client.get_versions(subject), SUBJECT_NOT_FOUND))

    def has(self, subject: str) -> bool:
        return bool(self._versions_or_none(subject))

    def version(self, subject: str, version: str | int) -> Version:
        """A version by its number, `latest` or `-1`. Raises SchemaRefusedError 40401, 40402 or 42202."""
        number = version_number(version)
        known = self.versions(subject)
        wanted = known[-1] if number is None else number
        if wanted not in known:
            raise SchemaRefusedError(VERSION_NOT_FOUND, f"Version {wanted} not found.")
        found = self._ask(subject, lambda: self._client.get_version(subject, wanted), VERSION_NOT_FOUND)
        return self._with_book(subject, wanted, int(found.schema_id), found.schema, self._book())

    def history(self, subject: str) -> list[Version]:
        """Every version, oldest first, with who registered it."""
        book = self._book()
        found = []
        for number in self.versions(subject):
            one = self._ask(subject, lambda n=number: self._client.get_version(subject, n), VERSION_NOT_FOUND)
            found.append(self._with_book(subject, number, int(one.schema_id), one.schema, book))
        return found

    def by_id(self, number: int) -> tuple[Mapping[str, Any], str]:
        """Raises SchemaRefusedError 40403."""
        schema = self._ask(f"id {number}", lambda: self._client.get_schema(number), SCHEMA_NOT_FOUND)
        return json.loads(schema.schema_str or "null"), schema.schema_type or "AVRO"

    def look_up(self, subject: str, schema: Mapping[str, Any], kind: str = "AVRO") -> Version:
        """The version that is exactly this schema. Raises SchemaRefusedError 40401, 40403."""
        wanted = _schema(schema, kind)
        self.versions(subject)
        found = self._ask(subject, lambda: self._client.lookup_schema(subject, wanted), SCHEMA_NOT_FOUND)
        return self._with_book(subject, int(found.version), int(found.schema_id), found.schema, self._book())

    def level(self, subject: str) -> str:
        """The subject's compatibility level, else the registry's."""
        for name in (subject, None):
            try:
                found = self._client.get_config(name).compatibility_level
            except SchemaRegistryError:
                continue
            if found:
                return str(getattr(found, "value", found))
        return "NONE"

    def set_level(self, subject: str, level: str) -> None:
        """Raises ConfigurationError for a level the registry does not know."""
        ask_registry(subject, lambda: self._client.set_compatibility(subject, level=level))

    def ensure_level(self, subject: str, level: str) -> bool:
        """See `feedline.kafka.registry.ensure_level`."""
        return ensure_level(self._client, subject, level)

    def compatible(self, subject: str, schema: Mapping[str, Any], version: str | int, kind: str = "AVRO") -> bool:
        """The registry's own word. Raises SchemaRefusedError 40401, 40402, 42201."""
        known = self.version(subject, version)
        wanted = _schema(schema, kind)
        ask = self._client.test_compatibility
        return bool(self._ask(subject, lambda: ask(subject, wanted, known.version), INVALID_SCHEMA))

    def register(
        self,
        subject: str,
        schema: Mapping[str, Any],
        *,
        kind: str = "AVRO",
        by: str,
        what: str = "",
        metadata: Mapping[str, Any] | None = None,
        rule_set: Mapping[str, Any] | None = None,
    ) -> Version:
        """Registers a version and writes it into the book; the same schema again changes neither, unless it brings
        other metadata or another rule set, which then replace those of its version.

        Raises SchemaRefusedError 40901, 42201; RegistryUnavailableError; BrokerUnavailableError when the registry has
        the version and the book could not be written: registering again mends that.
        """
        wanted = _schema(schema, kind)
        self._ask(subject, lambda: self._client.register_schema(subject, wanted), INVALID_SCHEMA)
        found = self._ask(subject, lambda: self._client.lookup_schema(subject, wanted), SCHEMA_NOT_FOUND)
        version, number = int(found.version), int(found.schema_id)
        written = next((one for one in self._book() if (one.subject, one.version) == (subject, version)), None)
        entry = SchemaEntry(
            subject=subject,
            version=version,
            number=number,
            text=found.schema.schema_str or wanted.schema_str or "",
            kind=kind,
            metadata=written.metadata if written and metadata is None else metadata,
            rule_set=written.rule_set if written and rule_set is None else rule_set,
            by=by,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            what=what,
        )
        if written is None or (written.metadata, written.rule_set) != (entry.metadata, entry.rule_set):
            self.write([entry])
        return self._with_book(subject, version, number, found.schema, self._book())

    def write(self, entries: list[SchemaEntry]) -> None:
        """Writes into the book, which is made when there is none."""
        ensure_schema_topic(self._kafka, self._topic, self._replication)
        publish(self._kafka, entries, self._topic)

    def publish_missing(self, by: str) -> int:
        """Writes every version of the registry that the book does not have; how many."""
        have = {(one.subject, one.version) for one in self._book()}
        now = datetime.now(UTC).isoformat(timespec="seconds")
        missing = [
            SchemaEntry(one.subject, one.version, one.number, _text(one.schema), one.kind, by=by, at=now, what="found")
            for subject in self.names()
            for one in self.history(subject)
            if (one.subject, one.version) not in have
        ]
        if missing:
            self.write(missing)
        return len(missing)

    def _book(self) -> list[SchemaEntry]:
        return read_entries(self._kafka, self._topic)

    def _versions_or_none(self, subject: str) -> list[int] | None:
        try:
            return self.versions(subject)
        except SchemaRefusedError:
            return None

    def _with_book(self, subject: str, version: int, number: int, schema: Schema, book: list[SchemaEntry]) -> Version:
        entry = next(
            (one for one in book if (one.subject, one.version, one.number) == (subject, version, number)), None
        )
        return Version(
            subject=subject,
            version=version,
            number=number,
            schema=json.loads(schema.schema_str or "null"),
            kind=schema.schema_type or "AVRO",
            metadata=entry.metadata if entry else None,
            rule_set=entry.rule_set if entry else None,
            by=entry.by if entry else "",
            at=entry.at if entry else "",
            what=entry.what if entry else "",
        )

    def _ask(self, what: str, request: Any, missing: int) -> Any:
        """As `ask_registry`; a refusal keeps Confluent's code, or has `missing` where the registry gives none."""
        try:
            return ask_registry(what, request)
        except ConfigurationError as error:
            cause = error.__cause__
            if isinstance(cause, SchemaRegistryError):
                raise SchemaRefusedError(_code_of(cause, missing), cause.error_message or str(cause)) from error
            raise


def version_number(version: str | int) -> int | None:
    """A version's number; None for the latest, which is `latest` or `-1`. Raises SchemaRefusedError 42202."""
    text = str(version)
    if text in ("latest", "-1"):
        return None
    if text.isdecimal() and len(text) <= 9 and int(text) >= 1:
        return int(text)
    raise SchemaRefusedError(
        INVALID_VERSION, f"The specified version '{text[:40]}' is not a valid version id: use a number, latest or -1."
    )


def _code_of(error: SchemaRegistryError, missing: int) -> int:
    code = error.error_code
    if code is not None and code >= 10_000:
        return int(code)
    # Apicurio gives 409 for what Confluent calls 40901.
    return {409: INCOMPATIBLE, 422: INVALID_SCHEMA}.get(error.http_status_code, missing)


def _schema(schema: Mapping[str, Any], kind: str) -> Schema:
    return Schema(_text(schema), kind)


def _text(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, separators=(",", ":"), ensure_ascii=False)
