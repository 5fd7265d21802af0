"""What differs between two schemas of a feed, change by change, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from feedline.metadata.fields import SchemaField, ancestors, business_keys, schema_fields


class ChangeKind(Enum):
    """What happened to a field or to the schema."""

    ADDED = "added"
    REMOVED = "removed"
    RENAMED = "renamed"
    TYPE = "type"
    OPTIONAL = "optional"
    SYMBOLS = "symbols"
    DEFAULT = "default"
    DOC = "doc"
    MOVED = "moved"
    KEYS = "keys"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Change:
    """One change. path: of the field as it is now (as it was, when it is removed), empty for the schema itself;
    before and after: what was and what is, as a person reads them."""

    kind: ChangeKind
    path: str
    before: str = ""
    after: str = ""
    old: SchemaField | None = None
    new: SchemaField | None = None

    @property
    def text(self) -> str:
        """One line, without the path."""
        match self.kind:
            case ChangeKind.ADDED:
                return f"added: {self.after}"
            case ChangeKind.REMOVED:
                return f"removed: was {self.before}"
            case ChangeKind.RENAMED:
                return f"renamed from {self.before}"
            case ChangeKind.TYPE | ChangeKind.DEFAULT | ChangeKind.DOC | ChangeKind.KEYS | ChangeKind.NAME:
                return f"{self.kind.value}: {self.before or 'none'} → {self.after or 'none'}"
            case _:
                return f"{self.kind.value}: {self.before} → {self.after}"


def schema_diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Change, ...]:
    """The changes that lead from one record schema to another, in the new schema's order, removals last.

    A new field whose `aliases` name one that is gone is a rename, and what lies below it is compared with what lay
    below the other. Raises ConfigurationError for a schema that cannot be read.
    """
    before = {one.path: one for one in schema_fields(old)}
    now = schema_fields(new)
    changes = list(_of_schema(old, new))
    matched: set[str] = set()
    added: set[str] = set()
    # From the path of a renamed parent to the path it had.
    was: dict[str, str] = {}
    present = {one.path for one in now}
    for one in now:
        former = _former(one, before, present, was)
        if former is None:
            # What lies below an added field came with it.
            if not added & set(ancestors(one.path)):
                changes.append(Change(ChangeKind.ADDED, one.path, after=_described(one), new=one))
                added.add(one.path)
            continue
        matched.add(former.path)
        if former.path != one.path:
            was[one.path] = former.path
        if former.name != one.name:
            changes.append(Change(ChangeKind.RENAMED, one.path, former.name, one.name, former, one))
        changes.extend(_of_field(former, one))
    gone = [path for path in before if path not in matched]
    tops = _without_descendants(gone)
    changes.extend(Change(ChangeKind.REMOVED, path, before=_described(before[path]), old=before[path]) for path in tops)
    return tuple(changes)


def _without_descendants(paths: Sequence[str]) -> list[str]:
    every = set(paths)
    return [path for path in paths if not every & set(ancestors(path))]


def _former(
    one: SchemaField, before: Mapping[str, SchemaField], present: set[str], was: Mapping[str, str]
) -> SchemaField | None:
    own = one.path[: len(one.path) - len(one.name)]
    prefix = own
    # The nearest renamed parent knows the whole path that it had.
    for parent in ancestors(one.path):
        if parent in was:
            prefix = f"{was[parent]}{own[len(parent) :]}"
            break
    same = before.get(f"{prefix}{one.name}")
    if same is not None:
        return same
    for alias in one.aliases:
        found = before.get(f"{prefix}{alias}")
        # An alias that is a field of its own is no former name.
        if found is not None and f"{own}{alias}" not in present:
            return found
    return None


def _of_schema(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    changes = []
    if _full_name(old) != _full_name(new):
        changes.append(Change(ChangeKind.NAME, "", _full_name(old), _full_name(new)))
    if business_keys(old) != business_keys(new):
        before, after = (", ".join(business_keys(one)) for one in (old, new))
        changes.append(Change(ChangeKind.KEYS, "", before, after))
    if old.get("doc", "") != new.get("doc", ""):
        changes.append(Change(ChangeKind.DOC, "", str(old.get("doc", "")), str(new.get("doc", ""))))
    return changes


def _of_field(old: SchemaField, new: SchemaField) -> list[Change]:
    changes = []
    pair: dict[str, Any] = {"old": old, "new": new}
    if old.symbols != new.symbols and old.kind == new.kind == "enum":
        changes.append(Change(ChangeKind.SYMBOLS, new.path, " | ".join(old.symbols), " | ".join(new.symbols), **pair))
    elif old.words != new.words or old.kind != new.kind or _fixed_size(old) != _fixed_size(new):
        changes.append(Change(ChangeKind.TYPE, new.path, old.words, new.words, **pair))
    if old.nullable != new.nullable:
        words = {True: "optional", False: "required"}
        changes.append(Change(ChangeKind.OPTIONAL, new.path, words[old.nullable], words[new.nullable], **pair))
    if _default(old) != _default(new):
        changes.append(Change(ChangeKind.DEFAULT, new.path, _default(old), _default(new), **pair))
    if old.doc != new.doc:
        changes.append(Change(ChangeKind.DOC, new.path, old.doc, new.doc, **pair))
    return changes


def _fixed_size(one: SchemaField) -> Any:
    return one.spec.get("size") if isinstance(one.spec, Mapping) and one.spec.get("type") == "fixed" else None


def _default(one: SchemaField) -> str:
    own = repr(one.default) if one.has_default else ""
    return f"{own} (unknown symbols become {one.enum_default})".strip() if one.enum_default else own


def _described(one: SchemaField) -> str:
    return f"{one.words}{', optional' if one.nullable else ''}"


def _full_name(schema: Mapping[str, Any]) -> str:
    namespace = schema.get("namespace")
    return f"{namespace}.{schema.get('name')}" if namespace else str(schema.get("name"))
