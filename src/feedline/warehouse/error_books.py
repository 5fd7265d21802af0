"""What the books say of a delivery's errors: refused and still out, or in the tables since, and what was dismissed.

That an error is redriven is the ledger's to say: it is a micro-batch there under the error's id, written by the
transaction that loaded it. Who had it sent again stands beside, written before it was sent.
"""

# Names in these statements are checked by `quoted`, values written by `literal`.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from feedline.batch.error_record import REDRIVEN_INDEX
from feedline.catalog import Feed
from feedline.warehouse.connection import Session
from feedline.warehouse.ledger import begin_in_turn
from feedline.warehouse.names import ERROR_RESOLUTION, LOAD_LEDGER, literal

DISMISSED = "DISMISSED"
REDRIVE = "REDRIVE"
# Rows in one statement.
ROWS_A_STATEMENT = 500

# An error as it is written down: id, delivery id, records.
Named = tuple[str, str | None, int]


@dataclass(frozen=True, slots=True)
class LedgerErrors:
    """Micro-batches and records that the ledger has of one delivery.

    refused: could not be decoded and are not loaded; recovered: could not be decoded and are loaded since; corrected:
    records that the producer refused and that are loaded since, corrected.
    """

    refused_batches: int
    refused_records: int
    recovered_records: int
    corrected_batches: int
    corrected_records: int


@dataclass(frozen=True, slots=True)
class Dismissal:
    """An error that is to stay out of the tables."""

    error_id: str
    reason: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class RedriveRequest:
    """That somebody had errors of a delivery sent again; `how`: as they are, or by which file of corrections."""

    requested_by: str
    at: datetime
    how: str
    records: int


def ledger_errors(session: Session, feed: str, delivery_id: str) -> LedgerErrors:
    """A micro-batch that was sent twice is refused twice, and counted once; raises WarehouseUnavailableError."""
    refused, recovered, corrected = "REFUSED = 1 AND LOADED = 0", "REFUSED = 1 AND LOADED = 1", "CORRECTED = 1"
    values = [
        f"COUNT_IF({refused})",
        f"SUM(CASE WHEN {refused} THEN N ELSE 0 END)",
        f"SUM(CASE WHEN {recovered} THEN N ELSE 0 END)",
        f"COUNT_IF({corrected})",
        f"SUM(CASE WHEN {corrected} THEN N ELSE 0 END)",
    ]
    [row] = session.execute(
        f"SELECT {', '.join(values)} FROM (SELECT CORRELATION_ID, MAX(CAST(RECORDS AS NUMBER(38,0))) AS N, "
        "MAX(CASE WHEN STATUS = 'ERROR' THEN 1 ELSE 0 END) AS REFUSED, "
        "MAX(CASE WHEN STATUS = 'LOADED' THEN 1 ELSE 0 END) AS LOADED, "
        f"MAX(CASE WHEN STATUS = 'LOADED' AND BATCH_INDEX = {REDRIVEN_INDEX} THEN 1 ELSE 0 END) AS CORRECTED "
        f"FROM {LOAD_LEDGER} WHERE FEED = {literal(feed)} AND DELIVERY_ID = {literal(delivery_id)} "
        "GROUP BY CORRELATION_ID) B",
        doing="cannot read the ledger",
    )
    return LedgerErrors(*(int(value or 0) for value in row))


def corrected_ids(feed: str, delivery_id: str) -> str:
    """A subquery of the correlation ids of a delivery's corrected records: rows that its manifest does not announce."""
    return (
        f"SELECT CORRELATION_ID FROM {LOAD_LEDGER} WHERE FEED = {literal(feed)} "
        f"AND DELIVERY_ID = {literal(delivery_id)} AND STATUS = 'LOADED' AND BATCH_INDEX = {REDRIVEN_INDEX}"
    )


def dismissals(session: Session, feed: str) -> dict[str, Dismissal]:
    """What was dismissed of a feed, by error id."""
    rows = session.execute(
        f"SELECT CORRELATION_ID, REASON, RESOLVED_BY, RESOLVED_AT FROM {ERROR_RESOLUTION} "
        f"WHERE FEED = {literal(feed)} AND RESOLUTION = {literal(DISMISSED)}",
        doing="cannot read which errors were dismissed: provision the feeds first",
    )
    return {row[0]: Dismissal(*row) for row in rows}


def redrive_requests(
    session: Session, feed: str, *, delivery_id: str | None = None, error_id: str | None = None
) -> list[RedriveRequest]:
    """Who had errors of a delivery, or one error, sent again, in order; of an error sent twice, both times."""
    among = [
        *([f"DELIVERY_ID = {literal(delivery_id)}"] if delivery_id else []),
        *([f"CORRELATION_ID = {literal(error_id)}"] if error_id else []),
    ]
    rows = session.execute(
        "SELECT RESOLVED_BY, RESOLVED_AT, REASON, SUM(CAST(RECORDS AS NUMBER(38,0))) "
        f"FROM {ERROR_RESOLUTION} WHERE FEED = {literal(feed)} AND RESOLUTION = {literal(REDRIVE)} "
        f"{''.join(f'AND {one} ' for one in among)}GROUP BY 1, 2, 3 ORDER BY 2",
        doing="cannot read who redrove errors: provision the feeds first",
    )
    return [RedriveRequest(by, at, how, int(records)) for by, at, how, records in rows]


def record_redrive(session: Session, feed: Feed, errors: Sequence[Named], *, how: str, by: str) -> None:
    """Records who has these errors sent again, before they are; raises LostRaceError, WarehouseUnavailableError."""
    begin_in_turn(session, feed)
    try:
        _insert(session, feed.name, errors, resolution=REDRIVE, reason=how, by=by)
        session.execute("COMMIT", doing="the redrive's record was not confirmed and nothing was sent, try again")
    except BaseException:
        session.rollback()
        raise


def dismiss(session: Session, feed: Feed | str, errors: Iterable[Named], *, reason: str, by: str) -> int:
    """Records that these errors (id, delivery id, records) stay out of the tables; how many were not dismissed before.

    feed: or what the errors name as theirs, and is none. In the feed's turn, so that two who dismiss the same error
    make one row; a name has none, and two rows then say the same. Raises LostRaceError, WarehouseUnavailableError.
    """
    name = feed if isinstance(feed, str) else feed.name
    wanted = {error[0]: error for error in errors}
    if isinstance(feed, str):
        session.execute("BEGIN TRANSACTION", doing="the dismissal cannot be recorded, try again")
    else:
        begin_in_turn(session, feed)
    try:
        before = dismissals(session, name)
        new = [error for key, error in wanted.items() if key not in before]
        _insert(session, name, new, resolution=DISMISSED, reason=reason, by=by)
        session.execute("COMMIT", doing="the dismissal was not confirmed, try again")
    except BaseException:
        session.rollback()
        raise
    return len(new)


def _insert(session: Session, feed: str, errors: Sequence[Named], *, resolution: str, reason: str, by: str) -> None:
    at = datetime.now(UTC)
    for start in range(0, len(errors), ROWS_A_STATEMENT):
        rows = ", ".join(
            f"({literal(key)}, {literal(feed)}, {literal(delivery)}, {records}, {literal(resolution)}, "
            f"{literal(reason)}, {literal(by)}, {literal(at)})"
            for key, delivery, records in errors[start : start + ROWS_A_STATEMENT]
        )
        session.execute(
            f"INSERT INTO {ERROR_RESOLUTION} (CORRELATION_ID, FEED, DELIVERY_ID, RECORDS, RESOLUTION, REASON, "
            f"RESOLVED_BY, RESOLVED_AT) VALUES {rows}",
            doing="cannot record what was decided of the errors",
        )
