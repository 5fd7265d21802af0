"""Edits of a feed's schema as a person makes them, one field at a time: what the page's form sends."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from typing import Any

from feedline.errors import ConfigurationError
from feedline.metadata.fields import kind_of, resolve, schema_fields
from feedline.warehouse.layout import named_types

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
_DECIMAL = re.compile(r"decimal\(\s*(\d{1,2})\s*,\s*(\d{1,2})\s*\)")
_LOGICAL: Mapping[str, Mapping[str, str]] = {
    "date": {"type": "int", "logicalType": "date"},
    "timestamp-micros": {"type": "long", "logicalType": "timestamp-micros"},
    "uuid": {"type": "string", "logicalType": "uuid"},
}
_PLAIN = ("string", "boolean", "int", "long", "double", "bytes")


def edited(schema: Mapping[str, Any], edits: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The schema with the edits made, in order; the one given stays as it is.

    An edit names a field by `path` and has any of: `name` (a rename, kept as an alias), `type` (`string`, `long`,
    `decimal(20,2)`, `date`, `timestamp-micros`, `A | B` for an enum, ...), `optional`, `doc`, `key`, `add` (a new field
    of that name beside the path's fields; the path is then the parent's), `remove`.
    Raises ConfigurationError for an edit that cannot be made, with the path as its field.
    """
    # A schema too deep to walk is too deep to copy.
    schema_fields(schema)
    changed: dict[str, Any] = copy.deepcopy(dict(schema))
    for edit in edits:
        _make(changed, edit)
    schema_fields(changed)
    return changed


def _make(schema: dict[str, Any], edit: Mapping[str, Any]) -> None:
    path = str(edit.get("path", ""))
    if "add" in edit:
        _add(schema, path, edit)
        return
    fields, field = find_field(schema, path)
    if edit.get("remove"):
        fields.remove(field)
        return
    if "type" in edit or "optional" in edit:
        _retype(schema, field, edit, path)
    if "doc" in edit:
        field["doc"] = str(edit["doc"])
    if "key" in edit:
        _set_key(schema, path, is_key=bool(edit["key"]))
    if edit.get("name") and edit["name"] != field["name"]:
        former, field["name"] = field["name"], _legal(edit["name"], path)
        field["aliases"] = [*(one for one in field.get("aliases", ()) if one != former), former]
        now = renamed(path, {path: field["name"]})
        keys = schema.get("businessKeys", ())
        schema["businessKeys"] = [
            now + key[len(path) :] if key == path or key.startswith(f"{path}.") else key for key in keys
        ]


def _add(schema: dict[str, Any], parent: str, edit: Mapping[str, Any]) -> None:
    record = schema if not parent else _record_of(schema, parent)
    name = _legal(edit["add"], parent)
    if any(one["name"] == name for one in record["fields"]):
        raise ConfigurationError(f"there is a field {name} already", field=parent or None)
    kind = _parsed(str(edit.get("type", "string")), f"{record['name']}_{name}", parent)
    field: dict[str, Any] = {"name": name, "type": kind, "doc": str(edit.get("doc", ""))}
    if edit.get("optional", True):
        field |= {"type": ["null", kind], "default": None}
    record["fields"].append(field)


def _retype(schema: dict[str, Any], field: dict[str, Any], edit: Mapping[str, Any], path: str) -> None:
    spec, nullable = resolve(field["type"], named_types(schema), path)
    if "type" in edit:
        spec = _parsed(str(edit["type"]), f"{schema['name']}_{path.replace('.', '_').replace('[]', '')}", path, spec)
    optional = bool(edit.get("optional", nullable))
    if not optional and nullable and field.get("default", "") is None:
        del field["default"]
    field["type"] = ["null", spec] if optional else spec
    if optional and "default" not in field:
        field["default"] = None


def _parsed(words: str, name: str, path: str, spec: Any = None) -> Any:
    """The Avro type of the words; an enum that gains symbols keeps its name, and has a default."""
    words = words.strip()
    decimal = _DECIMAL.fullmatch(words)
    if decimal:
        return {"type": "bytes", "logicalType": "decimal", "precision": int(decimal[1]), "scale": int(decimal[2])}
    if words in _LOGICAL:
        return dict(_LOGICAL[words])
    if words in _PLAIN:
        return words
    symbols = [one.strip() for one in words.split("|") if one.strip()]
    if len(symbols) > 1 and all(_NAME.fullmatch(one) for one in symbols):
        before = spec if isinstance(spec, Mapping) and kind_of(spec) == "enum" else {"type": "enum", "name": name}
        default = before.get("default", symbols[0])
        return {**before, "symbols": symbols, "default": default if default in symbols else symbols[0]}
    raise ConfigurationError(
        f"{words[:80]!r} is no type: write {', '.join((*_PLAIN, *_LOGICAL))}, decimal(20,2), or symbols as A | B",
        field=path or None,
    )


def _set_key(schema: dict[str, Any], path: str, *, is_key: bool) -> None:
    keys = [one for one in schema.get("businessKeys", ()) if one != path]
    schema["businessKeys"] = [*keys, path] if is_key else keys


def renamed(path: str, names: Mapping[str, str]) -> str:
    """A path after renames; names: the new name of a field by its old path."""
    parts, before = [], ""
    for part in path.split("."):
        whole = f"{before}{part}"
        field = whole.removesuffix("[]")
        parts.append(names.get(field, part.removesuffix("[]")) + ("[]" if part.endswith("[]") else ""))
        before = f"{whole}."
    return ".".join(parts)


def find_field(schema: dict[str, Any], path: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The field at a path and the fields it stands among. Raises ConfigurationError."""
    parent, _, name = path.rpartition(".")
    record = _record_of(schema, parent.removesuffix("[]")) if parent else schema
    for field in record["fields"]:
        if field["name"] == name:
            return record["fields"], field
    raise ConfigurationError("the schema has no such field", field=path[:200])


def _record_of(schema: dict[str, Any], path: str) -> dict[str, Any]:
    """The record that a field holds, or whose array it holds."""
    names = named_types(schema)
    _, field = find_field(schema, path)
    spec, _ = resolve(field["type"], names, path)
    if kind_of(spec) in ("array", "map"):
        spec, _ = resolve(spec["items" if kind_of(spec) == "array" else "values"], names, path)
    if not isinstance(spec, dict) or kind_of(spec) != "record":
        raise ConfigurationError("the field has no fields below it", field=path[:200])
    return spec


def _legal(name: Any, path: str) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{str(name)[:80]!r} cannot be the name of a field: letters, digits and _", field=path or None
        )
    return name
