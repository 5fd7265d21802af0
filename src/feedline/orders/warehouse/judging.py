"""Which messages become rows: every accepted event once, every execution once, the rest set apart with its reason.

Judged inside the transaction that loads, behind the table's fence: what the warehouse has then is all there is.
"""

# Names in these statements are constants, values written by `literal`.
# ruff: noqa: S608

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from feedline.consumer.messages import headers_of
from feedline.errors import CorruptBatchError
from feedline.orders.model import Accepted, EntrySource, Facts, OrderState, Refused, Repeat, Status, apply
from feedline.orders.model.headers import facts_from_headers
from feedline.orders.model.life_cycle import DIGEST_BYTES
from feedline.orders.warehouse.decode import Row
from feedline.orders.warehouse.tables import EVENTS, EXECUTIONS
from feedline.warehouse.connection import Session
from feedline.warehouse.names import literal

# Values in one IN list; an account allows 16,384.
ASKED_AT_ONCE = 4_000


class Verdict(StrEnum):
    LOADED = "LOADED"
    REPEAT = "REPEAT"
    REFUSED = "REFUSED"
    PARKED = "PARKED"
    CORRUPT = "CORRUPT"


@dataclass(frozen=True, slots=True)
class Judged:
    """A row and what becomes of it; facts: of an event, as its row keeps them."""

    row: Row
    verdict: Verdict
    reason: str | None = None
    facts: str | None = None


Judge = Callable[[Session, Sequence[Row]], list[Judged]]

EVENT_FIELDS = ("eventId", "orderId", "sequence", "kind", "source", "transactTime")
EXECUTION_FIELDS = ("execId", "orderId", "execType", "sequence", "lastQty", "lastPx", "cumQty", "transactTime")
# What two reports of one id must agree on; how they came may differ.
_SAME_REPORT = ("orderId", "execType", "sequence", "lastQty", "lastPx", "cumQty")


def judge_events(session: Session, rows: Sequence[Row]) -> list[Judged]:
    """Judges by the orders' life cycle, in the order of `rows`, on top of what is loaded.

    An event whose predecessor comes later among these rows waits for it; one that waits in vain is PARKED.
    """
    states = known_orders(session, {str(row.values["orderId"]) for row in rows})
    waiting: dict[str, list[tuple[Row, Facts]]] = defaultdict(list)
    judged: list[Judged] = []
    for row in rows:
        try:
            facts = _facts(row)
        except CorruptBatchError as error:
            judged.append(Judged(row, Verdict.CORRUPT, error.reason))
            continue
        judged += _judge(states, waiting, row, facts)
    for order_id, left in waiting.items():
        state = states.get(order_id)
        missing = state.sequence + 1 if state else 1
        judged += (
            Judged(row, Verdict.PARKED, f"sequence {facts.sequence} lies on the topic without {missing}")
            for row, facts in left
        )
    return judged


def _judge(
    states: dict[str, OrderState], waiting: dict[str, list[tuple[Row, Facts]]], row: Row, facts: Facts
) -> Iterator[Judged]:
    verdict = apply(states.get(facts.order_id), facts)
    if isinstance(verdict, Accepted):
        states[facts.order_id] = verdict.state
        yield Judged(row, Verdict.LOADED, facts=(facts.content + facts.terms + facts.instrument).hex())
        again, waiting[facts.order_id] = waiting[facts.order_id], []
        for earlier, known in again:
            yield from _judge(states, waiting, earlier, known)
    elif isinstance(verdict, Repeat):
        yield Judged(row, Verdict.REPEAT, "the order has this event")
    elif isinstance(verdict, Refused):
        yield Judged(row, Verdict.REFUSED, verdict.reason)
    else:
        waiting[facts.order_id].append((row, facts))


def _facts(row: Row) -> Facts:
    """What the message's headers say of the event; raises CorruptBatchError when they do not fit the event itself."""
    values = row.values
    facts = facts_from_headers(row.message.key(), headers_of(row.message), EntrySource(values["source"]))
    if facts is None:
        raise CorruptBatchError("the header `source` is not that of the event")
    said = (facts.order_id, facts.sequence, facts.kind.value)
    if said != (values["orderId"], values["sequence"], values["kind"]):
        raise CorruptBatchError("key and headers are not those of the event")
    return facts


def known_orders(session: Session, order_ids: Collection[str]) -> dict[str, OrderState]:
    """How these orders stand by the events that are loaded."""
    found: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
    rows = having(session, f"SELECT ORDER_ID, SEQUENCE, KIND, _FACTS FROM {EVENTS.full_name}", "ORDER_ID", order_ids)
    for order_id, sequence, kind, facts in rows:
        found[order_id].append((int(sequence), kind, facts))
    return {order_id: _state(sorted(events)) for order_id, events in found.items()}


def _state(events: Sequence[tuple[int, str, str]]) -> OrderState:
    digests = [bytes.fromhex(facts) for _, _, facts in events]
    # What the engine answered makes no difference here: an event after a cancellation has its place in the sequence,
    # and when the cancellation was taken the gateway refuses it with its reason.
    status = Status.PENDING_CANCEL if events[-1][1] == "CANCEL" else Status.OPEN
    contents = b"".join(one[:DIGEST_BYTES] for one in digests)
    terms, instrument = digests[0][DIGEST_BYTES : 2 * DIGEST_BYTES], digests[0][2 * DIGEST_BYTES :]
    return OrderState(events[-1][0], status, contents, terms, instrument)


def judge_executions(session: Session, rows: Sequence[Row]) -> list[Judged]:
    """Loads each execution id once; one that comes back with other content is REFUSED."""
    known = _known_executions(session, {str(row.values["execId"]) for row in rows})
    judged: list[Judged] = []
    for row in rows:
        content = tuple(row.values[name] for name in _SAME_REPORT)
        before = known.setdefault(str(row.values["execId"]), content)
        if before is content:
            judged.append(Judged(row, Verdict.LOADED))
        elif before == content:
            judged.append(Judged(row, Verdict.REPEAT, "the execution is loaded"))
        else:
            judged.append(Judged(row, Verdict.REFUSED, "its execution id is that of another report"))
    return judged


def _known_executions(session: Session, exec_ids: Collection[str]) -> dict[str, tuple[Any, ...]]:
    columns = ", ".join(EXECUTIONS.layout.column_of(name).name for name in _SAME_REPORT)
    rows = having(session, f"SELECT EXEC_ID, {columns} FROM {EXECUTIONS.full_name}", "EXEC_ID", exec_ids)
    return {exec_id: tuple(content) for exec_id, *content in rows}


def having(
    session: Session, select: str, column: str, values: Collection[str], *, where: str = "TRUE"
) -> Iterator[tuple[Any, ...]]:
    """The rows of a SELECT whose column is one of the values, however many; where: what they must be besides."""
    ordered = sorted(values)
    for start in range(0, len(ordered), ASKED_AT_ONCE):
        asked = ", ".join(map(literal, ordered[start : start + ASKED_AT_ONCE]))
        yield from session.execute(
            f"{select} WHERE {where} AND {column} IN ({asked})", doing="cannot read what is loaded"
        )


JUDGES: Mapping[str, tuple[Judge, Sequence[str]]] = {
    EVENTS.name: (judge_events, EVENT_FIELDS),
    EXECUTIONS.name: (judge_executions, EXECUTION_FIELDS),
}
