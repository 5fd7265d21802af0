"""Upload a sample, get a schema with its decisions, and what it would mean for tables."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from enum import Enum
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request

from feedline.errors import ConfigurationError
from feedline.services.auth import require
from feedline.services.problems import ProblemError
from feedline.services.roles import Identity

router = APIRouter(tags=["discovery"])

Viewer = Annotated[Identity, Depends(require("viewer"))]


@router.post("/discovery")
async def discovery(
    request: Request, _: Viewer, name: Annotated[str, Query(max_length=200, description="The file's name.")] = "sample"
) -> dict[str, Any]:
    """The schema of the sample in the body: JSON, JSON Lines or an array, gzip too. Nothing is registered."""
    with _kept(Path(name).name or "sample") as file:
        with file.open("wb") as out:
            async for chunk in request.stream():
                await to_thread.run_sync(out.write, chunk)
        if not file.stat().st_size:
            raise ConfigurationError("the sample is empty: send the file's bytes as the body", file=name)
        return await to_thread.run_sync(_discovered, file)


@contextmanager
def _kept(name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="feedline-sample-") as folder:
        yield Path(folder) / f"sample{''.join(Path(name).suffixes[-2:])[:20]}"


def _discovered(file: Path) -> dict[str, Any]:
    try:
        from feedline.metadata.discovery import discover, samples_of  # noqa: PLC0415  loads the columnar readers
    except ModuleNotFoundError as error:
        raise ProblemError(HTTPStatus.NOT_IMPLEMENTED, "this installation has no discovery") from error

    found = discover(samples_of(file))
    return {"record": found.avro, "decisions": [_plain(one) for one in found.decisions]}


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(part) for name, part in asdict(value).items()}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(part) for part in value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
