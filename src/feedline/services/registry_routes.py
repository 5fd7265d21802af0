"""Confluent's registry API in front of the registry: what its clients speak, with metadata and rule sets kept."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from feedline.metadata.compatibility import LEVELS, check_compatibility
from feedline.metadata.registry_errors import INVALID_LEVEL, INVALID_SCHEMA, SchemaRefusedError
from feedline.metadata.subjects import Version
from feedline.services.auth import require
from feedline.services.metadata_state import MetadataState, state_of
from feedline.services.roles import Identity

router = APIRouter(tags=["registry"])

State = Annotated[MetadataState, Depends(state_of)]
Viewer = Annotated[Identity, Depends(require("viewer"))]
Engineer = Annotated[Identity, Depends(require("engineer"))]


class SchemaBody(BaseModel):
    """A schema as Confluent's clients send it: its text, AVRO unless told otherwise."""

    text: str = Field(alias="schema")
    kind: str = Field("AVRO", alias="schemaType")
    metadata: dict[str, Any] | None = None
    rule_set: dict[str, Any] | None = Field(None, alias="ruleSet")

    def parsed(self) -> dict[str, Any]:
        """Raises SchemaRefusedError 42201."""
        try:
            document = json.loads(self.text)
        except (ValueError, RecursionError) as error:
            raise SchemaRefusedError(INVALID_SCHEMA, f"the schema is not JSON: {error}") from error
        if not isinstance(document, dict) or self.kind not in ("AVRO", "JSON"):
            raise SchemaRefusedError(INVALID_SCHEMA, "the schema must be an object, of type AVRO or JSON")
        return document


class LevelBody(BaseModel):
    """A compatibility level."""

    compatibility: str


@router.get("/subjects")
def subjects(state: State, _: Viewer) -> list[str]:
    """Every subject."""
    return state.subjects.names()


@router.get("/subjects/{subject}/versions")
def versions(subject: str, state: State, _: Viewer) -> list[int]:
    """The numbers of a subject's versions. 40401."""
    return state.subjects.versions(subject)


@router.get("/subjects/{subject}/versions/{version}")
def version(subject: str, version: str, state: State, _: Viewer) -> dict[str, Any]:
    """A version by its number, `latest` or `-1`. 40401, 40402, 42202."""
    return _document(state.subjects.version(subject, version))


@router.post("/subjects/{subject}/versions")
def register(subject: str, body: SchemaBody, state: State, caller: Engineer) -> dict[str, Any]:
    """Registers a version of any subject; a feed's is better changed by `/feeds/{feed}/versions`, which makes the
    tables ready. 40901, 42201."""
    parsed = body.parsed()
    made = state.subjects.register(
        subject, parsed, kind=body.kind, by=caller.name, metadata=body.metadata, rule_set=body.rule_set
    )
    return _document(made)


@router.post("/subjects/{subject}")
def look_up(subject: str, body: SchemaBody, state: State, _: Viewer) -> dict[str, Any]:
    """The version that is exactly this schema. 40401, 40403."""
    return _document(state.subjects.look_up(subject, body.parsed(), body.kind))


@router.get("/schemas/ids/{number}")
def by_id(number: int, state: State, _: Viewer) -> dict[str, Any]:
    """A schema by its id. 40403."""
    schema, kind = state.subjects.by_id(number)
    return {"schema": _text(schema), **({"schemaType": kind} if kind != "AVRO" else {})}


@router.get("/schemas/types")
def types(_: Viewer) -> list[str]:
    """The kinds of schema."""
    return ["JSON", "AVRO"]


@router.post("/compatibility/subjects/{subject}/versions/{version}")
def compatibility(subject: str, version: str, body: SchemaBody, state: State, _: Viewer) -> dict[str, Any]:
    """Whether a schema may follow a version: the registry's word, and in `messages` why not. 40401, 40402, 42201."""
    parsed = body.parsed()
    known = state.subjects.version(subject, version)
    answer = state.subjects.compatible(subject, parsed, known.version, body.kind)
    messages: list[str] = []
    if parsed.get("type") == "record" and known.kind == "AVRO" and known.schema.get("type") == "record":
        level = state.subjects.level(subject)
        verdict = check_compatibility(parsed, [(known.version, known.schema)], level)
        messages = [one.text for one in verdict.findings if one.severity.value == "breaking"]
    return {"is_compatible": answer, "messages": messages}


@router.get("/config/{subject}")
def level(subject: str, state: State, _: Viewer) -> dict[str, str]:
    """The subject's compatibility level."""
    return {"compatibilityLevel": state.subjects.level(subject)}


@router.put("/config/{subject}")
def set_level(subject: str, body: LevelBody, state: State, _: Engineer) -> dict[str, str]:
    """Changes it. 42203."""
    if body.compatibility not in LEVELS:
        raise SchemaRefusedError(
            INVALID_LEVEL, f"no compatibility level {body.compatibility[:40]!r}: {', '.join(LEVELS)}"
        )
    state.subjects.set_level(subject, body.compatibility)
    return {"compatibility": body.compatibility}


def _document(one: Version) -> dict[str, Any]:
    kept: dict[str, Any] = {"metadata": one.metadata, "ruleSet": one.rule_set}
    return {
        "subject": one.subject,
        "version": one.version,
        "id": one.number,
        "schema": _text(one.schema),
        **({"schemaType": one.kind} if one.kind != "AVRO" else {}),
        **{name: value for name, value in kept.items() if value is not None},
    }


def _text(schema: Any) -> str:
    return json.dumps(schema, separators=(",", ":"), ensure_ascii=False)
