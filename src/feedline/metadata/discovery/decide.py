"""Which type the values seen at one path have, and why.

Types only widen as more is seen: an integer becomes a decimal with room for every integer, any type of text becomes
plain text, and whatever has more than one kind of value becomes text that holds its JSON. A schema of more samples
accepts what the schema of fewer accepted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from feedline.batch.avro_program import MAX_PRECISION
from feedline.metadata.discovery.moments import ISO_DATE, ISO_MOMENT, Spelling, habit_of
from feedline.metadata.discovery.observe import Node, Numbers, Texts
from feedline.metadata.discovery.policy import DiscoveryPolicy

# How a field's value stands in the documents, where that is not how Avro has it.
FORM, FORMAT, SPELLING, ORIGINAL = "jsonForm", "jsonFormat", "jsonSpelling", "jsonName"
# Of text that holds JSON: the kinds of value that were seen, and that alone may stand there.
KINDS = "jsonKinds"
# On a field: what is null in a record was left out of the document.
LEFT_OUT = "jsonLeftOut"
JSON_TEXT: Mapping[str, Any] = {"type": "string", FORM: "json"}
NUMBER_TEXT: Mapping[str, Any] = {"type": "string", FORM: "number"}
NOTHING: Mapping[str, Any] = {"type": "string", FORM: "nothing"}
EMPTY_OBJECT: Mapping[str, Any] = {"type": "string", FORM: "empty"}
EMPTY_MAP: Mapping[str, Any] = {"type": "map", "values": "null", FORM: "empty"}


@dataclass(frozen=True, slots=True)
class Choice:
    """type: of a value that is not null; conflicts: what a person should look at; symbols: of the enum it could be."""

    type: Any
    reason: str
    conflicts: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()


def json_text(kinds: Iterable[str]) -> dict[str, Any]:
    """Text that holds the JSON of values of these kinds."""
    return {**JSON_TEXT, KINDS: list(kinds)}


def decimal_type(precision: int, scale: int, extra: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale, **extra}


def decide_number(numbers: Numbers, policy: DiscoveryPolicy) -> Choice:
    """long, a decimal with headroom, or the number as text where no decimal of 38 digits holds it. Never a float."""
    if not numbers.reals and not numbers.large:
        return Choice("long", f"{_many(numbers.ints, 'integer')} from {numbers.low} to {numbers.high}, within 64 bits")
    seen = f"up to {numbers.whole} digits before and {numbers.places} after the point"
    notes = []
    if numbers.large:
        notes.append(f"{_many(numbers.large, 'integer')} past 64 bits: kept exactly, as no long could")
    found = _decimal(numbers.whole, numbers.places, policy)
    if found is None:
        notes.append(f"{seen}: more than the {MAX_PRECISION} digits that a decimal has, so the number's text is kept")
        return Choice(dict(NUMBER_TEXT), f"{_many(numbers.ints + numbers.reals, 'number')}, {seen}", tuple(notes))
    mixed = f", {numbers.ints} of them integers" if numbers.ints and numbers.reals else ""
    reason = f"{_many(numbers.ints + numbers.reals, 'number')}{mixed}, {seen}; the rest of {_words(found)} is headroom"
    return Choice(decimal_type(*found), reason, tuple(notes))


def _decimal(whole: int, places: int, policy: DiscoveryPolicy) -> tuple[int, int] | None:
    """Precision and scale. Both sides grow with what was seen and never shrink; None when they do not fit."""
    before = max(policy.least_integer_digits, whole + policy.integer_headroom)
    after = places + policy.scale_headroom if places else 0
    if not after and whole <= MAX_PRECISION:
        before = min(before, MAX_PRECISION)
    return (before + after, after) if before + after <= MAX_PRECISION else None


def _words(found: tuple[int, int]) -> str:
    return f"decimal({found[0]},{found[1]})"


def decide_text(texts: Texts, policy: DiscoveryPolicy) -> Choice:
    """A date or moment where every text is one of the same spelling, a decimal likewise; else text."""
    spellings = texts.spellings
    if spellings is None:
        return Choice("string", f"{_many(texts.count, 'text')} of many spellings")
    forms = {(one.family, one.form) for one in spellings}
    if len(forms) == 1:
        family, form = next(iter(forms))
        single = _SINGLE.get(family)
        if single is not None:
            return single(form, spellings, policy)
    return _plain_text(texts, spellings)


def _plain_text(texts: Texts, spellings: Mapping[Spelling, int]) -> Choice:
    counts: dict[str, int] = {}
    for one, count in spellings.items():
        counts[one.family] = counts.get(one.family, 0) + count
    shown = ", ".join(f"{count:,} {_FAMILIES[family]}" for family, count in sorted(counts.items()))
    conflicts = (f"different spellings in one field, kept as text: {shown}",) if counts.keys() - _QUIET else ()
    if "zeros" in counts:
        reason = f"{_many(texts.count, 'text')}, digits with leading zeros among them: an identifier"
    elif counts.keys() == {"digits"}:
        reason = f"{_many(texts.count, 'text')} of digits in quotes: an identifier, not a number"
    elif counts.keys() == {"uuid"}:
        reason = f"{_many(texts.count, 'UUID')}"
    else:
        reason = f"{_many(texts.count, 'text')} of {texts.shortest} to {texts.longest} characters"
    return Choice("string", reason, conflicts, _symbols(texts))


def _symbols(texts: Texts) -> tuple[str, ...]:
    """The values of an enum that a person may want: few, repeated, and names."""
    values = texts.symbols
    if not values or len(values) < 2 or 2 * len(values) > texts.count or not all(_is_symbol(one) for one in values):
        return ()
    return tuple(sorted(values))


def _is_symbol(text: str) -> bool:
    return text.isascii() and text.isidentifier()


def _date(form: str, spellings: Mapping[Spelling, int], _policy: DiscoveryPolicy) -> Choice:
    kind: dict[str, Any] = {"type": "int", "logicalType": "date"}
    count = sum(spellings.values())
    if form != ISO_DATE:
        kind[FORMAT] = form
    return Choice(kind, f"{_many(count, 'date')} written {form}")


def _moment(form: str, spellings: Mapping[Spelling, int], _policy: DiscoveryPolicy) -> Choice:
    kind: dict[str, Any] = {"type": "long", "logicalType": "timestamp-micros"}
    count = sum(spellings.values())
    if form != ISO_MOMENT:
        kind[FORMAT] = form
    conflicts = _with_habit(kind, spellings)
    return Choice(kind, f"{_many(count, 'moment')} with a zone, written {form}", conflicts)


def _local(form: str, spellings: Mapping[Spelling, int], policy: DiscoveryPolicy) -> Choice:
    count = sum(spellings.values())
    reason = f"{_many(count, 'timestamp')} without a zone, written {form}"
    if policy.target == "feed":
        return Choice("string", reason, ("no zone, so no moment: kept as text; have the source write one",))
    return _unzoned("local-timestamp-micros", form, spellings, reason)


def _time(form: str, spellings: Mapping[Spelling, int], policy: DiscoveryPolicy) -> Choice:
    reason = f"{_many(sum(spellings.values()), 'time')} of day, written {form}"
    if policy.target == "feed":
        return Choice("string", f"{reason}; feeds have no type for it")
    return _unzoned("time-micros", form, spellings, reason)


def _unzoned(logical: str, form: str, spellings: Mapping[Spelling, int], reason: str) -> Choice:
    kind: dict[str, Any] = {"type": "long", "logicalType": logical, FORMAT: form}
    conflicts = _with_habit(kind, spellings)
    return Choice(kind, reason, conflicts)


def _with_habit(kind: dict[str, Any], spellings: Mapping[Spelling, int]) -> tuple[str, ...]:
    """Notes in the type how its texts are written; what of that cannot be kept."""
    habit = habit_of(one.detail for one in spellings)
    if habit.detail:
        kind[SPELLING] = habit.detail
    if habit.exact:
        return ()
    lost = "offset" if habit.zones > 1 else "number of digits"
    return (f"written with more than one {lost}: the moment is kept exactly, its own {lost} is not",)


def _decimal_text(form: str, spellings: Mapping[Spelling, int], policy: DiscoveryPolicy) -> Choice:
    places, count = int(form), sum(spellings.values())
    found = _decimal(max(int(one.detail.rstrip("-")) for one in spellings), places, policy)
    if found is None:
        return Choice("string", f"{_many(count, 'number')} in quotes with more digits than a decimal has")
    reason = f"{_many(count, 'number')} in quotes, each with {places} places"
    zeros = any(one.detail.endswith("-") for one in spellings)
    notes = ("a zero with a minus sign: the value is kept, its sign is not",) if zeros else ()
    return Choice(decimal_type(*found, {FORM: "text", SPELLING: form}), reason, notes)


def _order(form: str, spellings: Mapping[Spelling, int], policy: DiscoveryPolicy) -> Choice:
    shows = {order: sum(n for one, n in spellings.items() if one.detail == order) for order in ("DMY", "MDY", "either")}
    count = sum(shows.values())
    mark, plain = form[0], form[1:] == "4"
    declared = policy.day_order
    if declared and plain and not shows["MDY" if declared == "DMY" else "DMY"]:
        written = order_format(declared, mark)
        kind = {"type": "int", "logicalType": "date", FORMAT: written}
        return Choice(kind, f"{_many(count, 'date')} written {written}, as was declared")
    clear = f"{shows['DMY']:,} can only be day first, {shows['MDY']:,} only month first, {shows['either']:,} either"
    note = f"dates in which day and month can be told apart only here and there ({clear}): kept as text"
    return Choice(
        "string", f"{_many(count, 'date')} written with {mark}", (f"{note}; declare the order to have dates",)
    )


def order_format(order: str, mark: str) -> str:
    return f"DD{mark}MM{mark}YYYY" if order == "DMY" else f"MM{mark}DD{mark}YYYY"


def _fine(_form: str, spellings: Mapping[Spelling, int], _policy: DiscoveryPolicy) -> Choice:
    reason = f"{_many(sum(spellings.values()), 'moment')} finer than microseconds"
    return Choice("string", reason, ("finer than microseconds: a timestamp would cut digits off, so the text is kept",))


_SINGLE = {
    "date": _date,
    "moment": _moment,
    "local": _local,
    "time": _time,
    "decimal": _decimal_text,
    "order": _order,
    "fine": _fine,
}
_QUIET = frozenset({"text", "empty", "digits", "zeros", "uuid"})
_FAMILIES = {
    "text": "plain",
    "empty": "empty",
    "digits": "of digits",
    "zeros": "of digits with leading zeros",
    "uuid": "UUIDs",
    "date": "dates",
    "moment": "moments",
    "local": "timestamps without a zone",
    "time": "times of day",
    "decimal": "decimal numbers",
    "order": "dates with day and month in unknown order",
    "fine": "moments finer than microseconds",
}


def decide_boolean(node: Node) -> Choice:
    return Choice("boolean", f"{node.trues:,} true and {node.falses:,} false")


def mixture(node: Node) -> str:
    """The kinds of value that were seen at one path, with how often."""
    return ", ".join(f"{count:,} {kind}" for kind, count in _kind_counts(node))


def _kind_counts(node: Node) -> Iterator[tuple[str, int]]:
    numbers, texts = node.numbers, node.texts
    for kind in node.kinds:
        yield {
            "boolean": ("true or false", node.trues + node.falses),
            "number": ("numbers", numbers.ints + numbers.reals if numbers else 0),
            "text": ("texts", texts.count if texts else 0),
            "object": ("objects", node.objects),
            "array": ("arrays", node.arrays),
        }[kind]


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
