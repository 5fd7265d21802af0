"""A schema learned from JSON Lines by one of the tools that do so: what each says of every field at the top."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Kinds = dict[str, str]


def feedline(file: Path) -> Kinds:
    from feedline.metadata.discovery import discover, samples_of  # noqa: PLC0415

    found = discover(samples_of(file), name="sample")
    return {one.path: one.type for one in found.decisions if one.path and "." not in one.path and "[" not in one.path}


def genson(file: Path) -> Kinds:
    from genson import SchemaBuilder  # type: ignore[import-untyped]  # noqa: PLC0415

    builder = SchemaBuilder()
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            builder.add_object(json.loads(line))
    properties: dict[str, Any] = builder.to_schema()["properties"]
    return {name: _json_type(one) for name, one in properties.items()}


def _json_type(schema: dict[str, Any]) -> str:
    kinds = schema.get("type") or [one.get("type") for one in schema.get("anyOf", [])]
    return " or ".join(kinds) if isinstance(kinds, list) else str(kinds)


def polars(file: Path, rows: int | None = None) -> Kinds:
    import polars as pl  # noqa: PLC0415

    schema = pl.scan_ndjson(file, infer_schema_length=rows).collect_schema()
    return {name: str(kind) for name, kind in schema.items()}


def duckdb(file: Path, rows: int = -1) -> Kinds:
    import duckdb as engine  # noqa: PLC0415

    relation = engine.execute(
        "DESCRIBE SELECT * FROM read_json_auto(?, format = 'newline_delimited', sample_size = ?)", [str(file), rows]
    )
    return {row[0]: row[1] for row in relation.fetchall()}


# The last two as they come: they look at the head of the file only.
CONTENDERS: dict[str, Callable[[Path], Kinds]] = {
    "feedline": feedline,
    "genson": genson,
    "polars": polars,
    "DuckDB": duckdb,
    "polars, as it comes": lambda file: polars(file, 100),
    "DuckDB, as it comes": lambda file: duckdb(file, 20_480),
}


def main() -> None:
    name, file = sys.argv[1], Path(sys.argv[2])
    started = time.perf_counter()
    try:
        kinds, error = CONTENDERS[name](file), None
    except Exception as raised:  # noqa: BLE001  what a tool cannot read is a result
        kinds, error = {}, f"{type(raised).__name__}: {str(raised)[:200]}"
    seconds = time.perf_counter() - started
    size = file.stat().st_size
    print(json.dumps({"records": 1, "raw_bytes": size, "seconds": seconds, "kinds": kinds, "error": error}))


if __name__ == "__main__":
    main()
