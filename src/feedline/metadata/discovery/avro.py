"""The Avro schema of what was observed, and the decisions that led to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from feedline.batch.avro_program import MAX_DEPTH
from feedline.metadata.discovery.decide import (
    EMPTY_MAP,
    EMPTY_OBJECT,
    FORM,
    FORMAT,
    LEFT_OUT,
    NOTHING,
    ORIGINAL,
    Choice,
    decide_boolean,
    decide_number,
    decide_text,
    json_text,
    mixture,
)
from feedline.metadata.discovery.keys import business_keys
from feedline.metadata.discovery.maps import map_reason, map_values
from feedline.metadata.discovery.names import MAX_COLUMN_PREFIX, RESERVED, names_of, type_name
from feedline.metadata.discovery.observe import Node
from feedline.metadata.discovery.policy import DiscoveryPolicy
from feedline.metadata.fields import type_words
from feedline.warehouse.layout import ITEM_INDEX, METADATA
from feedline.warehouse.names import column_name


@dataclass(frozen=True, slots=True)
class Decision:
    """How the type of one path was reached. path: names as in the schema; samples: values seen there; null_share: of
    the places where there could be a value, 0 to 1, the share that had null or nothing; offers: what a person could
    make of it instead; converted: whether documents must be conformed to the schema, not just read by it."""

    path: str
    type: str
    reason: str
    samples: int
    null_share: float
    conflicts: tuple[str, ...] = ()
    offers: tuple[str, ...] = ()
    converted: bool = False


def _new_table() -> set[str]:
    return {one.name for one in (*METADATA, ITEM_INDEX)}


@dataclass(frozen=True, slots=True)
class _Place:
    """path: in the decisions; types: parts of a named type's name; columns: names within the table; depth: as the
    codec counts it; in_array: whether it lies in a child table already; taken: columns of the table, growing."""

    path: str
    types: tuple[str, ...]
    columns: tuple[str, ...]
    depth: int = 0
    in_array: bool = False
    taken: set[str] = field(default_factory=_new_table, repr=False)

    def below(self, name: str, *, deeper: int) -> _Place:
        path = f"{self.path}.{name}" if self.path else name
        return _Place(path, (*self.types, name), (*self.columns, name), self.depth + deeper, self.in_array, self.taken)

    def item(self, *, deeper: int) -> _Place:
        return _Place(f"{self.path}[]", self.types, (), self.depth + deeper, in_array=True)


class SchemaBuilder:
    """Builds the schema of one root; `decisions` is filled parents first."""

    def __init__(self, policy: DiscoveryPolicy) -> None:
        self.decisions: list[Decision] = []
        self._policy = policy
        self._feed = policy.target == "feed"
        self._type_names: set[str] = set()

    def build(self, root: Node, name: str, namespace: str | None) -> dict[str, Any]:
        """The record of the samples. `businessKeys` is there when a guess could be made."""
        place = _Place("", (name,), ())
        head: dict[str, Any] = {"type": "record", "name": self._named(place)}
        if namespace:
            head["namespace"] = namespace
        keys = _in_order(root.fields)
        names = names_of(keys, (), place.taken)
        record = self._record_fields(root, keys, names, place)
        types = {key: one["type"] for key, one in zip(keys, record, strict=True)}
        chosen, why = business_keys(root, {key: names[key] for key in keys}, types)
        words = ", ".join(chosen) or "none"
        self.decisions.insert(0, Decision("", f"record, business keys {words}", why, root.objects, 0.0))
        if chosen:
            head["businessKeys"] = list(chosen)
        return flattened_fields({**head, "fields": record})

    def _record_fields(
        self, node: Node, keys: Iterable[str], names: Mapping[str, str], place: _Place
    ) -> list[dict[str, Any]]:
        fields = []
        for key in keys:
            child, name = node.fields[key], names[key]
            nullable = child.nulls > 0 or child.seen < node.objects
            at = len(self.decisions)
            below = place.below(name, deeper=2 if nullable else 1)
            choice = self._choose(child, below)
            entry: dict[str, Any] = {"name": name, "type": ["null", choice.type] if nullable else choice.type}
            if nullable:
                entry["default"] = None
                if node.objects - child.seen > child.nulls:
                    entry[LEFT_OUT] = True
            if name != key:
                entry |= {"aliases": [key], ORIGINAL: key}
            self._decide(at, below.path, choice, child, places=node.objects, original=key if name != key else None)
            fields.append(entry)
        return fields

    def _decide(
        self, at: int, path: str, choice: Choice, node: Node, *, places: int, original: str | None = None
    ) -> None:
        conflicts = list(choice.conflicts)
        missing = places - node.seen
        name = path.rpartition(".")[2]
        if original is not None:
            conflicts.append(f"the documents call it {original!r}, which is no free name of Avro and a table")
        if not node.kinds and node.nulls:
            conflicts.append("nothing but null was seen: the type is not known")
        if missing and node.nulls:
            conflicts.append(f"null {node.nulls:,} times and left out {missing:,} times: Avro has one null for both")
        has_column = not (isinstance(choice.type, Mapping) and choice.type["type"] == "record")
        if has_column and "." not in path.rpartition("[]")[2].lstrip(".") and column_name((name,)) in RESERVED:
            conflicts.append(f"{name} is a reserved word of SQL: its column needs quotes")
        offers = [f"enum of {', '.join(choice.symbols)}"] if choice.symbols else []
        share = round((node.nulls + missing) / places, 6) if places else 0.0
        self.decisions.insert(
            at,
            Decision(
                path, _words(choice.type), choice.reason, node.seen, share, tuple(conflicts), tuple(offers),
                original is not None or _is_converted(choice.type),
            ),
        )  # fmt: skip

    def _choose(self, node: Node, place: _Place) -> Choice:
        kinds = node.kinds
        if not kinds:
            return Choice(dict(NOTHING), "no value was seen")
        if len(kinds) > 1:
            return self._mixed(node, place)
        return self._of_kind(kinds[0], node, place)

    def _of_kind(self, kind: str, node: Node, place: _Place) -> Choice:
        if kind == "number" and node.numbers is not None:
            return decide_number(node.numbers, self._policy)
        if kind == "text" and node.texts is not None:
            return decide_text(node.texts, self._policy)
        if kind == "object":
            return self._object(node, place)
        return self._array(node, place) if kind == "array" else decide_boolean(node)

    def _mixed(self, node: Node, place: _Place) -> Choice:
        seen = mixture(node)
        if self._feed:
            note = f"values of several kinds, {seen}: kept as the text of their JSON, nothing is coerced"
            return Choice(json_text(node.kinds), seen, (note,))
        branches = []
        for kind in node.kinds:
            choice = self._of_kind(kind, node, place) if kind != "text" else Choice("string", "")
            branches.append(choice.type)
        if any(isinstance(one, Mapping) and one.get(FORM) in ("number", "json") for one in branches):
            return Choice(
                json_text(node.kinds), seen, (f"values of several kinds, {seen}: kept as the text of their JSON",)
            )
        return Choice(branches, seen, (f"values of several kinds, {seen}: a union",))

    def _as_json(self, kind: str, what: str, why: str) -> Choice:
        return Choice(json_text([kind]), what, (f"{why}: kept as the text of its JSON",))

    def _object(self, node: Node, place: _Place) -> Choice:
        if not node.fields and node.values is None:
            empty = EMPTY_OBJECT if self._feed else EMPTY_MAP
            return Choice(dict(empty), f"{node.objects:,} empty objects: there is no field to name")
        what = f"{node.objects:,} objects"
        why = map_reason(node, self._policy)
        if why is not None:
            return self._map(node, place, f"{what}: {why}, so they are data")
        if trouble := self._no_room(place, "object"):
            return self._as_json("object", what, trouble)
        head = {"type": "record", "name": self._named(place)}
        keys = _in_order(node.fields)
        names = names_of(keys, place.columns, place.taken)
        fields = self._record_fields(node, keys, names, place)
        return Choice({**head, "fields": fields}, f"{what} of {len(fields)} fields")

    def _array(self, node: Node, place: _Place) -> Choice:
        what = f"{node.arrays:,} arrays of up to {node.longest:,} items"
        items = node.items if node.items is not None else Node()
        if trouble := self._no_room(place, "array"):
            return self._as_json("array", what, trouble)
        if self._feed and place.in_array and any(kind in items.kinds for kind in ("object", "array")):
            return self._as_json("array", what, "an array of objects inside an array's objects has no table")
        below = place.item(deeper=2 if items.nulls else 1)
        at = len(self.decisions)
        if self._feed and items.kinds == ("array",):
            choice = self._as_json("array", f"{items.arrays:,} arrays", "an array inside an array has no table")
        else:
            choice = self._choose(items, below)
            if self._feed and isinstance(choice.type, Mapping) and choice.type["type"] == "array":
                del self.decisions[at:]
                choice = self._as_json("object", choice.reason, "an array of maps has no table")
        self._decide(at, below.path, choice, items, places=items.seen)
        kind = {"type": "array", "items": ["null", choice.type] if items.nulls else choice.type}
        return Choice(kind, what)

    def _map(self, node: Node, place: _Place, reason: str) -> Choice:
        values = map_values(node)
        if trouble := self._no_room(place, "map"):
            return self._as_json("object", reason, trouble)
        if self._feed and place.in_array:
            return self._as_json("object", reason, "a map inside an array's objects has no table")
        at = len(self.decisions)
        if not self._feed:
            below = place.item(deeper=2)
            choice = self._choose(values, below)
            self._decide(at, below.path, choice, values, places=values.seen)
            return Choice({"type": "map", "values": ["null", choice.type]}, reason)
        item = place.item(deeper=1)
        name = self._named(item)
        names = names_of(("key", "value"), (), item.taken)
        below = item.below(names["value"], deeper=2)
        choice = self._choose(values, below)
        self._decide(at, below.path, choice, values, places=values.seen)
        # Fields of a record that may be left out may be null; a map that a record turns out to be takes no less.
        value: dict[str, Any] = {"name": names["value"], "type": ["null", choice.type], "default": None}
        entry = {"type": "record", "name": name, "fields": [{"name": names["key"], "type": "string"}, value]}
        return Choice({"type": "array", "items": entry, FORM: "map"}, reason)

    def _no_room(self, place: _Place, what: str) -> str | None:
        # An object's fields lie one level deeper, two where they may be null; a map's entries one more.
        below = 4 if what == "map" else 2
        most = MAX_DEPTH if self._feed else 3 * MAX_DEPTH
        if place.depth + below > most:
            return f"nested deeper than the {most} levels of a schema"
        prefix = column_name((*place.types[1:],))
        if self._feed and len(prefix) > MAX_COLUMN_PREFIX:
            return f"its fields' columns would have names of over {MAX_COLUMN_PREFIX} characters"
        return None

    def _named(self, place: _Place) -> str:
        base = type_name(place.types)
        name, number = base, 1
        while name in self._type_names:
            number += 1
            name = f"{base}{number}"
        self._type_names.add(name)
        return name


def flattened_fields(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record schema as plain dicts and lists, its unions flat."""
    return {
        name: [{**one, "type": _plain(one["type"])} for one in part] if name == "fields" else part
        for name, part in record.items()
    }


def _plain(kind: Any) -> Any:
    if isinstance(kind, list):
        branches: list[Any] = []
        for one in kind:
            part = _plain(one)
            branches.extend(part if isinstance(part, list) else [part])
        return branches
    if isinstance(kind, Mapping):
        if kind["type"] == "record":
            return flattened_fields(kind)
        return {name: _plain(part) if name in ("items", "values") else part for name, part in kind.items()}
    return kind


def _in_order(fields: Mapping[str, Node]) -> list[str]:
    """As they mostly stand in the documents."""
    return sorted(fields, key=lambda key: (Fraction(fields[key].place, max(1, fields[key].seen)), key))


def _words(kind: Any) -> str:
    if isinstance(kind, list):
        return " or ".join(map(_words, kind))
    if isinstance(kind, Mapping) and kind.get(FORM) == "map":
        return "map, as an array of key and value"
    if isinstance(kind, Mapping) and kind["type"] in ("array", "map"):
        items = kind.get("items", kind.get("values"))
        inner = next(one for one in items if one != "null") if isinstance(items, list) else items
        is_record = isinstance(inner, Mapping) and inner["type"] == "record"
        return f"{kind['type']} of {'records' if is_record else _words(inner)}"
    form = kind.get(FORM) if isinstance(kind, Mapping) else None
    return _FORMS.get(str(form), type_words(kind))


_FORMS = {
    "json": "string holding JSON",
    "number": "string holding a number",
    "nothing": "string, as nothing was seen",
    "empty": "string holding an empty object",
}


def _is_converted(kind: Any) -> bool:
    return isinstance(kind, Mapping) and (FORMAT in kind or kind.get(FORM) in ("json", "number", "empty", "map"))
