"""Upload a sample, or the schema a producer supplied: get the schema, its decisions, and what would follow from it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request

from feedline.errors import ConfigurationError
from feedline.metadata.discovery import DiscoveryPolicy, discover, samples_of
from feedline.metadata.discovery.policy import INTEGER_HEADROOM, SCALE_HEADROOM
from feedline.metadata.draft import NAMESPACE, feed_name_of
from feedline.metadata.proposal import proposal_of, supplied
from feedline.services.auth import require
from feedline.services.limits import MIB
from feedline.services.roles import Identity

router = APIRouter(tags=["discovery"])

MAX_SCHEMA_BYTES = 4 * MIB
MAX_KEYS = 20

Viewer = Annotated[Identity, Depends(require("viewer"))]
Kind = Literal["sample", "avro", "json-schema"]
Name = Annotated[str, Query(max_length=200, description="The file's name; the feed is called by it.")]
FeedName = Annotated[str | None, Query(pattern="^[a-z][a-z0-9_]{1,62}$", description="The feed's name.")]
Keys = Annotated[
    list[str], Query(max_length=MAX_KEYS, description="Paths of the business keys, instead of those guessed.")
]
Order = Annotated[Literal["DMY", "MDY"] | None, Query(description="What 03/04/2026 means, where the source is known.")]
Headroom = Annotated[int, Query(ge=0, le=20, description="Digits of a decimal beyond those seen.")]
Dotted = Annotated[str, Query(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$", max_length=200)]


BODY = {
    "required": True,
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}


@router.post("/discovery", openapi_extra={"requestBody": BODY})
async def discovery(  # noqa: PLR0917  its parameters are those of the query
    request: Request,
    _: Viewer,
    name: Name = "sample",
    feed: FeedName = None,
    given: Annotated[Kind, Query(description="What the body is.")] = "sample",
    namespace: Dotted = NAMESPACE,
    key: Keys = [],  # noqa: B006  the framework copies it
    day_order: Order = None,
    integer_headroom: Headroom = INTEGER_HEADROOM,
    scale_headroom: Headroom = SCALE_HEADROOM,
) -> dict[str, Any]:
    """The body is a sample (JSON, JSON Lines or an array, gzip too) or a schema that the producer supplied. The answer
    has the Avro schema, the JSON Schema, the logical model, the statements, the catalogue's entry, and how each
    decision was reached; `problem` says why there is no model yet. Nothing is registered. 422."""
    called = feed or feed_name_of(name)
    rules = DiscoveryPolicy(day_order=day_order, integer_headroom=integer_headroom, scale_headroom=scale_headroom)

    def proposed(file: Path) -> dict[str, Any]:
        if given == "sample":
            found = discover(samples_of(file, policy=rules), name=called, namespace=namespace, policy=rules)
            return proposal_of(found, called, keys=key).document()
        return supplied(_schema(file), given, called, keys=key, namespace=namespace).document()

    with _kept() as file:
        with file.open("wb") as out:
            async for chunk in request.stream():
                await to_thread.run_sync(out.write, chunk)
        if not file.stat().st_size:
            raise ConfigurationError("the sample is empty: send the file's bytes as the body")
        return await to_thread.run_sync(proposed, file)


@contextmanager
def _kept() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="feedline-sample-") as folder:
        yield Path(folder) / "sample"


def _schema(file: Path) -> dict[str, Any]:
    if file.stat().st_size > MAX_SCHEMA_BYTES:
        raise ConfigurationError(f"a schema has at most {MAX_SCHEMA_BYTES:,} bytes")
    try:
        schema = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"the schema is no JSON: {str(error)[:200]}") from error
    if not isinstance(schema, dict):
        raise ConfigurationError("a schema is a JSON object")
    return schema
