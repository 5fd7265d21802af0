"""What is proposed for a feed: all that follows from its samples, or from the schema that its producer supplied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from feedline.errors import ConfigurationError
from feedline.metadata.discovery import Discovery
from feedline.metadata.discovery.report import document_of as report_document
from feedline.metadata.draft import NAMESPACE, TOPIC, Draft, draft_of, with_keys
from feedline.metadata.fields import schema_fields
from feedline.metadata.json_schema import avro_of, json_schema_of
from feedline.metadata.ldm_files import document_of as model_document

Given = Literal["avro", "json-schema"]


@dataclass(frozen=True, slots=True)
class Proposal:
    """found: how the schema was reached, None where it was supplied; draft: None when `problem` says why there can be
    no table yet."""

    feed: str
    avro: Mapping[str, Any] = field(repr=False)
    found: Discovery | None = field(default=None, repr=False)
    draft: Draft | None = field(default=None, repr=False)
    problem: str | None = None

    @property
    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema of the feed's documents."""
        return json_schema_of(self.avro)

    def document(self) -> dict[str, Any]:
        """Everything, as plain values."""
        draft = self.draft
        nothing = {"samples": 0, "bytes": 0, "refusedCount": 0, "refused": [], "decisions": []}
        return {
            "feed": self.feed,
            "avro": dict(self.avro),
            "jsonSchema": self.json_schema,
            "ldm": None if draft is None else model_document(draft.model),
            "ddl": [] if draft is None else list(draft.ddl),
            "catalog": None if draft is None else draft.catalog_entry,
            "problem": self.problem,
            **(nothing if self.found is None else report_document(self.found)),
        }


def proposal_of(found: Discovery, feed: str, *, keys: Sequence[str] = (), topic: str = TOPIC) -> Proposal:
    """What is proposed after discovery; keys: the business keys where the guess is not taken.

    Raises ConfigurationError for keys that the schema has not.
    """
    avro = with_keys(found.avro, keys) if keys else found.avro
    draft, problem = _draft(avro, feed, found.samples, found.size, topic)
    return Proposal(feed, avro, found, draft, problem)


def supplied(
    schema: Mapping[str, Any],
    given: Given,
    feed: str,
    *,
    keys: Sequence[str] = (),
    namespace: str = NAMESPACE,
    topic: str = TOPIC,
) -> Proposal:
    """What is proposed for a schema that a producer supplied.

    Raises ConfigurationError, with the path, for what is no schema of records or has no type in Avro.
    """
    avro = dict(schema) if given == "avro" else avro_of(schema, name=feed, namespace=namespace)
    schema_fields(avro)
    if keys:
        avro = with_keys(avro, keys)
    draft, problem = _draft(avro, feed, 1, 0, topic)
    return Proposal(feed, avro, None, draft, problem)


def _draft(avro: Mapping[str, Any], feed: str, rows: int, size: int, topic: str) -> tuple[Draft | None, str | None]:
    try:
        return draft_of(avro, feed, rows=rows, size=size, topic=topic), None
    except ConfigurationError as error:
        return None, str(error)
