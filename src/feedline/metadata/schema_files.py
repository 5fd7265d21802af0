"""Schema files of the catalogue, written as people write them: what fits a line stays on one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from feedline.catalog import load_catalog
from feedline.catalog_files import catalog_document
from feedline.errors import ConfigurationError
from feedline.metadata.ldm_files import feed_model, ldm_path, write_ldm
from feedline.metadata.whole_files import replace_text

WIDTH = 120


def schema_text(schema: Mapping[str, Any]) -> str:
    """The file's text; the same schema gives the same bytes."""
    return f"{_pretty(schema, 0)}\n"


def _pretty(value: Any, indent: int, taken: int = 0) -> str:
    """taken: characters that already stand on the line."""
    line = json.dumps(value, ensure_ascii=False)
    fits = len(line) + indent + taken <= WIDTH and not (isinstance(value, Mapping) and "fields" in value)
    if fits or not value or not isinstance(value, (Mapping, list)):
        return line
    pad = " " * (indent + 2)
    if isinstance(value, list):
        body = ",\n".join(f"{pad}{_pretty(one, indent + 2)}" for one in value)
        return f"[\n{body}\n{' ' * indent}]"
    parts = []
    for name, part in value.items():
        head = f"{json.dumps(name)}: "
        parts.append(f"{pad}{head}{_pretty(part, indent + 2, len(head))}")
    return "{\n" + ",\n".join(parts) + f"\n{' ' * indent}}}"


def read_schema(file: Path) -> dict[str, Any]:
    """The Avro record of a file. Raises ConfigurationError."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"the schema cannot be read: {str(error)[:200]}", file=str(file)) from error
    if not isinstance(document, dict):
        raise ConfigurationError("the schema of a feed is an Avro record", file=str(file))
    return document


def write_schema(catalog_file: Path, feed: str, schema: Mapping[str, Any]) -> list[Path]:
    """Writes a feed's schema file and its model beside it, so that the next program that reads the catalogue has them;
    the files written. Raises ConfigurationError when the catalogue has no such feed or cannot be written."""
    try:
        path = catalog_file.parent / catalog_document(catalog_file)["feeds"][feed]["schema"]
        replace_text(path, schema_text(schema))
        changed = load_catalog(catalog_file).feed(feed)
        model = ldm_path(feed, catalog_file)
        write_ldm(model, feed_model(changed, catalog_file))
    except (OSError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"the version is registered, but the schema's file could not be written: {error}; write it by hand",
            feed=feed,
            file=str(catalog_file),
        ) from error
    return [path, model]
