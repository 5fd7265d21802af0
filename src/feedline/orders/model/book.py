"""The orders that are known, in bounded memory: what each event was and where it lies.

A book is made from a topic alone, in the topic's order, so every instance that reads the topic has the same one, and
nothing in it is lost with a process.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from feedline.orders.model.life_cycle import DIGEST_BYTES, Accepted, Facts, OrderState, Status, Verdict, apply

_HEAD = struct.Struct(f"<B{DIGEST_BYTES}s{DIGEST_BYTES}s")
_EVENT = struct.Struct(f"<{DIGEST_BYTES}sIQ")
_STATUSES = tuple(Status)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# Of an event that is known to have been, and not where it lies.
UNKNOWN_OFFSET = 2**64 - 1


class Place(NamedTuple):
    """Where an event lies on its topic."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Known:
    """An order of the book; places: of its events, in sequence."""

    state: OrderState
    places: tuple[Place, ...]


class Book:
    """At most so many orders, of which at least the newer half is always there. forgotten: told of those that go, by
    their `short_id`."""

    def __init__(self, orders: int, forgotten: Callable[[Iterable[int]], None] | None = None) -> None:
        self._half, self._forgotten = max(1, orders // 2), forgotten
        # Packed, because there are hundreds of thousands. When the young are a half, the old are forgotten.
        self._young: dict[bytes | str, bytes] = {}
        self._old: dict[bytes | str, bytes] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def find(self, order_id: str) -> Known | None:
        """What is known of the order."""
        packed = self._packed(_key(order_id))
        return None if packed is None else _unpack(packed)

    def judge(self, event: Facts) -> Verdict:
        """What `apply` says of the event as things stand."""
        known = self.find(event.order_id)
        return apply(known.state if known else None, event)

    def record(self, event: Facts, place: Place) -> Verdict:
        """The next event of the topic: the verdict on it, kept when it is accepted."""
        key = _key(event.order_id)
        packed = self._packed(key)
        verdict = apply(_unpack(packed).state if packed is not None else None, event)
        if isinstance(verdict, Accepted):
            state = verdict.state
            head = _HEAD.pack(_STATUSES.index(state.status), state.terms, state.instrument)
            events = packed[_HEAD.size :] if packed is not None else b""
            self._keep(key, head + events + _EVENT.pack(event.content, place.partition, place.offset))
        return verdict

    def adopt(self, event: Facts, place: Place) -> None:
        """An event that is known to have been accepted; what was before it may be longer ago than the book goes back,
        and then only that it was there is known."""
        if event.sequence > 1 and self._packed(_key(event.order_id)) is None:
            unknown = _EVENT.pack(bytes(DIGEST_BYTES), place.partition, UNKNOWN_OFFSET) * (event.sequence - 1)
            head = _HEAD.pack(_STATUSES.index(Status.OPEN), event.terms, event.instrument)
            self._keep(_key(event.order_id), head + unknown)
        self.record(event, place)

    def put(self, order_id: str, known: Known) -> None:
        """An order as it is known elsewhere, in place of what is known here."""
        state = known.state
        head = _HEAD.pack(_STATUSES.index(state.status), state.terms, state.instrument)
        events = (
            _EVENT.pack(state.content(number), place.partition, place.offset)
            for number, place in enumerate(known.places, 1)
        )
        self._keep(_key(order_id), head + b"".join(events))

    def _packed(self, key: bytes | str) -> bytes | None:
        found = self._young.get(key)
        return found if found is not None else self._old.get(key)

    def _keep(self, key: bytes | str, packed: bytes) -> None:
        self._young[key] = packed
        self._old.pop(key, None)
        if len(self._young) >= self._half:
            if self._forgotten is not None:
                self._forgotten(map(hash, self._old))
            self._old, self._young = self._young, {}


def short_id(order_id: str) -> int:
    """A number that stands for the order in this process; seldom for another one too."""
    return hash(_key(order_id))


def _key(order_id: str) -> bytes | str:
    """Sixteen bytes for a UUID as the ids made here are written, else the id itself: no two ids have one key."""
    return bytes.fromhex(order_id.replace("-", "")) if _UUID.fullmatch(order_id) else order_id


def _unpack(packed: bytes) -> Known:
    status, terms, instrument = _HEAD.unpack_from(packed)
    events = list(_EVENT.iter_unpack(memoryview(packed)[_HEAD.size :]))
    contents = b"".join([event[0] for event in events])
    state = OrderState(len(events), _STATUSES[status], contents, terms, instrument)
    return Known(state, tuple(Place(event[1], event[2]) for event in events))
