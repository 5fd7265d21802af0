"""Changing a feed's schema: look at what a change would do, register it, roll it back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from feedline.batch.schemas import batch_subject
from feedline.errors import ConfigurationError
from feedline.metadata.edits import edited
from feedline.metadata.evolution import evolve, plan_evolution, roll_back
from feedline.metadata.ldm_files import feed_model
from feedline.metadata.schema_files import write_schema
from feedline.services.auth import require
from feedline.services.metadata_state import CurrentFeed, MetadataState, state_of
from feedline.services.roles import Identity

router = APIRouter(prefix="/feeds", tags=["evolution"])

State = Annotated[MetadataState, Depends(state_of)]
Viewer = Annotated[Identity, Depends(require("viewer"))]
Engineer = Annotated[Identity, Depends(require("engineer"))]


class Proposal(BaseModel):
    """A schema of a feed's records, or edits of the latest one; base: the version that it was made from, which is
    checked when it is given; what: why, for the history; write: also into the catalogue's files."""

    record: dict[str, Any] | None = None
    edits: list[dict[str, Any]] | None = None
    base: int | None = None
    what: str = ""
    write: bool = True

    def schema_for(self, current: CurrentFeed) -> dict[str, Any]:
        """Raises ConfigurationError when neither or both are given, or an edit cannot be made."""
        if (self.record is None) == (self.edits is None):
            raise ConfigurationError("give either a record or edits", feed=current.feed.name)
        return self.record if self.record is not None else edited(current.feed.schema, self.edits or ())


class RollBack(BaseModel):
    """to: the version that is to be the latest again; base: the latest that the caller has looked at."""

    to: int
    base: int | None = None


@router.post("/{feed}/proposals")
def propose(feed: str, body: Proposal, state: State, _: Viewer) -> dict[str, Any]:
    """What registering would do: the changes, the verdict and what to do instead, the statements. Changes nothing."""
    current = state.current(feed)
    schema = body.schema_for(current)
    level = state.subjects.level(batch_subject(current.feed)) if current.version else "BACKWARD"
    level = level if level != "NONE" else "BACKWARD"
    try:
        model = feed_model(current.feed, state.catalog_file, schema)
    except ConfigurationError:
        # What is wrong with the schema is said by the plan, with what to do about it.
        model = None
    plan = plan_evolution(current.feed, schema, current.history, level, model=model)
    return {**plan.document(), "record": schema}


@router.post("/{feed}/versions")
def register(feed: str, body: Proposal, state: State, caller: Engineer) -> dict[str, Any]:
    """Checks, makes the tables ready, registers, writes the files. 40901 with what to do instead, before anything is
    changed; 409 when another version was registered since `base`."""
    current = state.current(feed)
    schema = body.schema_for(current)
    try:
        model = feed_model(current.feed, state.catalog_file, schema)
    except ConfigurationError:
        model = None
    with state.warehouse() as connection:
        plan, version = evolve(
            current.feed,
            schema,
            subjects=state.subjects,
            connection=connection,
            by=caller.name,
            what=body.what[:500],
            model=model,
            expected=body.base,
        )
    written: list[Path] = []
    if body.write:
        with state.changing_files():
            written = write_schema(state.catalog_file, feed, schema)
    return {**plan.document(), "version": version.version, "id": version.number, "files": [one.name for one in written]}


@router.post("/{feed}/rollback")
def rollback(feed: str, body: RollBack, state: State, caller: Engineer) -> dict[str, Any]:
    """Makes an earlier version the latest again, as a new version; nothing is deleted. 40402, 40901."""
    current = state.current(feed)
    version = roll_back(current.feed, body.to, subjects=state.subjects, by=caller.name, expected=body.base)
    target = next(record for one, record in current.history if one.version == body.to)
    with state.changing_files():
        written = write_schema(state.catalog_file, feed, json.loads(json.dumps(target)))
    return {"version": version.version, "id": version.number, "files": [one.name for one in written]}
