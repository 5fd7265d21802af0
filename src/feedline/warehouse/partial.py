"""What is loaded of deliveries that are not whole yet."""

# Names in these statements are checked by `quoted`, values written by `literal`.
# ruff: noqa: S608

from __future__ import annotations

from datetime import date

from snowflake.connector import SnowflakeConnection

from feedline.batch.identity import Cycle
from feedline.catalog import Feed
from feedline.warehouse.connection import Session
from feedline.warehouse.names import DELIVERY, LOAD_LEDGER, literal
from feedline.warehouse.report import ValidationReport
from feedline.warehouse.validate import DeliveryRows, partial_checks


def loaded_deliveries(session: Session, feed: Feed, business_date: date, cycle: Cycle) -> dict[str, int]:
    """Records that the ledger says are in the feed's table, by delivery of the date and cycle."""
    rows = session.execute(
        f"SELECT DELIVERY_ID, SUM(CAST(RECORDS AS NUMBER(38,0))) FROM {LOAD_LEDGER} "
        f"WHERE FEED = {literal(feed.name)} AND BUSINESS_DATE = {literal(business_date)} "
        f"AND CYCLE = {literal(cycle.value)} AND STATUS = 'LOADED' GROUP BY DELIVERY_ID",
        doing="cannot read the ledger",
    )
    return {delivery_id: int(records) for delivery_id, records in rows}


def never_validated(session: Session, feed: Feed, *, since: date, before: date) -> list[tuple[date, str]]:
    """Business date and id of intraday deliveries that loads have met and no validation has, of dates from `since` on
    and before `before`, in order."""
    of_feed = f"FEED = {literal(feed.name)} AND BUSINESS_DATE >= {literal(since)}"
    rows = session.execute(
        f"SELECT DISTINCT BUSINESS_DATE, DELIVERY_ID FROM {LOAD_LEDGER} WHERE {of_feed} "
        f"AND BUSINESS_DATE < {literal(before)} AND CYCLE = {literal(Cycle.INTRADAY.value)} "
        f"AND DELIVERY_ID NOT IN (SELECT DELIVERY_ID FROM {DELIVERY} WHERE {of_feed}) ORDER BY 1, 2",
        doing="cannot read which deliveries were not validated",
    )
    return [(business_date, delivery_id) for business_date, delivery_id in rows]


def validate_partial(connection: SnowflakeConnection, feed: Feed, delivery_id: str) -> ValidationReport:
    """Checks what is loaded so far of a delivery whose manifest has not come, and marks nothing.

    Rows against the ledger, items against their records, nothing repeated, no null in a key. Raises
    WarehouseUnavailableError.
    """
    rows = DeliveryRows(Session(connection, feed=feed.name, delivery_id=delivery_id), feed, delivery_id)
    return ValidationReport(delivery_id, feed.name, tuple(partial_checks(feed, rows)))
