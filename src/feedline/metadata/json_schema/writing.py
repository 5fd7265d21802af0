"""The JSON Schema of an Avro schema's documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from feedline.metadata.discovery.decide import FORM, FORMAT, KINDS, ORIGINAL
from feedline.metadata.fields import resolve, schema_fields
from feedline.warehouse.layout import named_types

DIALECT = "https://json-schema.org/draft/2020-12/schema"
EXTRA = "x-avro"
KEPT = "jsonSchema"

_WORDS = {"record": ("name", "type", "fields", "doc", KEPT), "field": ("name", "type", "doc", "default", ORIGINAL)}
BOUNDS = {"int": 31, "long": 63}

Names = Mapping[str, Mapping[str, Any]]


def written(avro: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the documents that an Avro record schema describes.

    Raises ConfigurationError for what is no record schema.
    """
    schema_fields(avro)
    return {"$schema": DIALECT, **_record(avro, named_types(avro))}


def _record(spec: Mapping[str, Any], names: Names) -> dict[str, Any]:
    properties, required, notes = {}, [], {}
    for field in spec["fields"]:
        key = field.get(ORIGINAL, field["name"])
        entry = _type(field["type"], names)
        extra = {name: value for name, value in field.items() if name not in _WORDS["field"]}
        if key != field["name"]:
            extra["name"] = field["name"]
        if "default" not in field:
            if not is_nullable(field["type"]):
                required.append(key)
            else:
                extra["default"] = False
        elif field["default"] is not None:
            entry["default"] = field["default"]
        if "doc" in field:
            entry["description"] = field["doc"]
        if extra:
            notes[key] = extra
        properties[key] = entry
    extra = {name: value for name, value in spec.items() if name not in _WORDS["record"]}
    if notes:
        extra["fields"] = notes
    made: dict[str, Any] = {"type": "object", "title": spec["name"]}
    if "doc" in spec:
        made["description"] = spec["doc"]
    made["properties"] = properties
    if required:
        made["required"] = required
    return {**made, "additionalProperties": False, **({EXTRA: extra} if extra else {})}


def is_nullable(kind: Any) -> bool:
    return isinstance(kind, list) and "null" in kind


def _type(kind: Any, names: Names) -> dict[str, Any]:
    if isinstance(kind, list):
        branches = [_type(one, names) for one in kind if one != "null"]
        if len(branches) == 1 and is_nullable(kind):
            return _or_null(branches[0], first=kind[0] == "null")
        made = [{"type": "null"} if one == "null" else _type(one, names) for one in kind]
        return {"anyOf": made}
    spec, _ = resolve(kind, names)
    return _one(spec, names)


def _or_null(schema: dict[str, Any], *, first: bool) -> dict[str, Any]:
    if isinstance(schema.get("type"), str) and "enum" not in schema:
        made = {**schema, "type": [schema["type"], "null"]}
    else:
        made = {"anyOf": [schema, {"type": "null"}]}
    if not first:
        made[EXTRA] = {**made.get(EXTRA, {}), "nullLast": True}
    return made


def _one(spec: Any, names: Names) -> dict[str, Any]:
    if isinstance(spec, str):
        return _primitive(spec)
    kept = dict(spec.get(KEPT, {}))
    plain = {name: value for name, value in spec.items() if name != KEPT}
    if kept and plain["type"] not in _COMPOUND:
        return {**_one(plain, names), **kept, EXTRA: {"type": dict(spec)}}
    if plain.keys() == {"type"} and plain["type"] in _PRIMITIVES:
        return _primitive(plain["type"])
    if spec.get(FORM) == "empty":
        return {**_leaf(plain, names), **kept}
    if spec.get(FORM) == "map":
        return {**_map_entries(plain, names), **kept}
    made = _COMPOUND.get(spec["type"], _leaf)(plain, names)
    return {**made, **kept}


def _map_entries(spec: Mapping[str, Any], names: Names) -> dict[str, Any]:
    entry = spec["items"]
    key, value = entry["fields"]
    note = {**spec, "items": {**entry, "fields": [key, {**value, "type": "null"}]}}
    return {"type": "object", "additionalProperties": _type(value["type"], names), EXTRA: {"type": note}}


def _container(spec: Mapping[str, Any], names: Names) -> dict[str, Any]:
    inner = "items" if spec["type"] == "array" else "values"
    word, kind = ("items", "array") if inner == "items" else ("additionalProperties", "object")
    return {"type": kind, word: _type(spec[inner], names), **_rest(spec, "type", inner)}


def _enum(spec: Mapping[str, Any], _names: Names) -> dict[str, Any]:
    made = {"type": "string", "title": spec["name"], "enum": list(spec["symbols"])}
    return {**made, **_rest(spec, "type", "name", "symbols")}


def _rest(spec: Mapping[str, Any], *said: str) -> dict[str, Any]:
    rest = {name: value for name, value in spec.items() if name not in said}
    return {EXTRA: {"rest": rest}} if rest else {}


def _primitive(name: str) -> dict[str, Any]:
    if name in BOUNDS:
        edge = 1 << BOUNDS[name]
        return {"type": "integer", "minimum": -edge, "maximum": edge - 1}
    if name in ("float", "double"):
        return {"type": "number", "format": name}
    if name == "bytes":
        return {"type": "string", "format": "bytes"}
    return {"type": name}


def _leaf(spec: Mapping[str, Any], _names: Names) -> dict[str, Any]:
    """A type with a logical type or with attributes: what JSON Schema can say of it, and the whole of it beside."""
    logical, form = spec.get("logicalType"), spec.get(FORM)
    note = {EXTRA: {"type": dict(spec)}}
    if form in _BY_FORM:
        kinds = {"type": [_JSON_KINDS.get(kind, kind) for kind in spec[KINDS]]} if KINDS in spec else {}
        return {**_BY_FORM[str(form)], **kinds, **note}
    if logical == "decimal":
        edge = 10 ** (int(spec["precision"]) - int(spec.get("scale", 0)))
        return {"type": "number", "exclusiveMinimum": -edge, "exclusiveMaximum": edge, **note}
    if FORMAT not in spec and logical in FORMATS:
        plain = dict(spec) == PLAIN_LOGICAL[str(logical)]
        return {"type": "string", "format": FORMATS[str(logical)], **({} if plain else note)}
    if logical in _TEXT_LOGICAL:
        return {"type": "string", **note}
    if spec["type"] == "fixed":
        return {"type": "string", "minLength": spec["size"], "maxLength": spec["size"], **note}
    return {**_primitive(str(spec["type"])), **note}


_JSON_KINDS = {"text": "string"}
_BY_FORM: Names = {
    "json": {},
    "number": {"type": "number"},
    "nothing": {"not": {}},
    "empty": {"type": "object", "maxProperties": 0},
    "text": {"type": "string"},
}
FORMATS = {"date": "date", "timestamp-micros": "date-time", "uuid": "uuid"}
PLAIN_LOGICAL: Names = {
    "date": {"type": "int", "logicalType": "date"},
    "timestamp-micros": {"type": "long", "logicalType": "timestamp-micros"},
    "uuid": {"type": "string", "logicalType": "uuid"},
}
_TEXT_LOGICAL = frozenset(
    {"date", "timestamp-micros", "timestamp-millis", "local-timestamp-micros", "time-micros", "time-millis"}
)
_PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_COMPOUND: Mapping[str, Callable[[Mapping[str, Any], Names], dict[str, Any]]] = {
    "record": _record,
    "enum": _enum,
    "array": _container,
    "map": _container,
}
