"""Whether a feed's schema may follow another one, and why not, in words and with what to do instead.

The rules are those of Avro's schema resolution, as a registry's level names them (BACKWARD: a reader of the new schema
reads what was written with the old one), and those of the tables: a column can be added and made wider, never
narrowed nor given another type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from feedline.errors import ConfigurationError
from feedline.metadata.diff import Change, ChangeKind, schema_diff
from feedline.metadata.fields import SchemaField

LEVELS = (
    "NONE",
    "BACKWARD",
    "BACKWARD_TRANSITIVE",
    "FORWARD",
    "FORWARD_TRANSITIVE",
    "FULL",
    "FULL_TRANSITIVE",
)  # fmt: skip
DEFAULT_LEVEL = "BACKWARD"

# Snowflake's widest NUMBER.
MAX_PRECISION = 38

# Avro's promotions that a NUMBER or FLOAT column can follow.
_PROMOTIONS = {("int", "long"), ("float", "double")}


class Severity(Enum):
    """BREAKING is refused; NOTE may surprise; SAFE needs no thought."""

    BREAKING = "breaking"
    NOTE = "note"
    SAFE = "safe"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one change means. what: the change; why: who is affected and how; instead: of a BREAKING one, what to do."""

    severity: Severity
    path: str
    what: str
    why: str
    instead: str = ""

    @property
    def text(self) -> str:
        place = f"{self.path}: " if self.path else ""
        return f"{place}{self.what}. {self.why}{f' Instead: {self.instead}' if self.instead else ''}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """compatible: no finding is BREAKING; against: the versions it was held against."""

    level: str
    findings: tuple[Finding, ...]
    changes: tuple[Change, ...]
    against: tuple[int, ...] = ()

    @property
    def compatible(self) -> bool:
        return not any(one.severity is Severity.BREAKING for one in self.findings)

    @property
    def summary(self) -> str:
        """One sentence."""
        if not self.changes:
            return "Nothing changes."
        broken = [one for one in self.findings if one.severity is Severity.BREAKING]
        if not broken:
            return f"Compatible ({self.level}): {len(self.changes)} change{'s' * (len(self.changes) != 1)}."
        more = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
        return f"Not compatible ({self.level}): {broken[0].path or 'the schema'}: {broken[0].what}{more}."


def check_compatibility(
    new: Mapping[str, Any],
    versions: Sequence[tuple[int, Mapping[str, Any]]],
    level: str = DEFAULT_LEVEL,
    *,
    needed: Sequence[str] = (),
) -> Verdict:
    """Holds a record schema against the versions before it (number and schema, oldest first): all of them for a
    transitive level, else the last. needed: paths that the catalogue uses (control totals, fund field).

    Raises ConfigurationError for an unknown level or a schema that cannot be read.
    """
    if level not in LEVELS:
        raise ConfigurationError(f"no compatibility level {level!r}: there are {', '.join(LEVELS)}")
    held = list(versions) if level.endswith("_TRANSITIVE") else list(versions[-1:])
    findings: dict[tuple[str, str], Finding] = {}
    changes: tuple[Change, ...] = ()
    for _, old in held:
        changes = schema_diff(old, new)
        for change in changes:
            for finding in _findings(change, changes, level, needed):
                findings.setdefault((finding.path, finding.what), finding)
    order = {Severity.BREAKING: 0, Severity.NOTE: 1, Severity.SAFE: 2}
    ranked = sorted(findings.values(), key=lambda one: order[one.severity])
    return Verdict(level, tuple(ranked), changes, tuple(number for number, _ in held))


def _findings(change: Change, changes: Sequence[Change], level: str, needed: Sequence[str]) -> Iterator[Finding]:
    match change.kind:
        case ChangeKind.ADDED:
            yield _added(change, level)
        case ChangeKind.REMOVED:
            yield from _removed(change, changes, level, needed)
        case ChangeKind.RENAMED:
            yield from _renamed(change, level, needed)
        case ChangeKind.TYPE:
            yield _retyped(change)
        case ChangeKind.OPTIONAL:
            yield _optional(change, level)
        case ChangeKind.SYMBOLS:
            yield from _symbols(change)
        case ChangeKind.KEYS:
            yield Finding(
                Severity.BREAKING,
                "",
                f"the business keys change from {change.before or 'none'} to {change.after or 'none'}",
                "They decide which row of the tables is the current one, also for what is loaded already.",
                "make a feed of another name with these keys.",
            )
        case ChangeKind.NAME:
            yield Finding(
                Severity.BREAKING,
                "",
                f"the record's name changes from {change.before} to {change.after}",
                "The name is part of the subject: this would be the first version of another subject.",
                "keep the name, or make a feed of another name.",
            )
        case _:
            yield Finding(Severity.SAFE, change.path, change.text, "Nobody who reads or writes notices.")


def _added(change: Change, level: str) -> Finding:
    one = change.new
    assert one is not None
    if one.has_default or level in ("FORWARD", "FORWARD_TRANSITIVE", "NONE"):
        return Finding(
            Severity.SAFE,
            one.path,
            f"new field, {change.after}",
            "The table gains a column; rows of messages without the field have NULL in it.",
        )
    kind = one.words if one.is_leaf else one.kind
    return Finding(
        Severity.BREAKING,
        one.path,
        f"new field without a default ({change.after})",
        "A reader of the new schema finds no value for it in the messages that lie on the topic already.",
        f'make it optional: "type": ["null", {kind}], "default": null.',
    )


def _removed(change: Change, changes: Sequence[Change], level: str, needed: Sequence[str]) -> Iterator[Finding]:
    one = change.old
    assert one is not None
    if _is_needed(one.path, needed):
        yield _refused_needed(one.path, "removed")
        return
    if level.startswith(("FORWARD", "FULL")) and not one.has_default:
        yield Finding(
            Severity.BREAKING,
            one.path,
            "a field without a default is removed",
            "A reader that still has the old schema finds no value for it.",
            "give it a default in one version, and remove it in a later one.",
        )
        return
    twins = [
        other.path
        for other in changes
        if other.kind is ChangeKind.ADDED and other.new is not None and other.new.words == one.words
        and other.path.rpartition(".")[0] == one.path.rpartition(".")[0]
    ]  # fmt: skip
    hint = f' If it was renamed to {twins[0]}, give that field "aliases": ["{one.name}"].' if len(twins) == 1 else ""
    yield Finding(
        Severity.NOTE,
        one.path,
        f"field removed (was {change.before})",
        f"Its column stays and is NULL for messages of the new version; nothing is dropped.{hint}",
    )


def _renamed(change: Change, level: str, needed: Sequence[str]) -> Iterator[Finding]:
    assert change.old is not None
    if _is_needed(change.old.path, needed):
        yield _refused_needed(change.old.path, "renamed")
    elif not change.old.is_leaf:
        yield Finding(
            Severity.BREAKING,
            change.path,
            f"a field with fields below it is renamed from {change.before}",
            "Every column below it would have another name, and a child table too.",
            "keep its name, and give it the new one in the logical model.",
        )
    elif level.startswith(("FORWARD", "FULL")) and not change.old.has_default:
        yield Finding(
            Severity.BREAKING,
            change.path,
            f"renamed from {change.before}",
            "A reader that still has the old schema looks for the old name; an alias helps readers of the new one.",
            f"keep {change.before}, add {change.after} beside it, and retire the old one later.",
        )
    else:
        yield Finding(
            Severity.NOTE,
            change.path,
            f"renamed from {change.before} by its alias",
            f"The table gains a column for the new name; the views show both names with either's value, so queries for "
            f"{change.before} go on.",
        )


def _is_needed(path: str, needed: Sequence[str]) -> bool:
    return any(one == path or one.startswith(f"{path}.") for one in needed)


def _refused_needed(path: str, done: str) -> Finding:
    return Finding(
        Severity.BREAKING,
        path,
        f"a field that the catalogue uses is {done}",
        "It is a business key, a control total, or the field of the fund: deliveries could not be checked without it.",
        "take it out of the feed's entry in the catalogue first, or keep it.",
    )


def _retyped(change: Change) -> Finding:
    old, new = change.old, change.new
    assert old is not None
    assert new is not None
    if old.kind == new.kind == "decimal":
        return _decimal(old, new)
    if (old.kind, new.kind) in _PROMOTIONS:
        return Finding(
            Severity.SAFE, new.path, f"{old.words} becomes {new.words}", "Every old value fits; the column is widened."
        )
    return Finding(
        Severity.BREAKING,
        new.path,
        f"the type changes from {old.words} to {new.words}",
        "A column cannot change its type, and values of one version would be misread as the other's.",
        f"keep {old.name} as it is and add a new optional field for the new type.",
    )


def _decimal(old: SchemaField, new: SchemaField) -> Finding:
    was, now = ((one.spec.get("precision", 0), one.spec.get("scale", 0)) for one in (old, new))
    what = f"{old.words} becomes {new.words}"
    fixed = any(one.spec.get("type") == "fixed" for one in (old, new))
    if was[1] == now[1] and now[0] > was[0] and now[0] <= MAX_PRECISION and not fixed:
        return Finding(Severity.SAFE, new.path, what, "Every old value fits; the column is widened in place.")
    if was[1] != now[1]:
        why = (
            "The scale is not in the message: a reader that has the other schema would move the decimal point, and a "
            "column cannot change its scale."
        )
        return Finding(
            Severity.BREAKING, new.path, what, why, f"keep {old.name} and add a new optional field with that scale."
        )
    if now[0] > MAX_PRECISION:
        why = f"A column holds at most {MAX_PRECISION} digits."
        return Finding(Severity.BREAKING, new.path, what, why, f"use at most {MAX_PRECISION} digits.")
    why = "Values that were accepted so far may not fit any more." if not fixed else "A fixed type cannot grow."
    return Finding(Severity.BREAKING, new.path, what, why, f"keep {old.words}, or add a new optional field.")


def _optional(change: Change, level: str) -> Finding:
    assert change.new is not None
    widened = change.new.nullable
    if widened and not level.startswith(("FORWARD", "FULL")):
        return Finding(
            Severity.SAFE, change.path, "required becomes optional", "Every old value fits; columns allow NULL already."
        )
    if widened:
        return Finding(
            Severity.BREAKING,
            change.path,
            "required becomes optional",
            "A reader that still has the old schema cannot read a null.",
            "use BACKWARD for this subject, as readers of the tables do not mind.",
        )
    return Finding(
        Severity.BREAKING,
        change.path,
        "optional becomes required",
        "Messages that lie on the topic may have a null there.",
        "keep it optional, and check for nulls where the records are made.",
    )


def _symbols(change: Change) -> Iterator[Finding]:
    assert change.old is not None
    assert change.new is not None
    added = [symbol for symbol in change.new.symbols if symbol not in change.old.symbols]
    gone = [symbol for symbol in change.old.symbols if symbol not in change.new.symbols]
    has_default = change.new.enum_default in change.new.symbols
    suggestion = change.old.symbols[0] if change.old.symbols else "UNKNOWN"
    instead = f'give the enum a default in the same change, as in "default": "{suggestion}".'
    if added:
        what = f"new symbol{'s' * (len(added) != 1)} {', '.join(added[:5])}"
        if has_default:
            why = f"A reader that does not know it takes it for {change.new.enum_default}; the table shows it as sent."
            yield Finding(Severity.SAFE, change.path, what, why)
        else:
            why = "A reader that does not know it fails on the message."
            yield Finding(Severity.BREAKING, change.path, what, why, instead)
    if gone:
        what = f"symbol{'s' * (len(gone) != 1)} {', '.join(gone[:5])} removed"
        if has_default:
            why = f"Messages that have it are read as {change.new.enum_default} by readers of the new schema."
            yield Finding(Severity.NOTE, change.path, what, why)
        else:
            why = "Messages on the topic that have it cannot be read with the new schema."
            yield Finding(Severity.BREAKING, change.path, what, why, f"keep the symbol, or {instead}")
