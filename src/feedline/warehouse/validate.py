"""Holds a loaded delivery against its manifest, in SQL, with exact decimals."""

# Names in these statements are checked by `quoted`, values written by `literal`.
# ruff: noqa: S608

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from snowflake.connector import SnowflakeConnection

from feedline.batch.manifest import DeliveryManifest, Totals
from feedline.catalog import Feed
from feedline.errors import ConfigurationError
from feedline.warehouse.connection import Session
from feedline.warehouse.deliveries import COMPLETE, FAILED, mark_delivery
from feedline.warehouse.error_books import LedgerErrors, corrected_ids, ledger_errors
from feedline.warehouse.layout import Column, FeedLayout, TableLayout, feed_layout
from feedline.warehouse.names import LOAD_LEDGER, data_table, literal, quoted
from feedline.warehouse.own_ids import adopt, count_elsewhere, held_elsewhere
from feedline.warehouse.report import Check, ValidationReport

_SCALE = re.compile(r"NUMBER\(\d+,(\d+)\)")


def validate_delivery(
    connection: SnowflakeConnection, feed: Feed, manifest: DeliveryManifest, *, fresh_within: timedelta | None = None
) -> ValidationReport:
    """Checks a delivery and marks it COMPLETE or FAILED; doing it again gives the same unless the tables changed.

    Of records with an id of their own that an earlier delivery sent too, this one takes the rows when that one is not
    COMPLETE, and counts them when it is.

    fresh_within: how long after it was produced the delivery must have been loaded, or None for any time.
    `report.raise_for_failures()` turns failed checks into a ValidationFailedError. Raises LostRaceError,
    WarehouseUnavailableError.
    """
    adopt(Session(connection, feed=feed.name, delivery_id=manifest.delivery_id), feed, manifest.delivery_id)
    report, rows = _checked(connection, feed, manifest, fresh_within)
    mark_delivery(
        Session(connection, feed=feed.name, delivery_id=manifest.delivery_id),
        feed,
        manifest,
        status=COMPLETE if report.passed else FAILED,
        loaded_records=rows,
        report=report.to_dict(),
    )
    return report


def check_delivery(connection: SnowflakeConnection, feed: Feed, manifest: DeliveryManifest) -> ValidationReport:
    """The checks of `validate_delivery`, whatever the age of the delivery, with nothing written."""
    return _checked(connection, feed, manifest, None)[0]


def _checked(
    connection: SnowflakeConnection, feed: Feed, manifest: DeliveryManifest, fresh_within: timedelta | None
) -> tuple[ValidationReport, int]:
    """Every check, and the rows of the delivery."""
    session = Session(connection, feed=feed.name, delivery_id=manifest.delivery_id)
    rows = DeliveryRows(session, feed, manifest.delivery_id)
    counted = rows.summary()
    checks = (
        *_count_checks(manifest, counted, rows.ledger(), rows.errors),
        *_totals_checks("control totals", {"": manifest.control_totals}, {"": rows.totals("")[""][1]}),
        *_file_checks(manifest, rows),
        *_fund_checks(feed, manifest, rows),
        *_uniqueness_checks(feed, rows),
        *_null_checks(feed, rows.layout, counted),
        *(Check("child rows", table, wanted, found) for table, wanted, found in rows.children()),
        *_freshness_checks(manifest, counted, fresh_within),
    )
    return ValidationReport(manifest.delivery_id, feed.name, checks), counted["rows"]


class DeliveryRows:
    """The queries over one delivery's rows, and those of its records that another one has (see `own_ids`): how many
    those are is `elsewhere`, and a record that both have is there twice."""

    def __init__(self, session: Session, feed: Feed, delivery_id: str) -> None:
        self._session = session
        self._feed = feed
        self._delivery = literal(delivery_id)
        self.elsewhere = count_elsewhere(session, feed.name, delivery_id)
        self._held = held_elsewhere(feed.name, delivery_id)
        self.layout = feed_layout(feed)
        self.errors = ledger_errors(session, feed.name, delivery_id)
        # The manifest was written before any record was corrected: it is held against the other rows.
        self._announced = (
            f'AND T."_CORRELATION_ID" NOT IN ({corrected_ids(feed.name, delivery_id)})'
            if self.errors.corrected_batches
            else ""
        )
        self.keys = [self.layout.column_of(path) for path in feed.business_keys]
        self.summed = {path: self.layout.column_of(path) for path in feed.control_totals}

    def summary(self) -> dict[str, Any]:
        """Rows, and the nulls of each key column; dates and load times of the delivery's own rows."""
        nulls = [f"COUNT_IF({quoted(key.name)} IS NULL)" for key in self.keys]
        own = [
            f'{limit}(CASE WHEN "_DELIVERY_ID" = {self._delivery} THEN {quoted(column)} END)'
            for column in ("_BUSINESS_DATE", "_LOADED_AT")
            for limit in ("MIN", "MAX")
        ]
        values = ["COUNT(*)", *own, *nulls]
        [row] = self._rows(f"SELECT {', '.join(values)} FROM {self._of(self.layout.table)}")
        rows, first_date, last_date, first_load, last_load, *null_counts = row
        return {
            "rows": int(rows),
            "dates": (first_date, last_date),
            "loads": (first_load, last_load),
            "nulls": {key.name: int(count or 0) for key, count in zip(self.keys, null_counts, strict=True)},
        }

    def loaded(self) -> tuple[int, datetime | None]:
        """Rows, and when the last of them was decoded."""
        [(rows, last)] = self._rows(f'SELECT COUNT(*), MAX(T."_LOADED_AT") FROM {self._of(self.layout.table)}')
        return int(rows), last

    def ledger(self) -> dict[str, tuple[int, int]]:
        """Micro-batches and records by status; LOADED are also those of another delivery's."""
        rows = self._rows(
            f"SELECT STATUS, COUNT(*), SUM(CAST(RECORDS AS NUMBER(38,0))) FROM {LOAD_LEDGER} "
            f"WHERE FEED = {literal(self._feed.name)} AND DELIVERY_ID = {self._delivery} GROUP BY STATUS"
        )
        found = {status: (int(batches), int(records)) for status, batches, records in rows}
        if self.elsewhere:
            batches, records = found.get("LOADED", (0, 0))
            found["LOADED"] = batches + self.elsewhere, records + self.elsewhere
        return found

    def totals(
        self, group: str, join: str = "", *, corrected: bool = False
    ) -> dict[str, tuple[int, dict[str, Decimal]]]:
        """Records and control totals by the SQL expression `group`, or by "" of all rows; those of corrected records
        are left out unless `corrected`."""
        sums = [f"SUM(CAST(T.{quoted(c.name)} AS NUMBER(38,{_scale(c)})))" for c in self.summed.values()]
        by = f" GROUP BY {group}" if group else ""
        announced = "" if corrected else self._announced
        selected = ", ".join([group or "''", "COUNT(*)", *sums])
        rows = self._rows(f"SELECT {selected} FROM {self._of(self.layout.table, join)} {announced}{by}")
        return {
            str(name): (int(count), {p: Decimal(v or 0) for p, v in zip(self.summed, values, strict=True)})
            for name, count, *values in rows
        }

    def repeated(self, columns: list[str]) -> int:
        """How many values of these columns stand in more than one row."""
        by = ", ".join(columns)
        [(count,)] = self._rows(
            f"SELECT COUNT(*) FROM (SELECT {by} FROM {self._of(self.layout.table)} GROUP BY {by} HAVING COUNT(*) > 1)"
        )
        return int(count)

    def children(self) -> Iterator[tuple[str, int, int]]:
        """Child table, items that the records say they have, rows that are there."""
        for child in self.layout.children:
            [count] = [c for c in self.layout.table.columns if c.path == child.array]
            wanted = f"SELECT SUM(CAST({quoted(count.name)} AS NUMBER(38,0))) AS N FROM {self._of(self.layout.table)}"
            found = f"SELECT COUNT(*) AS N FROM {self._of(child)}"
            [(items, rows)] = self._rows(f"SELECT W.N, F.N FROM ({wanted}) W, ({found}) F")
            yield child.name, int(items or 0), int(rows)

    def _of(self, table: TableLayout, join: str = "") -> str:
        of_it = f'T."_DELIVERY_ID" = {self._delivery}'
        if self.elsewhere:
            of_it = f'({of_it} OR T."_CORRELATION_ID" IN ({self._held}))'
        return f"{data_table(table.name)} T {join} WHERE {of_it}"

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self._session.execute(sql, doing="cannot validate the delivery")


def partial_checks(feed: Feed, rows: DeliveryRows) -> Iterator[Check]:
    """The checks that need no manifest."""
    counted = rows.summary()
    _, records = rows.ledger().get("LOADED", (0, 0))
    yield Check("rows", "the table", records, counted["rows"])
    yield from _uniqueness_checks(feed, rows)
    yield from _null_checks(feed, rows.layout, counted)
    yield from (Check("child rows", table, wanted, found) for table, wanted, found in rows.children())


def _scale(column: Column) -> int:
    number = _SCALE.fullmatch(column.sql_type)
    if number is None:
        raise ConfigurationError(
            f"the control total is a {column.sql_type}: only decimals and integers add up exactly",
            field=".".join(column.path),
        )
    return int(number[1])


def _count_checks(
    manifest: DeliveryManifest, counted: Mapping[str, Any], ledger: Mapping[str, tuple[int, int]], errors: LedgerErrors
) -> Iterator[Check]:
    batches, records = ledger.get("LOADED", (0, 0))
    corrected = errors.corrected_records
    open_errors = manifest.error_records - corrected
    yield Check("rows", "the table", manifest.records + corrected, counted["rows"])
    yield Check("micro-batches", "the ledger", manifest.batches + errors.corrected_batches, batches)
    yield Check("records", "the ledger", manifest.records + corrected, records)
    yield Check("micro-batches that cannot be decoded", "", 0, errors.refused_batches)
    yield Check("corrected records beyond those refused", "", 0, max(0, -open_errors))
    yield Check("loaded and error records", "the source", manifest.source_records, counted["rows"] + open_errors)


def _file_checks(manifest: DeliveryManifest, rows: DeliveryRows) -> Iterator[Check]:
    if not manifest.files:
        # Records that a program produced one by one came from no file.
        return
    found = rows.totals("L.SOURCE_FILE", _files_join(manifest))
    for file in manifest.files:
        count, totals = found.get(file.name, (0, {}))
        yield Check("records", file.name, file.records, count)
        yield from _totals_checks("control totals", {file.name: file.control_totals}, {file.name: totals})
    for name in found.keys() - {file.name for file in manifest.files}:
        yield Check("records", f"{name}, a file not in the manifest", 0, found[name][0])


def _files_join(manifest: DeliveryManifest) -> str:
    """Each micro-batch with its file. The same content may have been sent again under another name: then under the one
    that the manifest has."""
    names = ", ".join(literal(file.name) for file in manifest.files)
    return (
        f"JOIN (SELECT CORRELATION_ID, SOURCE_FILE FROM {LOAD_LEDGER} WHERE FEED = {literal(manifest.feed)} "
        f"AND DELIVERY_ID = {literal(manifest.delivery_id)} AND STATUS IN ('LOADED', 'DUPLICATE') "
        f"QUALIFY ROW_NUMBER() OVER (PARTITION BY CORRELATION_ID "
        f"ORDER BY CASE WHEN SOURCE_FILE IN ({names}) THEN 0 ELSE 1 END, LOADED_AT DESC) = 1) L "
        'ON L.CORRELATION_ID = T."_CORRELATION_ID"'
    )


def _fund_checks(feed: Feed, manifest: DeliveryManifest, rows: DeliveryRows) -> Iterator[Check]:
    if feed.fund_field is None:
        return
    fund_column = quoted(rows.layout.column_of(feed.fund_field).name)
    found = rows.totals(f"COALESCE(T.{fund_column}, '')")
    for fund in manifest.funds:
        count, totals = found.get(fund.fund, (0, {}))
        yield Check("records", f"fund {fund.fund}", fund.records, count)
        yield from _totals_checks(
            "control totals", {f"fund {fund.fund}": fund.control_totals}, {f"fund {fund.fund}": totals}
        )
    for name in found.keys() - {fund.fund for fund in manifest.funds}:
        yield Check("records", f"fund {name}, not in the manifest", 0, found[name][0])


def _totals_checks(name: str, expected: Mapping[str, Totals], found: Mapping[str, Totals]) -> Iterator[Check]:
    for subject, totals in expected.items():
        for path, value in totals.items():
            told = f"{path} in {subject}" if subject else path
            yield Check(name, told, value, found[subject].get(path, Decimal()))


def _uniqueness_checks(feed: Feed, rows: DeliveryRows) -> Iterator[Check]:
    yield Check("repeated records", "", 0, rows.repeated(['"_CORRELATION_ID"', '"_RECORD_INDEX"']))
    yield Check(
        "repeated business keys",
        ", ".join(feed.business_keys),
        0,
        rows.repeated([quoted(key.name) for key in rows.keys]),
    )


def _null_checks(feed: Feed, layout: FeedLayout, counted: Mapping[str, Any]) -> Iterator[Check]:
    for path in feed.business_keys:
        yield Check("nulls", path, 0, counted["nulls"][layout.column_of(path).name])


def _freshness_checks(
    manifest: DeliveryManifest, counted: Mapping[str, Any], fresh_within: timedelta | None
) -> Iterator[Check]:
    if counted["dates"] == (None, None):
        return
    for found in sorted(set(counted["dates"])):
        yield Check("business date", "the rows", manifest.business_date.isoformat(), found.isoformat())
    if fresh_within is not None:
        # Of one that was produced again the rows are older than its manifest.
        last_load: datetime = counted["loads"][1]
        slow = last_load - manifest.produced_at > fresh_within
        limit = f"within {fresh_within}"
        yield Check("loaded", "", limit, f"{last_load - manifest.produced_at} after it was produced" if slow else limit)
