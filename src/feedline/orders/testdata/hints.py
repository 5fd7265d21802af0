"""Values for Avro types, from the generator hints in the schema (`arg.properties`, as KSQL's generator spells them).

Understood: `options` (one of), `regex` (literals, classes and counts), `range` with `min` and `max` (decimals and
integers, exact), `days_from_now` with `min` and `max` (dates), `now` (timestamps), `kind: uuid`.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from feedline.errors import ConfigurationError

_PART = re.compile(r"(\[[^\]]+\]|\\d|[^\[\]{}\\()*+?|^$.])(?:\{(\d+)(?:,(\d+))?\})?")
_RANGE = re.compile(r"(.)-(.)")


def make_value(kind: Any, chance: random.Random, now: datetime) -> Any:
    """A value of an Avro type: of a union the first branch that is not null, or null when that has no hint.

    Raises ConfigurationError for a type without a hint that it needs.
    """
    if isinstance(kind, list):
        branch = next(one for one in kind if one != "null")
        return None if isinstance(branch, str) and "null" in kind else make_value(branch, chance, now)
    if not isinstance(kind, Mapping):
        raise ConfigurationError(f"the schema gives no `arg.properties` for a value of type {kind}")
    if kind["type"] == "record":
        return {field["name"]: make_value(field["type"], chance, now) for field in kind["fields"]}
    if kind["type"] == "enum":
        return chance.choice(kind["symbols"])
    return _hinted(kind, kind.get("arg.properties") or {}, chance, now)


def _hinted(kind: Mapping[str, Any], hints: Mapping[str, Any], chance: random.Random, now: datetime) -> Any:
    if "options" in hints:
        return chance.choice(hints["options"])
    if "regex" in hints:
        return text_of(hints["regex"], chance)
    if hints.get("kind") == "uuid":
        return str(UUID(int=chance.getrandbits(128), version=4))
    if hints.get("now"):
        return now.astimezone(UTC)
    if "days_from_now" in hints:
        days = hints["days_from_now"]
        return _weekday(now.date() + timedelta(days=chance.randint(days["min"], days["max"])))
    if "range" in hints:
        return _in_range(kind, hints["range"], chance)
    raise ConfigurationError(f"the hints {dict(hints)} of type {kind['type']} say nothing that can be made")


def _in_range(kind: Mapping[str, Any], bounds: Mapping[str, Any], chance: random.Random) -> Decimal | int:
    low, high = Decimal(str(bounds["min"])), Decimal(str(bounds["max"]))
    if kind.get("logicalType") != "decimal":
        return chance.randint(int(low), int(high))
    step = Decimal(1).scaleb(-int(kind.get("scale", 0)))
    return low.quantize(step) + step * chance.randint(0, int((high - low) / step))


def _weekday(day: date) -> date:
    return day - timedelta(days=max(0, day.weekday() - 4))


def text_of(pattern: str, chance: random.Random) -> str:
    """A text that the pattern matches; raises ConfigurationError for more of a pattern than is understood."""
    parts = list(_PART.finditer(pattern))
    if "".join(part[0] for part in parts) != pattern:
        raise ConfigurationError(f"of the regex {pattern!r} only literals, classes and counts can be made")
    made = []
    for part in parts:
        least = int(part[2] or 1)
        made += chance.choices(_characters(part[1]), k=chance.randint(least, int(part[3] or least)))
    return "".join(made)


def _characters(part: str) -> str:
    if part == r"\d":
        return string.digits
    if not part.startswith("["):
        return part
    inner = part[1:-1]
    spans = "".join("".join(map(chr, range(ord(a), ord(b) + 1))) for a, b in _RANGE.findall(inner))
    return spans + _RANGE.sub("", inner)
