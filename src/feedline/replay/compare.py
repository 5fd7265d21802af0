"""Holds the micro-batches that lie on a topic against the ledger and the tables, one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from feedline.batch.consumed import ConsumedBatch
from feedline.catalog import Feed
from feedline.replay.books import Booked, TableRows, booked_of, table_rows
from feedline.warehouse import ledger
from feedline.warehouse.connection import Session
from feedline.warehouse.own_ids import holders


class State(StrEnum):
    """How a micro-batch of the topic stands in the warehouse."""

    WHOLE = "whole"
    REFUSED = "refused"
    """It could not be decoded; it is on the error topic."""
    PENDING = "not loaded yet"
    """No load has come as far as its offset."""
    MISSING = "missing"
    SHORT = "rows missing"
    UNBOOKED = "not in the ledger"
    """Its rows are there, and a load that meets it again would load them twice."""
    DOUBLED = "more rows than records"


RIGHT = frozenset({State.WHOLE, State.REFUSED})


@dataclass(frozen=True, slots=True)
class Seen:
    """A micro-batch of the topic by its headers, and where each of its messages lies."""

    correlation_id: str
    delivery_id: str
    business_date: date
    records: int
    places: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """By correlation id what the topic has and its state; `foreign`: by delivery id, correlation ids that the tables
    have and the spans that were read do not."""

    seen: Mapping[str, Seen]
    states: Mapping[str, State]
    foreign: Mapping[str, frozenset[str]]

    def wrong(self) -> list[Seen]:
        return [self.seen[key] for key, state in self.states.items() if state not in RIGHT]


def seen_of(batches: Iterable[ConsumedBatch]) -> dict[str, Seen]:
    """The micro-batches by correlation id; of one that was sent several times, all places."""
    seen: dict[str, Seen] = {}
    for batch in batches:
        header = batch.headers
        known = seen.get(header.correlation_id)
        places = (*(known.places if known else ()), (batch.partition, batch.offset))
        seen[header.correlation_id] = Seen(
            header.correlation_id, header.delivery_id, header.business_date, header.record_count, places
        )
    return seen


def compare(session: Session, feed: Feed, seen: Mapping[str, Seen]) -> Comparison:
    """Raises WarehouseUnavailableError."""
    own = {one.delivery_id for one in seen.values()}
    others = holders(session, feed.name, own)
    checkpoints = {
        partition: checkpoint.next_offset
        for partition, checkpoint in ledger.checkpoints(session, feed.name, feed.topic.name).items()
    }
    books = booked_of(session, feed.name, own)
    known = {row.correlation_id for row in books if row.status != "ERROR"}
    # What another delivery has is this one's when it is in its books too.
    held = [row for row in booked_of(session, feed.name, others) if row.correlation_id in known]
    tables = _together(table_rows(session, feed, own), table_rows(session, feed, others), known)
    loaded = Counter(row.correlation_id for row in (*books, *held) if row.status == "LOADED")
    refused = {row.correlation_id for row in books if row.status == "ERROR"}
    states = {key: _state(one, loaded[key], key in refused, tables, checkpoints) for key, one in seen.items()}
    return Comparison(seen, states, _foreign(books, seen))


def _together(own: TableRows, held: TableRows, known: Collection[str]) -> TableRows:
    rows = Counter(own.rows)
    rows.update({key: count for key, count in held.rows.items() if key in known})
    return TableRows(rows, own.wrong_children | held.wrong_children)


def _state(one: Seen, loaded: int, refused: bool, tables: TableRows, checkpoints: Mapping[int, int]) -> State:
    rows = tables.rows.get(one.correlation_id, 0)
    if not loaded:
        if rows:
            return State.UNBOOKED
        if refused:
            return State.REFUSED
        passed = any(offset < checkpoints.get(partition, 0) for partition, offset in one.places)
        return State.MISSING if passed else State.PENDING
    if rows > one.records or loaded > 1:
        return State.DOUBLED
    return State.WHOLE if rows == one.records and one.correlation_id not in tables.wrong_children else State.SHORT


def _foreign(books: Iterable[Booked], seen: Mapping[str, Seen]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for row in books:
        if row.status == "LOADED" and row.correlation_id not in seen:
            found.setdefault(row.delivery_id, set()).add(row.correlation_id)
    return {delivery: frozenset(keys) for delivery, keys in found.items()}
