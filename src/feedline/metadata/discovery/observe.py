"""What is kept of the values at each path of the samples: counts, bounds and bounded sets.

Everything kept is a sum, a minimum, a maximum or a set that is dropped whole when it grows over its bound, so that
neither the order of the samples nor how they were cut into chunks changes the result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from hashlib import blake2b
from itertools import chain
from math import isfinite
from typing import Any

from feedline.errors import ConfigurationError
from feedline.metadata.discovery.moments import Spelling
from feedline.metadata.discovery.policy import DiscoveryPolicy
from feedline.metadata.discovery.values import NumberText, digits_of, spelling_of

MAX_SPELLINGS = 256
MAX_SYMBOL = 64
SKETCH = 256
_64_BITS = 1 << 63


@dataclass(slots=True)
class Texts:
    """spellings and symbols are None once they were too many."""

    count: int = 0
    shortest: int = 1 << 62
    longest: int = 0
    spellings: dict[Spelling, int] | None = field(default_factory=dict)
    symbols: dict[str, int] | None = field(default_factory=dict)


@dataclass(slots=True)
class Numbers:
    """ints are numbers without fraction and exponent; large: those of them that 64 bits do not hold; whole, places:
    the most digits before and behind the point."""

    ints: int = 0
    large: int = 0
    reals: int = 0
    low: int | None = None
    high: int | None = None
    whole: int = 1
    places: int = 0


@dataclass(slots=True)
class Node:
    """The values seen at one path. place: sum of their positions in their objects; fields: by key, until there were
    too many and all went into `values`; sketch: of the smallest hashes how often each came, kept at the top only."""

    seen: int = 0
    place: int = 0
    nulls: int = 0
    trues: int = 0
    falses: int = 0
    numbers: Numbers | None = None
    texts: Texts | None = None
    objects: int = 0
    fields: dict[str, Node] = field(default_factory=dict)
    values: Node | None = None
    arrays: int = 0
    longest: int = 0
    items: Node | None = None
    sketch: dict[int, int] | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of JSON value seen, null left out."""
        counts = {
            "boolean": self.trues + self.falses,
            "number": self.numbers is not None,
            "text": self.texts is not None,
            "object": self.objects,
            "array": self.arrays,
        }
        return tuple(kind for kind, count in counts.items() if count)


class Observer:
    """Takes in samples; `root` is what is known so far. Raises ConfigurationError when there are too many fields."""

    def __init__(self, policy: DiscoveryPolicy) -> None:
        self.root = Node()
        self._policy = policy
        self._fields = 0

    def take(self, documents: Sequence[Any]) -> None:
        """Some documents, parsed; numbers with a fraction as NumberText."""
        self._absorb(self.root, documents, 0)

    def _absorb(self, node: Node, values: Sequence[Any], depth: int) -> None:
        node.seen += len(values)
        kinds = set(map(type, values))
        for kind in kinds:
            part: Sequence[Any] = values if len(kinds) == 1 else [value for value in values if type(value) is kind]
            take = _TAKERS.get(kind)
            if kind is dict:
                self._objects(node, part, depth)
            elif kind is list:
                self._arrays(node, part, depth)
            elif take is None:
                node.seen -= len(part)
                self._absorb(node, [_plain(value) for value in part], depth)
            else:
                take(node, part, self._policy)
                if node.sketch is not None:
                    _sketch(node.sketch, part)

    def _objects(self, node: Node, objects: Sequence[dict[str, Any]], depth: int) -> None:
        if depth > self._policy.max_depth:
            raise ConfigurationError(f"a sample is nested more than {self._policy.max_depth} levels deep")
        node.objects += len(objects)
        # Objects of one shape are turned on their side: what lies below a key becomes one column.
        shapes: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for one in objects:
            shapes.setdefault(tuple(one), []).append(one)
        for shape, alike in shapes.items():
            columns = zip(*[one.values() for one in alike], strict=True)
            for position, (key, column) in enumerate(zip(shape, columns, strict=True)):
                child = self._child(node, key, depth)
                child.place += position * len(column)
                self._absorb(child, column, depth + 1)

    def _child(self, node: Node, key: str, depth: int) -> Node:
        if node.values is not None:
            return node.values
        found = node.fields.get(key)
        if found is not None:
            return found
        if depth == 0 and len(node.fields) >= self._policy.max_fields // 2:
            raise ConfigurationError(
                f"the samples have more than {self._policy.max_fields // 2:,} different fields at the top: their keys "
                "are data; wrap them in a field, or make each entry a sample of its own"
            )
        if depth and len(node.fields) >= self._policy.max_keys:
            return collapse(node)
        self._fields += 1
        if self._fields > self._policy.max_fields * 4:
            raise ConfigurationError(
                f"the samples have more than {self._policy.max_fields * 4:,} different fields: split the feed, or "
                "give objects whose keys are data a policy with smaller max_keys"
            )
        made = node.fields[key] = Node(sketch={} if depth == 0 else None)
        return made

    def _arrays(self, node: Node, arrays: Sequence[list[Any]], depth: int) -> None:
        if depth > self._policy.max_depth:
            raise ConfigurationError(f"a sample is nested more than {self._policy.max_depth} levels deep")
        node.arrays += len(arrays)
        node.longest = max(node.longest, *map(len, arrays))
        if node.items is None:
            node.items = Node()
        self._absorb(node.items, list(chain.from_iterable(arrays)), depth + 1)


def collapse(node: Node) -> Node:
    """Makes the object at a node one whose keys are data; what all its values have in common."""
    if node.values is None:
        node.values = Node()
        for child in node.fields.values():
            merge(node.values, child)
        node.fields = {}
    return node.values


def merge(into: Node, other: Node, max_keys: int = 1_000) -> None:
    """Adds what was seen at another path, or by another process, as if it had been seen here."""
    for name in ("seen", "place", "nulls", "trues", "falses", "objects", "arrays"):
        setattr(into, name, getattr(into, name) + getattr(other, name))
    into.longest = max(into.longest, other.longest)
    if other.numbers is not None:
        into.numbers = _added_numbers(into.numbers or Numbers(), other.numbers)
    if other.texts is not None:
        into.texts = into.texts or Texts()
        _add_texts(into.texts, other.texts)
    if other.items is not None:
        into.items = into.items or Node()
        merge(into.items, other.items, max_keys)
    if other.values is not None or into.values is not None:
        merge(collapse(into), collapse(_copy(other)), max_keys)
    else:
        for key, child in other.fields.items():
            merge(into.fields.setdefault(key, Node()), child, max_keys)
        if len(into.fields) > max_keys:
            collapse(into)
    if into.sketch is not None and other.sketch is not None:
        _trim(into.sketch, other.sketch)


def _copy(node: Node) -> Node:
    made = Node(sketch=None if node.sketch is None else {})
    made.values = None if node.values is None else Node()
    if made.values is not None and node.values is not None:
        merge(made.values, node.values)
    for name in ("objects", "fields"):
        setattr(made, name, getattr(node, name))
    return made


def _nothing(node: Node, values: Sequence[Any], _policy: DiscoveryPolicy) -> None:
    node.nulls += len(values)


def _booleans(node: Node, values: Sequence[Any], _policy: DiscoveryPolicy) -> None:
    trues = sum(values)
    node.trues += trues
    node.falses += len(values) - trues


def _ints(node: Node, values: Sequence[int], _policy: DiscoveryPolicy) -> None:
    low, high = min(values), max(values)
    large = 0 if low >= -_64_BITS and high < _64_BITS else sum(not -_64_BITS <= one < _64_BITS for one in values)
    whole = max(len(str(abs(low))), len(str(abs(high))))
    node.numbers = _added_numbers(node.numbers or Numbers(), Numbers(len(values), large, 0, low, high, whole))


def _reals(node: Node, values: Sequence[NumberText], _policy: DiscoveryPolicy) -> None:
    numbers = node.numbers = node.numbers or Numbers()
    numbers.reals += len(values)
    for value in set(values):
        digits = digits_of(value)
        numbers.whole = max(numbers.whole, digits.whole)
        numbers.places = max(numbers.places, digits.places)


def _added_numbers(one: Numbers, two: Numbers) -> Numbers:
    return Numbers(
        one.ints + two.ints,
        one.large + two.large,
        one.reals + two.reals,
        two.low if one.low is None else one.low if two.low is None else min(one.low, two.low),
        two.high if one.high is None else one.high if two.high is None else max(one.high, two.high),
        max(one.whole, two.whole),
        max(one.places, two.places),
    )


def _texts(node: Node, values: Sequence[str], policy: DiscoveryPolicy) -> None:
    texts = node.texts = node.texts or Texts()
    counts = Counter(values)
    lengths = set(map(len, counts))
    spellings: Counter[Spelling] | None = None
    if texts.spellings is not None:
        spellings = Counter()
        for text, count in counts.items():
            spellings[spelling_of(text)] += count
    short = max(lengths) <= MAX_SYMBOL and len(counts) <= policy.enum_symbols
    other = Texts(len(values), min(lengths), max(lengths), spellings, counts if short else None)
    _add_texts(texts, other, policy.enum_symbols)


def _add_texts(into: Texts, other: Texts, symbols: int = 64) -> None:
    into.count += other.count
    into.shortest = min(into.shortest, other.shortest)
    into.longest = max(into.longest, other.longest)
    into.spellings = _joined(into.spellings, other.spellings, MAX_SPELLINGS)
    into.symbols = _joined(into.symbols, other.symbols, symbols)


def _joined(into: dict[Any, int] | None, other: Mapping[Any, int] | None, most: int) -> dict[Any, int] | None:
    if into is None or other is None:
        return None
    for key, count in other.items():
        into[key] = into.get(key, 0) + count
    return into if len(into) <= most else None


def _sketch(sketch: dict[int, int], values: Sequence[Any]) -> None:
    new: dict[int, int] = {}
    for value, count in Counter(values).items():
        digest = blake2b(f"{type(value).__name__}{value}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
        number = int.from_bytes(digest)
        new[number] = new.get(number, 0) + count
    _trim(sketch, new)


def _trim(sketch: dict[int, int], new: Mapping[int, int]) -> None:
    """The smallest hashes of all: a value among them was among them since it first came, so its count is whole."""
    for number, count in new.items():
        sketch[number] = sketch.get(number, 0) + count
    if len(sketch) > SKETCH:
        for number in sorted(sketch)[SKETCH:]:
            del sketch[number]


_TAKERS: dict[type, Any] = {
    type(None): _nothing,
    bool: _booleans,
    int: _ints,
    NumberText: _reals,
    str: _texts,
}


def _plain(value: Any) -> Any:
    """A value of a Python program as JSON would have brought it."""
    if isinstance(value, Decimal) and value.is_finite():
        return NumberText(value)
    if isinstance(value, float) and isfinite(value):
        return NumberText(repr(value))
    if isinstance(value, datetime | date | time):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {str(key): part for key, part in value.items()}
    if isinstance(value, str | int):
        return str(value) if isinstance(value, str) else int(value)
    if isinstance(value, Iterable) and not isinstance(value, bytes | bytearray):
        return list(value)
    raise ConfigurationError(f"a sample has a value of type {type(value).__name__}, which JSON does not have")
