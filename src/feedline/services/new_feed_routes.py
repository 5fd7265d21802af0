"""A new feed: look at what it would be, then add it: files of the catalogue, tables, subject."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from feedline.errors import ConfigurationError, FeedlineError, RetriableError
from feedline.metadata.added_feeds import add_feed, entry_text
from feedline.metadata.evolution import evolve, plan_evolution, record_schemas, refuse_incompatible
from feedline.metadata.json_schema import json_schema_of
from feedline.metadata.ldm import business_name, guessed_classification
from feedline.metadata.ldm_files import document_of, yaml_of
from feedline.metadata.new_feed import Addition, NewFeed, Words, addition_of, described_fields, shaped
from feedline.services.auth import require
from feedline.services.metadata_state import MetadataState, state_of
from feedline.services.roles import Identity

router = APIRouter(tags=["new feeds"])

State = Annotated[MetadataState, Depends(state_of)]
Viewer = Annotated[Identity, Depends(require("viewer"))]
Engineer = Annotated[Identity, Depends(require("engineer"))]

MOST_WORDS = 20_000
Text = Annotated[str, Field(max_length=2_000)]
FieldPath = Annotated[str, Field(max_length=1_000)]


class AttributeWords(BaseModel):
    """What people call an attribute."""

    name: Text | None = None
    classification: Literal["public", "internal", "confidential", "personal"] | None = None
    description: Text | None = None


class FeedBody(BaseModel):
    """A feed that is to be added: the schema that discovery gave, and what a person made of it. edits: as those of a
    proposal; edits and words by the paths of avro; keys: the business keys, else the schema's."""

    name: Annotated[str, Field(max_length=100)]
    avro: dict[str, Any]
    title: Text = ""
    owner: Text = ""
    description: Text = ""
    topic: FieldPath | None = None
    edits: Annotated[list[dict[str, Any]], Field(max_length=MOST_WORDS)] = []
    words: Annotated[dict[FieldPath, AttributeWords], Field(max_length=MOST_WORDS)] = {}
    keys: Annotated[list[FieldPath], Field(max_length=20)] = []
    control_totals: Annotated[list[FieldPath], Field(max_length=100)] = []
    fund_field: FieldPath | None = None
    serialization: Literal["avro", "json"] = "avro"
    rows: Annotated[int, Field(ge=1, le=10**12)] = 1
    size: Annotated[int, Field(ge=0, le=10**15)] = 0

    def new_feed(self) -> NewFeed:
        named = self.model_dump(exclude={"edits", "words", "keys", "control_totals"})
        return NewFeed(
            **named,
            edits=tuple(self.edits),
            words={path: Words(**one.model_dump()) for path, one in self.words.items()},
            keys=tuple(self.keys),
            control_totals=tuple(self.control_totals),
        )


class AddedBody(FeedBody):
    """what: why, for the history; register: whether tables and subject are made at once, or by provisioning."""

    what: Text = ""
    register_now: Annotated[bool, Field(alias="register")] = True

    def new_feed(self) -> NewFeed:
        return FeedBody(**self.model_dump(exclude={"what", "register_now"})).new_feed()


@router.post("/drafts")
def draft(body: FeedBody, state: State, _: Viewer) -> dict[str, Any]:
    """What the feed would be: schema, JSON Schema, logical model, statements, catalogue entry, every field; `problem`
    says why it cannot be added yet. Changes nothing. 422 for a schema or an edit that is none."""
    new = body.new_feed()
    schema = shaped(new)
    addition: Addition | None = None
    problem = None
    try:
        addition = addition_of(new, state.catalog(), state.catalog_file.parent)
    except ConfigurationError as error:
        problem = error.reason if error.where.field is None else f"{error.where.field}: {error.reason}"
    return {
        "feed": new.name,
        "problem": problem,
        "avro": schema,
        "jsonSchema": json_schema_of(schema),
        "fields": _fields(new, schema, addition),
        "ldm": document_of(addition.model) if addition else None,
        "ldmFile": yaml_of(addition.model) if addition else "",
        "entryFile": entry_text(addition) if addition else "",
        "ddl": list(addition.ddl) if addition else [],
        "converted": list(addition.converted) if addition else [],
    }


@router.post("/feeds")
def add(body: AddedBody, state: State, caller: Engineer) -> dict[str, Any]:
    """Adds the feed to the catalogue, makes its tables and registers its first version. 409 when the name, a table or
    the subject belongs to another feed. When a service is away after the files were written, 503 says so: the same
    request finishes it, and so does provisioning."""
    new = body.new_feed()
    if not body.register_now:
        _, files = _write(state, new)
        return {"feed": new.name, "files": files, "version": None}
    _refuse_other_history(state, new)
    # Asked first: while the warehouse is away nothing is written either.
    with state.warehouse() as connection:
        addition, files = _write(state, new)
        try:
            _, version = evolve(
                addition.feed,
                addition.feed.schema,
                subjects=state.subjects,
                connection=connection,
                by=caller.name,
                what=body.what[:500] or "added",
                model=addition.model,
            )
        except RetriableError as error:
            raise _unfinished(error) from error
    return {"feed": new.name, "files": files, "version": version.version, "id": version.number}


def _write(state: MetadataState, new: NewFeed) -> tuple[Addition, list[str]]:
    with state.changing_files():
        addition, files = add_feed(state.catalog_file, new)
    return addition, [one.name for one in files]


def _refuse_other_history(state: MetadataState, new: NewFeed) -> None:
    """The registry may know the subject from a feed that is gone, with versions that this schema cannot follow."""
    addition = addition_of(new, state.catalog(), state.catalog_file.parent)
    history = record_schemas(state.subjects, addition.feed)
    if history:
        refuse_incompatible(plan_evolution(addition.feed, addition.feed.schema, history, model=addition.model))


def _unfinished(error: FeedlineError) -> RetriableError:
    return RetriableError(
        f"the feed is in the catalogue, but its tables or its subject are not there yet: {error.reason}; the same "
        "request again finishes it, or `ihub_provision`"
    )


def _fields(new: NewFeed, schema: dict[str, Any], addition: Addition | None) -> list[dict[str, Any]]:
    """As `GET /feeds/{feed}` gives them, with the path that the field has in the schema before the edits."""
    known = addition.model.attributes() if addition else {}
    keys = schema.get("businessKeys", ())
    return [
        {
            "path": one.path,
            "name": one.name,
            "type": one.words,
            "editable": " | ".join(one.symbols) if one.symbols else one.words,
            "leaf": one.is_leaf,
            "optional": one.nullable,
            "doc": one.doc,
            "depth": one.depth,
            "key": one.path in keys,
            "business_name": words.name or business_name(one.path.rpartition("[].")[2]),
            "classification": words.classification or guessed_classification(one.path).value,
            "description": one.doc,
            "column": known[one.path].column if one.path in known else "",
            "former": one.attributes.get("jsonName", ""),
        }
        for one, words in described_fields(new)
    ]
