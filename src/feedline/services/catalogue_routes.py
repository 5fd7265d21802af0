"""Feeds, their versions, logical models, diagrams, lineage and statements: everything that only looks."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel

from feedline.batch.schemas import batch_subject
from feedline.errors import ConfigurationError
from feedline.metadata.diagram import mermaid, svg
from feedline.metadata.diff import schema_diff
from feedline.metadata.fields import SchemaField, schema_fields
from feedline.metadata.ldm_ddl import ddl_preview
from feedline.metadata.ldm_files import document_of, ldm_path, model_of, write_ldm
from feedline.metadata.lineage import lineage_of
from feedline.metadata.registry_errors import VERSION_NOT_FOUND, SchemaRefusedError
from feedline.metadata.search import search
from feedline.metadata.subjects import Version, version_number
from feedline.services.auth import require
from feedline.services.metadata_state import CurrentFeed, MetadataState, state_of
from feedline.services.roles import Identity
from feedline.warehouse.layout import feed_layout

router = APIRouter(prefix="/feeds", tags=["catalogue"])

State = Annotated[MetadataState, Depends(state_of)]
Viewer = Annotated[Identity, Depends(require("viewer"))]
Engineer = Annotated[Identity, Depends(require("engineer"))]


class Described(BaseModel):
    """A feed's logical model as `GET` gives it, changed."""

    model: dict[str, Any]


@router.get("")
def feeds(state: State, _: Viewer) -> list[dict[str, Any]]:
    """Every feed of the catalogue, with what is registered of it."""
    latest = state.latest_versions()
    models = {one.feed: one for one in state.models()}
    return [
        {
            "name": feed.name,
            "title": feed.title,
            "topic": feed.topic.name,
            "table": feed.table,
            "owner": models[feed.name].owner,
            "fields": sum(1 for one in schema_fields(feed.schema) if one.is_leaf),
            "version": latest.get(feed.name),
            "description": models[feed.name].description,
        }
        for feed in state.catalog().feeds.values()
    ]


@router.get("/search")
def find(state: State, _: Viewer, q: Annotated[str, Query(max_length=200)] = "") -> list[dict[str, Any]]:
    """Feeds and attributes by what people call them, best first."""
    return [asdict(hit) for hit in search(state.models(), q)]


@router.get("/{feed}")
def feed(feed: str, state: State, _: Viewer) -> dict[str, Any]:
    """One feed: its schema as a list of fields with the model's words, and its latest version."""
    current = state.current(feed)
    return {
        "name": feed,
        "title": current.model.title,
        "owner": current.model.owner,
        "description": current.model.description,
        "topic": current.feed.topic.name,
        "subject": batch_subject(current.feed),
        "table": current.feed.table,
        "serialization": current.feed.serialization,
        "business_keys": list(current.feed.business_keys),
        "version": current.base,
        "level": state.subjects.level(batch_subject(current.feed)) if current.version else "BACKWARD",
        "schema": dict(current.feed.schema),
        "fields": _fields(current),
    }


@router.get("/{feed}/versions")
def versions(feed: str, state: State, _: Viewer) -> list[dict[str, Any]]:
    """Every version, newest first: who registered it, when, and what it changed."""
    found: list[dict[str, Any]] = []
    before: Any = None
    for one, record in state.current(feed).history:
        changes = [f"{change.path} {change.text}".strip() for change in schema_diff(before, record)] if before else []
        found.append({**_head(one), "changes": changes})
        before = record
    return found[::-1]


@router.get("/{feed}/versions/{version}")
def version(feed: str, version: str, state: State, _: Viewer) -> dict[str, Any]:
    """The schema of a version's records, by number, `latest` or `-1`. 40402."""
    one, record = _version(state.current(feed), version)
    return {
        "version": one.version,
        "id": one.number,
        "by": one.by,
        "at": one.at,
        "what": one.what,
        "schema": dict(record),
    }


@router.get("/{feed}/diff")
def diff(feed: str, state: State, _: Viewer, before: str, after: str = "latest") -> list[dict[str, str]]:
    """What changed from one version to another. 40402."""
    current = state.current(feed)
    changes = schema_diff(_version(current, before)[1], _version(current, after)[1])
    return [{"kind": one.kind.value, "path": one.path, "text": one.text} for one in changes]


@router.get("/{feed}/ldm")
def ldm(feed: str, state: State, _: Viewer) -> dict[str, Any]:
    """The logical data model."""
    return document_of(state.current(feed).model)


@router.put("/{feed}/ldm")
def describe(feed: str, body: Described, state: State, _: Engineer) -> dict[str, Any]:
    """Writes the model's words (names, descriptions, classification, owner) into its file; structure is the schema's.

    Raises 422 for a model of another feed, or one that is none.
    """
    # Before anything is written: a name that is no feed's would become a file's.
    state.catalog().feed(feed)
    with state.changing_files():
        given = model_of(body.model)
        if given.feed != feed:
            raise ConfigurationError(f"the model is of {given.feed!r}", feed=feed)
        write_ldm(ldm_path(feed, state.catalog_file), given)
    return document_of(state.current(feed).model)


@router.get("/{feed}/diagram")
def diagram(feed: str, state: State, _: Viewer, form: str = "svg") -> Response:
    """The entity-relation diagram: `form=svg`, or `mermaid`."""
    model = state.current(feed).model
    if form == "mermaid":
        return Response(mermaid(model), media_type="text/plain; charset=utf-8")
    return Response(svg(model), media_type="image/svg+xml")


@router.get("/{feed}/lineage")
def lineage(feed: str, state: State, _: Viewer) -> list[dict[str, str]]:
    """Field → topic → column, of every attribute."""
    current = state.current(feed)
    return [asdict(one) for one in lineage_of(current.feed, current.model)]


@router.get("/{feed}/ddl")
def ddl(feed: str, state: State, _: Viewer) -> list[str]:
    """The statements that make the feed's tables, views, comments and tags."""
    current = state.current(feed)
    return list(ddl_preview(current.feed, feed_layout(current.feed), current.model))


def _head(one: Version) -> dict[str, Any]:
    return {"version": one.version, "id": one.number, "by": one.by, "at": one.at, "what": one.what}


def _version(current: CurrentFeed, version: str) -> tuple[Any, Any]:
    number = version_number(version)
    wanted = current.base if number is None else number
    for one, record in current.history:
        if one.version == wanted:
            return one, record
    raise SchemaRefusedError(VERSION_NOT_FOUND, f"Version {wanted} not found.", feed=current.feed.name)


def _fields(current: CurrentFeed) -> list[dict[str, Any]]:
    words = current.model.attributes()
    return [_field(one, words.get(one.path), current) for one in schema_fields(current.feed.schema)]


def _field(one: SchemaField, words: Any, current: CurrentFeed) -> dict[str, Any]:
    return {
        "path": one.path,
        "name": one.name,
        "type": one.words,
        "editable": " | ".join(one.symbols) if one.symbols else one.words,
        "leaf": one.is_leaf,
        "optional": one.nullable,
        "doc": one.doc,
        "depth": one.depth,
        "aliases": list(one.aliases),
        "key": one.path in current.feed.business_keys,
        "business_name": words.name if words else "",
        "classification": words.classification.value if words else "",
        "description": words.description if words else one.doc,
        "column": words.column if words else "",
    }
