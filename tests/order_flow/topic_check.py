"""Holding what order entry was given, and what it answered, against what lies on the topic: pure, in the words of
`fault.checker`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from order_flow.books import BookCheck

Place = tuple[int, int]
# An event, by what its sender calls it: the account, which no two orders share, or the order's id; and the sequence.
Name = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Given:
    """An event that was given to order entry. content: what was asked; places: partition and offset, as often as it was
    acknowledged over HTTP; acknowledged: whether it must be there; once: whether it may lie there once only. What came
    over HTTP may lie there again, after a retry whose first outcome was unknown: every reader drops it."""

    name: Name
    content: str
    places: tuple[Place, ...] = ()
    acknowledged: bool = True
    once: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A committed message of the topic."""

    name: Name
    content: str
    place: Place
    order_id: str


def check_topic(given: Iterable[Given], found: Sequence[Found]) -> BookCheck:
    """found: each partition in its order.

    - lost write: acknowledged, and not on the topic
    - duplicate: there twice, where it must not be; or one order under two ids
    - changed: what counts is other than what was asked
    - inconsistent offsets: what counts is not at the place that was answered
    - out of sequence: an event before its forerunner, or an order in two partitions
    - aborted read: nobody asked for it
    """
    asked = {one.name: one for one in given}
    wrong: dict[str, list[str]] = defaultdict(list)
    first = _first(found, asked, wrong)
    for one in asked.values():
        counts = first.get(one.name)
        if counts is None:
            if one.acknowledged:
                wrong["lost write"].append(_told(one.name))
        elif any(place != counts.place for place in one.places):
            wrong["inconsistent offsets"].append(f"{_told(one.name)} at {counts.place}, answered {set(one.places)}")
    times = Counter(one.name for one in found)
    wrong["duplicate"] += [_told(one.name) for one in asked.values() if one.once and times[one.name] > 1]
    counted = {
        "given": len(asked),
        "acknowledged": sum(one.acknowledged for one in asked.values()),
        "on the topic": len(first),
        "repeats": len(found) - len(first),
    }
    return BookCheck({name: what for name, what in wrong.items() if what}, counted)


def _first(found: Iterable[Found], asked: Mapping[Name, Given], wrong: dict[str, list[str]]) -> dict[Name, Found]:
    """What counts of the topic: the first of each event; and what is wrong with that."""
    first: dict[Name, Found] = {}
    last: dict[str, int] = {}
    lies: dict[str, int] = {}
    ids: dict[str, str] = {}
    for one in found:
        (who, sequence), order_id = one.name, one.order_id
        if ids.setdefault(who, order_id) != order_id:
            wrong["duplicate"].append(f"{_told(one.name)} under two ids")
        if lies.setdefault(order_id, one.place[0]) != one.place[0]:
            wrong["out of sequence"].append(f"{_told(one.name)} in partitions {lies[order_id]} and {one.place[0]}")
        if one.name in first:
            if one.content != first[one.name].content:
                wrong["duplicate"].append(f"{_told(one.name)} with two contents")
            continue
        first[one.name] = one
        if sequence != last.get(order_id, 0) + 1:
            wrong["out of sequence"].append(f"{_told(one.name)} after {last.get(order_id, 0)}")
        last[order_id] = sequence
        if one.name not in asked:
            wrong["aborted read"].append(_told(one.name))
        elif one.content != asked[one.name].content:
            wrong["changed"].append(_told(one.name))
    return first


def _told(name: Name) -> str:
    return f"{name[0]}-{name[1]}"
