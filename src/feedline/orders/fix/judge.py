"""Reading order events and deciding what is to be done with each: to send, drop, park, hold back or refuse it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import fastavro
from confluent_kafka import Message

from feedline.batch.wire import schema_id_of
from feedline.errors import TerminalError
from feedline.kafka.registry import registry_client, schema_id, writer_schema
from feedline.orders.fix import messages
from feedline.orders.fix.holding import Holding, Outgoing, Taken
from feedline.orders.fix.states import Held
from feedline.orders.model import Accepted, Refused, Repeat, apply, decode_event, facts_of, faults_of, must_wait
from feedline.orders.model import Parked as ParkedVerdict
from feedline.orders.model.schemas import ORDER_EVENT, order_schema, parsed_schema


@dataclass(frozen=True, slots=True)
class Drop:
    """The event was accepted before."""

    taken: Taken


@dataclass(frozen=True, slots=True)
class Refuse:
    """The event can never be sent."""

    taken: Taken
    code: str
    reason: str


Decision = Outgoing | Drop | Refuse


class EventReader:
    """Decodes events, whatever version of the schema they were written with."""

    def __init__(self, registry: Mapping[str, Any], subject: str) -> None:
        self._registry = registry_client(registry)
        self._ours = schema_id(self._registry, subject, order_schema(ORDER_EVENT))
        self._writers: dict[int, Any] = {self._ours: parsed_schema(ORDER_EVENT)}

    def read(self, message: Message) -> Taken:
        """Raises CorruptBatchError; ConfigurationError or RegistryUnavailableError for a schema that is not there."""
        value = message.value() or b""
        writer: Callable[[int], Any] | None = None if schema_id_of(value) == self._ours else self._writer
        event = decode_event(value, writer)
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        return Taken(partition, offset, event, facts_of(event), message.key(), value, headers_of(message))

    def _writer(self, number: int) -> Any:
        if number not in self._writers:
            self._writers[number] = fastavro.parse_schema(writer_schema(self._registry, number)[0])
        return self._writers[number]


def headers_of(message: Message) -> list[tuple[str, bytes]]:
    return [
        (name, value.encode() if isinstance(value, str) else value or b"")
        for name, value in cast("list[tuple[str, str | bytes | None]]", message.headers() or [])
    ]


def judge(holding: Holding, taken: Taken, park_s: float, parse: Callable[[str], Any]) -> Iterator[Decision]:
    """What is to be done with an event, and with those that were parked for it. Changes what the holding says of the
    order at once: the next event is judged on that. What comes behind an amendment or cancellation is held back until
    that is answered, see `judge_waiting`. parse: holds a message against the dictionary."""
    waiting: Taken | None = taken
    while waiting is not None:
        order_id = waiting.event.order_id
        held = holding.states.get(order_id)
        state = None if held is None else held.state
        if must_wait(state, waiting.facts):
            holding.wait(waiting)
            return
        verdict = apply(state, waiting.facts)
        if isinstance(verdict, Accepted):
            yield _accept(holding, waiting, held, verdict, parse)
        elif isinstance(verdict, Repeat):
            yield Drop(waiting)
        elif isinstance(verdict, Refused):
            yield Refuse(waiting, "OrderRefused", verdict.reason)
        else:
            assert isinstance(verdict, ParkedVerdict)
            holding.park(waiting, verdict.reason, park_s)
            return
        held = holding.states.get(order_id)
        waiting = None if held is None else holding.next_parked(order_id, held.state.sequence + 1)


def judge_waiting(holding: Holding, order_id: str, park_s: float, parse: Callable[[str], Any]) -> Iterator[Decision]:
    """As `judge`, of what was held back of an order, after the engine has answered; what has to wait again does."""
    for taken in holding.waiting.pop(order_id, ()):
        yield from judge(holding, taken, park_s, parse)


def _accept(
    holding: Holding, taken: Taken, held: Held | None, verdict: Accepted, parse: Callable[[str], Any]
) -> Decision:
    event = taken.event
    faults = faults_of(event)
    if faults:
        return Refuse(taken, "SchemaMismatchError", "; ".join(map(str, faults)))
    try:
        # A cancellation changes no terms, and an order that it can follow is held.
        before = held or Held(verdict.state, messages.terms_of(event))
        asked = messages.terms_of(event) if event.order is not None else before.terms
        body = messages.message_of(event, asked, before.standing, taken.partition, taken.offset)
        message = parse(body)
    except TerminalError as error:
        return Refuse(taken, type(error).__name__, str(error))
    after = before.after(verdict.state, taken.offset)
    holding.states[event.order_id] = after
    return Outgoing(taken, after, asked, body, message)
