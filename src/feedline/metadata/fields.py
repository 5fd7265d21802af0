"""The fields of an Avro record as a flat list, in the schema's order: what diffs, diagrams and pages are made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from feedline.errors import ConfigurationError
from feedline.warehouse.layout import named_types

# What a person can still look at, and a program still walk in well under a second.
MAX_DEPTH = 64
MAX_FIELDS = 20_000

_MISSING = object()
_NAMED = ("record", "enum", "fixed", "error")


@dataclass(frozen=True, slots=True)
class SchemaField:
    """One field. path: names joined by dots, `[]` behind an array or map whose items have fields; kind: `record`,
    `array`, `map`, `enum`, `union`, `fixed`, a primitive or a logical type; words: the type as a person reads it;
    spec: the type without null and with its name looked up; of: in an array of scalars the items' words."""

    path: str
    name: str
    kind: str
    words: str
    nullable: bool
    doc: str = ""
    default: Any = _MISSING
    aliases: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    enum_default: str | None = None
    depth: int = 0
    attributes: Mapping[str, Any] = field(default_factory=dict, repr=False)
    spec: Any = field(default=None, repr=False, compare=False)

    @property
    def has_default(self) -> bool:
        return self.default is not _MISSING

    @property
    def is_leaf(self) -> bool:
        """Whether it holds a value itself rather than fields."""
        return self.kind != "record" and not self.words.endswith("of records")


_FIELD_WORDS = frozenset({"name", "type", "doc", "default", "aliases", "order"})


def schema_fields(record: Mapping[str, Any]) -> tuple[SchemaField, ...]:
    """Every field of a record schema, parents before children.

    Raises ConfigurationError for something that is not a record schema, a type nobody defined, a recursive type, and
    for more than MAX_DEPTH levels or MAX_FIELDS fields, named types counted each time they are used.
    """
    if not isinstance(record, Mapping) or record.get("type") != "record":
        raise ConfigurationError("the schema of a feed is an Avro record: an object with type, name and fields")
    business_keys(record)
    names = _names_of(record)
    found: list[SchemaField] = []
    for one in _walk(record, names, prefix="", depth=0, inside=()):
        found.append(one)
        if len(found) > MAX_FIELDS:
            raise ConfigurationError(f"the schema has more than {MAX_FIELDS:,} fields: split the feed")
    return tuple(found)


def business_keys(schema: Mapping[str, Any], otherwise: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The paths of `businessKeys`. Raises ConfigurationError when they are no list of texts."""
    keys = schema.get("businessKeys", otherwise)
    if not isinstance(keys, list | tuple) or not all(isinstance(one, str) for one in keys):
        raise ConfigurationError("businessKeys is a list of the paths of fields")
    return tuple(keys)


def ancestors(path: str) -> Iterator[str]:
    """The paths of the fields that a field lies in, nearest first: of `a.b[].c`, `a.b` and `a`."""
    while "." in path:
        path = path.rpartition(".")[0].removesuffix("[]")
        yield path


def _names_of(record: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    try:
        return named_types(record)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigurationError(f"the schema cannot be read: {type(error).__name__} {error}") from error


def _walk(
    record: Mapping[str, Any],
    names: Mapping[str, Mapping[str, Any]],
    *,
    prefix: str,
    depth: int,
    inside: tuple[int, ...],
) -> Iterator[SchemaField]:
    if depth > MAX_DEPTH:
        raise ConfigurationError(f"the schema is more than {MAX_DEPTH} levels deep: flatten it", field=prefix[:200])
    if id(record) in inside:
        raise ConfigurationError("a type contains itself: such records have no end and no table", field=prefix[:200])
    fields = record.get("fields")
    if not isinstance(fields, list):
        raise ConfigurationError("a record has no list of fields", field=prefix.rstrip(".") or None)
    for entry in fields:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str) or "type" not in entry:
            raise ConfigurationError("every field needs a name and a type", field=prefix.rstrip(".") or None)
        path = f"{prefix}{entry['name']}"
        one = _field(entry, names, path, depth)
        yield one
        nested = _nested(one.spec, names, path)
        if nested is not None:
            mark = "" if one.kind == "record" else "[]"
            yield from _walk(nested, names, prefix=f"{path}{mark}.", depth=depth + 1, inside=(*inside, id(record)))


def _field(entry: Mapping[str, Any], names: Mapping[str, Mapping[str, Any]], path: str, depth: int) -> SchemaField:
    spec, nullable = resolve(entry["type"], names, path)
    is_enum = isinstance(spec, Mapping) and spec.get("type") == "enum"
    for word, of in (("aliases", entry), ("symbols", spec if is_enum else {})):
        if not isinstance(of.get(word, []), list):
            raise ConfigurationError(f"the {word} of a field are a list", field=path[:200])
    if kind_of(spec) == "decimal":
        _check_decimal(spec, path)
    return SchemaField(
        path=path,
        name=entry["name"],
        kind=kind_of(spec),
        words=_words(spec, names, path),
        nullable=nullable,
        doc=str(entry.get("doc", "")),
        default=entry.get("default", _MISSING),
        aliases=tuple(map(str, entry.get("aliases", ()))),
        symbols=tuple(map(str, spec.get("symbols", ()))) if is_enum else (),
        enum_default=spec.get("default") if is_enum else None,
        depth=depth,
        attributes={name: value for name, value in entry.items() if name not in _FIELD_WORDS},
        spec=spec,
    )


def _check_decimal(spec: Mapping[str, Any], path: str) -> None:
    precision, scale = spec.get("precision"), spec.get("scale", 0)
    # A bool is an int to Python and no number to Avro.
    whole = all(isinstance(one, int) and not isinstance(one, bool) for one in (precision, scale))
    if not whole or int(precision or 0) < 1 or not 0 <= scale <= int(precision or 0):
        raise ConfigurationError(
            f"a decimal has at least 1 digit and a scale of 0 to all of them, not {str(precision)[:20]} and "
            f"{str(scale)[:20]}",
            field=path[:200],
        )


def resolve(kind: Any, names: Mapping[str, Mapping[str, Any]], path: str = "") -> tuple[Any, bool]:
    """A type without its null branch and with its name looked up, and whether it may be null.

    A union of several types stays a list. Raises ConfigurationError for a name nobody defined.
    """
    nullable = False
    for _ in range(MAX_DEPTH):
        if isinstance(kind, list):
            branches = [branch for branch in kind if branch != "null"]
            nullable = nullable or len(branches) < len(kind)
            if len(branches) != 1:
                return branches, nullable
            kind = branches[0]
        elif isinstance(kind, str):
            if kind in _PRIMITIVE:
                return kind, nullable
            if kind not in names:
                raise ConfigurationError(f"no type {kind[:80]!r} is defined in the schema", field=path[:200] or None)
            return names[kind], nullable
        elif isinstance(kind, Mapping) and not isinstance(kind.get("type"), str):
            kind = kind.get("type")
        elif isinstance(kind, Mapping):
            if kind["type"] in _PRIMITIVE or kind["type"] in _COMPOUND:
                return kind, nullable
            kind = kind["type"]
        else:
            break
    raise ConfigurationError("a type is not one that Avro has", field=path[:200] or None)


_PRIMITIVE = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_COMPOUND = frozenset({*_NAMED, "array", "map"})


def kind_of(spec: Any) -> str:
    """`record`, `array`, `map`, `enum`, `fixed`, `union`, a logical type or a primitive one."""
    if isinstance(spec, list):
        return "union"
    if isinstance(spec, Mapping):
        return str(spec.get("logicalType") or spec["type"])
    return str(spec)


def type_words(spec: Any) -> str:
    """A scalar type as a person reads it: `decimal(24,2)`, `LONG | SHORT`, `date`, `string`."""
    if isinstance(spec, Mapping) and spec.get("logicalType") == "decimal":
        return f"decimal({spec.get('precision', '?')},{spec.get('scale', 0)})"
    if isinstance(spec, Mapping) and spec.get("type") == "enum":
        symbols = [str(symbol) for symbol in spec.get("symbols", ())]
        shown = " | ".join(symbols[:8])
        return f"{shown} | … ({len(symbols)})" if len(symbols) > 8 else shown
    return kind_of(spec)


def _words(spec: Any, names: Mapping[str, Mapping[str, Any]], path: str) -> str:
    kind = kind_of(spec)
    if kind in ("array", "map"):
        items, _ = resolve(spec.get("items" if kind == "array" else "values"), names, path)
        inner = "records" if kind_of(items) == "record" else type_words(items)
        return f"{kind} of {inner}"
    if kind == "union":
        return " or ".join(type_words(branch) if isinstance(branch, Mapping) else str(branch) for branch in spec)
    return type_words(spec)


def _nested(spec: Any, names: Mapping[str, Mapping[str, Any]], path: str) -> Mapping[str, Any] | None:
    kind = kind_of(spec)
    if kind in ("array", "map"):
        spec, _ = resolve(spec.get("items" if kind == "array" else "values"), names, path)
        kind = kind_of(spec)
    return spec if kind == "record" and isinstance(spec, Mapping) else None
