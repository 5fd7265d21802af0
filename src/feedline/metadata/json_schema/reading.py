"""A JSON Schema that somebody wrote, or that was made of an Avro schema, as the Avro schema of a feed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from feedline.errors import ConfigurationError
from feedline.metadata.discovery.decide import FORM, JSON_TEXT, NOTHING, NUMBER_TEXT, ORIGINAL
from feedline.metadata.discovery.names import legal_name, names_of, type_name
from feedline.metadata.fields import schema_fields
from feedline.metadata.json_schema.writing import BOUNDS, EXTRA, FORMATS, KEPT, PLAIN_LOGICAL, is_nullable

MAX_DEPTH = 64
MAX_NODES = 20_000
# Of a number that no keyword bounds: money and quantities fit, and so does what a warehouse's column takes.
OPEN_DECIMAL = (38, 10)

_SYMBOL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BY_FORMAT = {FORMATS[name]: dict(spec) for name, spec in PLAIN_LOGICAL.items()}


def read(json_schema: Mapping[str, Any], *, name: str, namespace: str | None) -> dict[str, Any]:
    """The Avro record schema of a JSON Schema whose documents are objects; name and namespace where it has none.

    Raises ConfigurationError, with the path of what Avro has no type for.
    """
    if not isinstance(json_schema, Mapping):
        raise ConfigurationError("a JSON Schema is an object")
    reader = _Reader(json_schema)
    try:
        title = json_schema.get("title")
        start = legal_name(title) if isinstance(title, str) and title else name
        made = reader.type({key: value for key, value in json_schema.items() if key != "$schema"}, (start,), "")
    except (TypeError, KeyError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        raise ConfigurationError(
            f"the JSON Schema cannot be read: {type(error).__name__} {str(error)[:100]}"
        ) from error
    if not isinstance(made, Mapping) or made.get("type") != "record":
        raise ConfigurationError("the JSON Schema of a feed describes objects with properties: a record")
    record = dict(made)
    if namespace and "namespace" not in record:
        record = {"type": "record", "name": record["name"], "namespace": namespace, **record}
    schema_fields(record)
    return record


_STRUCTURE = frozenset(
    {"type", "title", "description", "properties", "required", "additionalProperties", "items", EXTRA}
)


@dataclass(frozen=True, slots=True)
class _Field:
    """What an object says of one of its properties: its name in Avro, what was noted of it, whether it is required."""

    name: str
    note: Mapping[str, Any]
    required: bool


class _Reader:
    """One pass over a JSON Schema."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._names: set[str] = set()
        self._nodes = 0

    def type(self, schema: Any, place: tuple[str, ...], path: str) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES or len(place) > MAX_DEPTH:
            raise ConfigurationError(
                f"the JSON Schema is deeper than {MAX_DEPTH} levels, larger than {MAX_NODES:,} types, or contains "
                "itself",
                field=path[:200] or None,
            )
        if schema is True:
            schema = {}
        if not isinstance(schema, Mapping):
            raise self._refused("a schema is an object", path)
        if "$ref" in schema:
            return self.type(self._target(str(schema["$ref"]), path), place, path)
        extra = schema.get(EXTRA)
        extra = extra if isinstance(extra, Mapping) else {}
        for word in ("anyOf", "oneOf"):
            if word in schema:
                return self._union(schema[word], place, path, last=bool(extra.get("nullLast")))
        if "allOf" in schema or ("not" in schema and "type" not in extra):
            raise self._refused("allOf and not have no Avro type: write the schema out", path)
        kinds = schema.get("type")
        if isinstance(kinds, list):
            return self._kinds(schema, kinds, extra, place, path)
        return self._one(schema, extra, place, path)

    def _kinds(
        self, schema: Mapping[str, Any], kinds: list[Any], extra: Mapping[str, Any], place: tuple[str, ...], path: str
    ) -> Any:
        others = [one for one in kinds if one != "null"]
        inner = {key: value for key, value in extra.items() if key != "nullLast"}
        rest = {key: value for key, value in schema.items() if key != EXTRA}
        given = "type" in inner
        branches = [self._one({**rest, "type": one}, inner, place, path) for one in others[: 1 if given else None]]
        if "null" not in kinds:
            return branches[0] if len(branches) == 1 else branches
        return [*branches, "null"] if extra.get("nullLast") else ["null", *branches]

    def _union(self, schemas: Any, place: tuple[str, ...], path: str, *, last: bool) -> Any:
        if not isinstance(schemas, list) or not schemas:
            raise self._refused("anyOf and oneOf are lists of schemas", path)
        found = [one for one in schemas if one != {"type": "null"}]
        kinds: list[Any] = []
        for number, one in enumerate(found):
            made = self.type(one, place if len(found) == 1 else (*place, str(number + 1)), path)
            kinds.extend(made if isinstance(made, list) else [made])
        if len(found) == len(schemas):
            return kinds[0] if len(kinds) == 1 else kinds
        if len(found) > 1:
            return ["null" if one == {"type": "null"} else kinds.pop(0) for one in schemas]
        kinds = [one for one in kinds if one != "null"]
        return [*kinds, "null"] if last else ["null", *kinds]

    def _one(self, schema: Mapping[str, Any], extra: Mapping[str, Any], place: tuple[str, ...], path: str) -> Any:
        given = extra.get("type")
        if isinstance(given, Mapping):
            return self._given(given, schema, place, path)
        kind = schema.get("type", "object" if "properties" in schema else "any")
        if kind in _SCALARS:
            return _SCALARS[kind](self, schema, extra, place)
        if kind == "object":
            return self._object(schema, extra, place, path)
        if kind == "array":
            items = self.type(schema.get("items", {}), place, f"{path}[]")
            return {"type": "array", "items": items, **extra.get("rest", {}), **self._kept(schema)}
        raise self._refused(f"there is no type {str(kind)[:40]!r} in JSON", path)

    def _given(self, given: Mapping[str, Any], schema: Mapping[str, Any], place: tuple[str, ...], path: str) -> Any:
        """What was written down of a type on the way from Avro."""
        if given.get(FORM) != "map":
            return dict(given)
        key, value = given["items"]["fields"]
        inner = self.type(schema["additionalProperties"], (*place, "value"), f"{path}[]")
        return {**given, "items": {**given["items"], "fields": [key, {**value, "type": inner}]}}

    def _anything(self, schema: Mapping[str, Any], _extra: Mapping[str, Any], _place: tuple[str, ...]) -> Any:
        return {**JSON_TEXT, **self._kept(schema)}

    def _plain(self, schema: Mapping[str, Any], _extra: Mapping[str, Any], _place: tuple[str, ...]) -> Any:
        return ["null", dict(NOTHING)] if schema["type"] == "null" else self._with("boolean", schema)

    def _object(self, schema: Mapping[str, Any], extra: Mapping[str, Any], place: tuple[str, ...], path: str) -> Any:
        properties = schema.get("properties")
        if not properties:
            more = schema.get("additionalProperties")
            if isinstance(more, Mapping):
                values = self.type(more, place, f"{path}[]")
                return {"type": "map", "values": values, **extra.get("rest", {}), **self._kept(schema)}
            return {"type": "string", FORM: "json", **self._kept({**schema, "title": None, "description": None})}
        if not isinstance(properties, Mapping):
            raise self._refused("properties are an object", path)
        notes = extra.get("fields", {})
        required = schema.get("required", ())
        title = schema.get("title")
        record_name = self._named(legal_name(title) if isinstance(title, str) and title else type_name(place))
        given = {key: str(note["name"]) for key, note in notes.items() if "name" in note}
        made = names_of([key for key in properties if key not in given], (), set())
        names = {**made, **given}
        fields = []
        for key, part in properties.items():
            inside = f"{path}.{key}" if path else str(key)
            fields.append(
                self._field(key, part, _Field(names[key], notes.get(key, {}), key in required), place, inside)
            )
        head: dict[str, Any] = {"type": "record", "name": record_name}
        if isinstance(schema.get("description"), str):
            head["doc"] = schema["description"]
        rest = {name: value for name, value in extra.items() if name != "fields"}
        return {**head, **rest, "fields": fields, **self._kept(schema)}

    def _field(self, key: str, schema: Any, told: _Field, place: tuple[str, ...], path: str) -> dict[str, Any]:
        part = schema if isinstance(schema, Mapping) else {}
        inner = {word: value for word, value in part.items() if word not in ("default", "description")}
        if part.get("type") == "object" and "properties" in part and "description" in part and "title" not in part:
            inner["description"] = part["description"]
        kind = self.type(inner if isinstance(schema, Mapping) else schema, (*place, told.name), path)
        made: dict[str, Any] = {"name": told.name, "type": kind}
        if "default" in part:
            made["default"] = part["default"]
        elif not told.required and told.note.get("default") is not False:
            if not is_nullable(kind):
                made["type"] = ["null", *(kind if isinstance(kind, list) else [kind])]
            made["default"] = None
        if isinstance(part.get("description"), str):
            made["doc"] = part["description"]
        if key != told.name:
            made[ORIGINAL] = key
            made.setdefault("aliases", [key])
        return {**made, **{word: value for word, value in told.note.items() if word not in ("name", "default")}}

    def _string(self, schema: Mapping[str, Any], extra: Mapping[str, Any], place: tuple[str, ...]) -> Any:
        symbols = schema.get("enum")
        if isinstance(symbols, list) and symbols and all(isinstance(one, str) for one in symbols):
            if all(_SYMBOL.fullmatch(one) for one in symbols) and len(set(symbols)) == len(symbols):
                title = schema.get("title")
                name = self._named(legal_name(title) if isinstance(title, str) and title else type_name(place))
                return {"type": "enum", "name": name, "symbols": symbols, **extra.get("rest", {})}
            return self._with("string", schema)
        form = schema.get("format")
        if form == "bytes":
            return self._with("bytes", schema, "format")
        if form in _BY_FORMAT:
            return {**_BY_FORMAT[str(form)], **self._kept(schema, "format")}
        return self._with("string", schema)

    def _integer(self, schema: Mapping[str, Any], _extra: Mapping[str, Any], _place: tuple[str, ...]) -> Any:
        low, high = _bound(schema, "minimum", "exclusiveMinimum"), _bound(schema, "maximum", "exclusiveMaximum")
        for name, bits in BOUNDS.items():
            if (schema.get("minimum"), schema.get("maximum")) == (-(1 << bits), (1 << bits) - 1):
                return self._with(name, schema, "minimum", "maximum")
        outside = [one for one in (low, high) if one is not None and not -(1 << 63) <= one < 1 << 63]
        if outside:
            digits = min(38, max(len(str(abs(int(one)))) for one in outside))
            kept = self._kept(schema)
            return {"type": "bytes", "logicalType": "decimal", "precision": digits, "scale": 0, **kept}
        return self._with("long", schema)

    def _number(self, schema: Mapping[str, Any], _extra: Mapping[str, Any], _place: tuple[str, ...]) -> Any:
        if schema.get("format") in ("float", "double"):
            return self._with(str(schema["format"]), schema, "format")
        unit = schema.get("multipleOf")
        scale = _places(unit) if isinstance(unit, int | float) and not isinstance(unit, bool) else OPEN_DECIMAL[1]
        bounds = [_bound(schema, f"{side}imum", f"exclusive{side.title()}imum") for side in ("min", "max")]
        digits = [len(str(abs(int(one)))) for one in bounds if one is not None]
        whole = max(digits) if len(digits) == 2 else OPEN_DECIMAL[0] - scale
        if scale > 38 or whole < 1 or whole + scale > 38:
            return {**NUMBER_TEXT, **self._kept(schema)}
        kept = self._kept(schema)
        return {"type": "bytes", "logicalType": "decimal", "precision": whole + scale, "scale": scale, **kept}

    def _with(self, name: str, schema: Mapping[str, Any], *said: str) -> Any:
        kept = self._kept(schema, *said)
        return {"type": name, **kept} if kept else name

    def _kept(self, schema: Mapping[str, Any], *said: str) -> dict[str, Any]:
        """The keywords that Avro has no word for."""
        left = {
            word: value
            for word, value in schema.items()
            if word not in _STRUCTURE and word not in said and word not in ("$schema", "$defs", "definitions", "$id")
        }
        return {KEPT: left} if left else {}

    def _target(self, reference: str, path: str) -> Any:
        if not reference.startswith("#/"):
            raise self._refused(f"only references within the schema are followed, not {reference[:60]!r}", path)
        found: Any = self._root
        for part in reference[2:].split("/"):
            word = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, Mapping) or word not in found:
                raise self._refused(f"the reference {reference[:60]!r} leads nowhere", path)
            found = found[word]
        # A definition that leads back to itself is stopped by the depth that it makes.
        return {"$ref": found["$ref"]} if isinstance(found, Mapping) and "$ref" in found else found

    def _named(self, name: str) -> str:
        made, number = name, 1
        while made in self._names:
            number += 1
            made = f"{name}{number}"
        self._names.add(made)
        return made

    def _refused(self, reason: str, path: str) -> ConfigurationError:
        return ConfigurationError(f"the JSON Schema cannot be Avro: {reason}", field=path[:200] or None)


_SCALARS: Mapping[str, Callable[..., Any]] = {
    "string": _Reader._string,
    "integer": _Reader._integer,
    "number": _Reader._number,
    "boolean": _Reader._plain,
    "null": _Reader._plain,
    "any": _Reader._anything,
}


def _bound(schema: Mapping[str, Any], *words: str) -> float | int | None:
    for word in words:
        value = schema.get(word)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
    return None


def _places(unit: float) -> int:
    """Digits behind the point of a step such as 0.01 or 1e-6."""
    mantissa, _, exponent = repr(unit).partition("e")
    fraction = mantissa.partition(".")[2].rstrip("0")
    return max(0, len(fraction) - int(exponent or 0))
