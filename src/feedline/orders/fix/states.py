"""How orders stand as far as the engine has answered: a compacted topic, read when a gateway takes a partition.

A state is written after the execution report that it follows from is durable, so whatever is below it needs nothing
more; events above it are judged again, as they were the first time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from confluent_kafka import Message

from feedline.consumer.messages import place_of
from feedline.consumer.spans import read_spans
from feedline.errors import CorruptBatchError
from feedline.kafka.admin import watermarks
from feedline.orders.model import OrderState, Status, answered
from feedline.orders.topics import STATES_GROUP

READ_WITHIN_S = 60.0
# Of an order whose events are rejected one after the other, so many are known by their places.
OFFSETS_KEPT = 8


@dataclass(frozen=True, slots=True)
class Held:
    """An order's state; terms: the FIX fields by which a cancellation names it, as it stands at the engine, so without
    an amendment that is not answered or was rejected; rejected: the sequences of what the engine rejected; offsets:
    where its last events lie on its partition, back to that by which the engine has it at least."""

    state: OrderState
    terms: str
    rejected: tuple[int, ...] = ()
    offsets: tuple[int, ...] = ()

    @property
    def standing(self) -> int:
        """The sequence of the event under whose ClOrdID the engine has the order: the last that it did not reject, and
        that it is not being asked for now."""
        return self.standing_before(self.state.sequence + 1 - self.state.status.is_pending)

    def standing_before(self, sequence: int) -> int:
        last = sequence - 1
        while last in self.rejected:
            last -= 1
        return last

    def offset_of(self, sequence: int) -> int | None:
        """Where the order's event of that sequence lies; None when it is not known any more."""
        place = sequence - self.state.sequence - 1
        return self.offsets[place] if -len(self.offsets) <= place < 0 else None

    def after(self, state: OrderState, offset: int) -> Held:
        """After one more event, which lies there and is not answered."""
        return replace(self, state=state, offsets=(*self.offsets, offset)[-OFFSETS_KEPT:])

    def answered(self, sequence: int, *, rejected: bool, asked: str) -> Held:
        """After the engine's answer to the event of that sequence; asked: the terms of it. What is rejected leaves the
        order with what it had."""
        if self.state.sequence != sequence:
            return self
        state = answered(self.state, sequence, rejected=rejected)
        if rejected and sequence > 1:
            return replace(self, state=state, rejected=(*self.rejected, sequence))
        return Held(state, asked, self.rejected, self.offsets[-1:])

    def encode(self) -> bytes:
        state = self.state
        return orjson.dumps(
            {
                "sequence": state.sequence,
                "status": state.status,
                "contents": state.contents.hex(),
                "terms": state.terms.hex(),
                "instrument": state.instrument.hex(),
                "fix": self.terms,
                "rejected": self.rejected,
                "offsets": self.offsets,
            }
        )

    @staticmethod
    def decode(value: bytes) -> Held:
        try:
            document = orjson.loads(value)
            state = OrderState(
                document["sequence"],
                Status(document["status"]),
                bytes.fromhex(document["contents"]),
                bytes.fromhex(document["terms"]),
                bytes.fromhex(document["instrument"]),
            )
            # Until a gateway that knows of them has written the state, there are none.
            rejected, offsets = (tuple(document.get(name, ())) for name in ("rejected", "offsets"))
            return Held(state, document["fix"], rejected, offsets)
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptBatchError(f"the message is no state of an order: {error}") from error


def further(known: Held | None, written: bytes | None) -> Held | None:
    """An order's state after one more message of the topic, which says nothing to forget it: what it says, unless that
    is behind what is known. So it is when a gateway wrote it that had lost the partition and did not know it yet.

    Raises CorruptBatchError.
    """
    if written is None:
        return None
    held = Held.decode(written)
    return held if known is None or _rank(known.state) <= _rank(held.state) else known


def _rank(state: OrderState) -> tuple[int, bool, bool]:
    return state.sequence, not state.status.is_pending, state.status.is_final


def read_states(kafka: Mapping[str, Any], topic: str, partitions: Sequence[int]) -> dict[int, dict[str, Held]]:
    """By partition the states of its orders. Raises BrokerUnavailableError, ConfigurationError, CorruptBatchError."""
    found: dict[int, dict[str, Held]] = {partition: {} for partition in partitions}
    spans = watermarks(kafka, topic, partitions)
    for message in read_spans(kafka, topic, spans, group=STATES_GROUP, timeout_s=READ_WITHIN_S):
        _take(found[place_of(message)[0]], message)
    return found


def _take(states: dict[str, Held], message: Message) -> None:
    order_id = (message.key() or b"").decode()
    held = further(states.get(order_id), message.value())
    if held is None:
        states.pop(order_id, None)
    else:
        states[order_id] = held
