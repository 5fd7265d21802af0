"""What the warehouse says of micro-batches: the ledger's rows, the tables' rows, and the manifests it has kept."""

# Names in these statements are checked by `quoted`, values written by `literal`.
# ruff: noqa: S608

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime

from feedline.batch.error_record import REDRIVEN_INDEX
from feedline.batch.manifest import DeliveryManifest, from_document
from feedline.catalog import Feed
from feedline.replay.selection import Selection
from feedline.warehouse.connection import Session
from feedline.warehouse.layout import feed_layout
from feedline.warehouse.names import DELIVERY, LOAD_LEDGER, data_table, literal, quoted


@dataclass(frozen=True, slots=True)
class Booked:
    """A ledger row: a message that a load has dealt with; is_corrected: of a record that was refused, corrected and
    sent again."""

    delivery_id: str
    correlation_id: str
    status: str
    records: int
    topic: str
    partition: int
    offset: int
    is_corrected: bool


@dataclass(frozen=True, slots=True)
class TableRows:
    """By correlation id: rows of the feed's table; batches whose child tables lack rows or have too many."""

    rows: dict[str, int]
    wrong_children: frozenset[str]


def booked(session: Session, feed: str, selection: Selection) -> list[Booked]:
    """The ledger's rows of what is selected by delivery, date or correlation id."""
    conditions = [
        *([f"DELIVERY_ID = {literal(selection.delivery_id)}"] if selection.delivery_id else []),
        *([f"BUSINESS_DATE = {literal(selection.business_date)}"] if selection.business_date else []),
        *([f"CORRELATION_ID = {literal(selection.correlation_id)}"] if selection.correlation_id else []),
    ]
    return _ledger(session, feed, conditions)


def booked_of(session: Session, feed: str, deliveries: Collection[str]) -> list[Booked]:
    return _ledger(session, feed, [_among("DELIVERY_ID", deliveries)]) if deliveries else []


def _ledger(session: Session, feed: str, conditions: list[str]) -> list[Booked]:
    where = " AND ".join([f"FEED = {literal(feed)}", *conditions])
    rows = session.execute(
        "SELECT DELIVERY_ID, CORRELATION_ID, STATUS, RECORDS, TOPIC, PARTITION, MESSAGE_OFFSET, BATCH_INDEX "
        f"FROM {LOAD_LEDGER} WHERE {where}",
        doing="cannot read the ledger",
    )
    return [
        Booked(d, c, s, int(n), t, int(p), int(o), is_corrected=int(index) == REDRIVEN_INDEX)
        for d, c, s, n, t, p, o, index in rows
    ]


def known_manifests(session: Session, feed: str, selection: Selection) -> dict[str, DeliveryManifest]:
    """Manifests of validated deliveries, by delivery id: the warehouse keeps them longer than the topic does."""
    conditions = [
        f"FEED = {literal(feed)}",
        *([f"DELIVERY_ID = {literal(selection.delivery_id)}"] if selection.delivery_id else []),
        *([f"BUSINESS_DATE = {literal(selection.business_date)}"] if selection.business_date else []),
    ]
    rows = session.execute(
        f"SELECT MANIFEST FROM {DELIVERY} WHERE {' AND '.join(conditions)} ORDER BY PRODUCED_AT",
        doing="cannot read the deliveries",
    )
    found = (_manifest(text) for (text,) in rows)
    return {manifest.delivery_id: manifest for manifest in found}


def _manifest(text: str) -> DeliveryManifest:
    document = json.loads(text)
    document["businessDate"] = date.fromisoformat(document["businessDate"])
    document["producedAt"] = datetime.fromisoformat(document["producedAt"])
    return from_document(document)


def table_rows(session: Session, feed: Feed, deliveries: Collection[str]) -> TableRows:
    """Rows of these deliveries by correlation id, the child tables' held against the counts in their parents."""
    if not deliveries:
        return TableRows({}, frozenset())
    layout = feed_layout(feed)
    among = _among('"_DELIVERY_ID"', deliveries)
    rows = _counted(session, "COUNT(*)", layout.table.name, among)
    wrong: set[str] = set()
    for child in layout.children:
        [count] = [column for column in layout.table.columns if column.path == child.array]
        expected = _counted(session, f"SUM(CAST({quoted(count.name)} AS NUMBER(38,0)))", layout.table.name, among)
        found = _counted(session, "COUNT(*)", child.name, among)
        wrong |= {key for key in expected.keys() | found.keys() if expected.get(key, 0) != found.get(key, 0)}
    return TableRows(rows, frozenset(wrong))


def _counted(session: Session, value: str, table: str, among: str) -> Counter[str]:
    found = session.execute(
        f'SELECT "_CORRELATION_ID", {value} FROM {data_table(table)} WHERE {among} GROUP BY 1',
        doing=f"cannot count the rows of {table}",
    )
    return Counter({key: int(number or 0) for key, number in found})


def _among(column: str, values: Collection[str]) -> str:
    return f"{column} IN ({', '.join(literal(value) for value in sorted(values))})"
