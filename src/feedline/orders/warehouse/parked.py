"""Events that lay on the topic before the one they follow, and were not loaded: taken up when that one has come."""

# Names in these statements are constants, values written by `literal`.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from confluent_kafka import Message

from feedline.orders.warehouse.decode import Row
from feedline.orders.warehouse.judging import Judged, Verdict, having
from feedline.orders.warehouse.tables import NOT_LOADED, ORDERS_SCHEMA
from feedline.warehouse.connection import Session
from feedline.warehouse.names import data_table, literal

Place = tuple[int, int]
# The messages that lie there, of those that the topic still has.
Reread = Callable[[Collection[Place]], Sequence[Message]]

_TABLE = data_table(NOT_LOADED, ORDERS_SCHEMA)


def parked_places(session: Session, topic: str, rows: Sequence[Row]) -> set[Place]:
    """Where the parked events of these rows' orders lie, each in a partition that has one of the rows: an order's
    events count in the order of their partition."""
    partitions: dict[str, set[int]] = {}
    for row in rows:
        partitions.setdefault(str(row.values["orderId"]), set()).add(row.partition)
    select = f"SELECT ORDER_ID, _PARTITION, _OFFSET FROM {_TABLE}"
    where = f"_TOPIC = {literal(topic)} AND VERDICT = {literal(Verdict.PARKED.value)}"
    found = having(session, select, "ORDER_ID", partitions, where=where)
    return {(int(p), int(offset)) for order_id, p, offset in found if int(p) in partitions[order_id]}


def taken_up(judged: Sequence[Judged], parked: Collection[Place]) -> list[Judged]:
    """Those that were parked and are not any more."""
    return [one for one in judged if _place(one) in parked and one.verdict is not Verdict.PARKED]


def still_parked(one: Judged, parked: Collection[Place]) -> bool:
    return _place(one) in parked and one.verdict is Verdict.PARKED


def take_out(session: Session, topic: str, some: Collection[Judged]) -> None:
    """They are rows of the table of events now, or have another reason."""
    for one in some:
        partition, offset = _place(one)
        session.execute(
            f"DELETE FROM {_TABLE} WHERE _TOPIC = {literal(topic)} AND _PARTITION = {partition} "
            f"AND _OFFSET = {offset} AND VERDICT = {literal(Verdict.PARKED.value)}",
            doing="cannot take a parked event out of what is not loaded",
        )


def _place(one: Judged) -> Place:
    return one.row.partition, one.row.offset
