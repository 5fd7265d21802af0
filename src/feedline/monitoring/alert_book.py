"""The alerts that were ever made, in the warehouse: each claimed by one evaluation at a time and sent once.

Claim, send, mark. An evaluation that is killed between sending and marking leaves a claim that a later one takes over,
so a message is sent at least once; its id stays the same, and a receiver can tell.
"""

# Names in these statements are constants, values written by `literal`.
# ruff: noqa: S608

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from feedline.catalog import Stage
from feedline.monitoring.alert import CYCLE_STAGE, INTRADAY_STAGE, Alert, AlertKind
from feedline.warehouse.connection import Session
from feedline.warehouse.ledger import begin_behind
from feedline.warehouse.names import SLA_ALERT, SLA_FENCE, literal

CLAIMED, SENT, FAILED, RECORDED = "CLAIMED", "SENT", "FAILED", "RECORDED"

# Longer than sending to every channel takes, their time limits and retries included.
CLAIM_HOLDS = timedelta(minutes=10)
# An alert that no channel took in a day is no news any more.
RETRY_FOR = timedelta(hours=24)
# A claim is a few small statements: whoever keeps its turn for longer is not coming back.
TURN_BUDGET_S = 120.0

_ALERT = "KIND, FEED, BUSINESS_DATE, STAGE, DUE_AT, REACHED_AT, LATE_SECONDS, LINK, DETAIL"


@dataclass(frozen=True, slots=True)
class Claim:
    """An alert that this evaluation is to send. sent_to: channels that took it at an earlier attempt."""

    alert: Alert
    claim_id: str
    sent_to: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """A told alert whose recovery has not been told. missing_at: when it was made, the stage not having been reached as
    far as was known."""

    alert: Alert
    missing_at: datetime

    def reached(self, at: datetime) -> datetime:
        """When the stage was reached, by what is found now: not before it was seen to be missing."""
        return at if self.alert.unsure else max(at, self.missing_at)


def claim(session: Session, wanted: Sequence[Alert], now: datetime) -> list[Claim]:
    """Takes what is to be sent: alerts that nobody made before, and those of others that died or failed at it.

    Of two evaluations at once each alert goes to one. Raises LostRaceError, WarehouseUnavailableError.
    """
    # Most looks find nothing new: those take no turn.
    if not _unsent(session, now) and {alert.alert_id for alert in wanted} <= _known(session, _ids(wanted)):
        return []
    claim_id = str(uuid.uuid4())
    begin_behind(session, SLA_FENCE, "evaluation of the SLAs", budget_s=TURN_BUDGET_S)
    try:
        known = _known(session, _ids(wanted))
        again = _unsent(session, now)
        # Two of one evaluation may have the same id, as when a feed is named twice.
        fresh = {alert.alert_id: alert for alert in wanted if alert.alert_id not in known}
        if fresh:
            _insert(session, list(fresh.values()), claim_id, now)
        if again:
            session.execute(
                f"UPDATE {SLA_ALERT} SET STATUS = {literal(CLAIMED)}, CLAIM_ID = {literal(claim_id)}, "
                f"CLAIMED_AT = {literal(now)}, ATTEMPTS = ATTEMPTS + 1 WHERE ALERT_ID IN ({_list(again)})",
                doing="cannot take over alerts",
            )
        session.execute("COMMIT", doing="the claim of alerts was not confirmed")
    except BaseException:
        session.rollback()
        raise
    taken_over = [Claim(alert, claim_id, sent_to) for alert, sent_to in again.values()]
    return [*taken_over, *(Claim(alert, claim_id) for alert in fresh.values())]


def mark(
    session: Session, claimed: Claim, *, status: str, channels: Collection[str], reason: str | None, now: datetime
) -> None:
    """Writes what came of a claim, unless another evaluation has taken it over since."""
    session.execute(
        f"UPDATE {SLA_ALERT} SET STATUS = {literal(status)}, CHANNELS = {literal(','.join(sorted(channels)))}, "
        f"REASON = {literal(reason)}, SENT_AT = {literal(now if status == SENT else None)} "
        f"WHERE ALERT_ID = {literal(claimed.alert.alert_id)} AND CLAIM_ID = {literal(claimed.claim_id)}",
        doing="cannot mark an alert",
    )


def open_alerts(session: Session, since: datetime) -> list[OpenAlert]:
    """Alerts due since then that were told while their stage was missing, and whose recovery was not."""
    rows = session.execute(
        f"SELECT {_ALERT}, CREATED_AT FROM {SLA_ALERT} A WHERE KIND = {literal(AlertKind.LATE.value)} "
        f"AND REACHED_AT IS NULL AND STATUS IN ({_list([SENT, RECORDED])}) AND DUE_AT >= {literal(since)} "
        f"AND NOT EXISTS (SELECT 1 FROM {SLA_ALERT} R WHERE R.KIND = {literal(AlertKind.RECOVERED.value)} "
        "AND R.FEED = A.FEED AND R.BUSINESS_DATE = A.BUSINESS_DATE AND R.STAGE = A.STAGE AND R.DUE_AT = A.DUE_AT) "
        "ORDER BY DUE_AT, FEED",
        doing="cannot read the open alerts",
    )
    return [OpenAlert(_alert(row[:-1]), row[-1]) for row in rows]


def alerts_of(session: Session, business_date: date) -> list[tuple[Alert, str]]:
    """Every alert of a business date with its status, in the order in which they were made."""
    rows = session.execute(
        f"SELECT {_ALERT}, STATUS FROM {SLA_ALERT} WHERE BUSINESS_DATE = {literal(business_date)} "
        "ORDER BY CREATED_AT, DUE_AT, FEED",
        doing="cannot read the alerts",
    )
    return [(_alert(row[:-1]), row[-1]) for row in rows]


def _ids(alerts: Sequence[Alert]) -> list[str]:
    return [alert.alert_id for alert in alerts]


def _known(session: Session, ids: Collection[str]) -> set[str]:
    if not ids:
        return set()
    rows = session.execute(
        f"SELECT ALERT_ID FROM {SLA_ALERT} WHERE ALERT_ID IN ({_list(ids)})", doing="cannot read the alerts"
    )
    return {alert_id for (alert_id,) in rows}


def _unsent(session: Session, now: datetime) -> dict[str, tuple[Alert, frozenset[str]]]:
    """By id, alerts whose sending failed, or whose sender has had the time to send them and did not say so."""
    rows = session.execute(
        f"SELECT {_ALERT}, CHANNELS FROM {SLA_ALERT} WHERE CREATED_AT > {literal(now - RETRY_FOR)} "
        f"AND (STATUS = {literal(FAILED)} OR (STATUS = {literal(CLAIMED)} "
        f"AND CLAIMED_AT < {literal(now - CLAIM_HOLDS)})) ORDER BY CREATED_AT",
        doing="cannot read the alerts that were not sent",
    )
    found = ((_alert(row[:-1]), row[-1]) for row in rows)
    return {alert.alert_id: (alert, frozenset(filter(None, channels.split(",")))) for alert, channels in found}


def _insert(session: Session, alerts: Sequence[Alert], claim_id: str, now: datetime) -> None:
    columns = f"ALERT_ID, {_ALERT}, STATUS, CHANNELS, CLAIM_ID, ATTEMPTS, CREATED_AT, CLAIMED_AT"
    for alert in alerts:
        values = (
            alert.alert_id,
            alert.kind.value,
            alert.feed,
            alert.business_date,
            str(alert.stage),
            alert.due,
            alert.reached,
            int(alert.late.total_seconds()),
            alert.link,
            alert.detail,
            CLAIMED,
            "",
            claim_id,
            1,
            now,
            now,
        )
        session.execute(
            f"INSERT INTO {SLA_ALERT} ({columns}) SELECT {', '.join(map(literal, values))}",
            doing="cannot record an alert",
        )


def _alert(row: Sequence[object]) -> Alert:
    kind, feed, business_date, stage, due, reached, late, link, detail = row
    assert isinstance(business_date, date)
    assert isinstance(due, datetime)
    assert reached is None or isinstance(reached, datetime)
    return Alert(
        AlertKind(str(kind)),
        str(feed),
        business_date,
        str(stage) if stage in (CYCLE_STAGE, INTRADAY_STAGE) else Stage(str(stage)),
        due,
        reached,
        timedelta(seconds=int(str(late))),
        None if link is None else str(link),
        str(detail),
    )


def _list(values: Collection[str]) -> str:
    return ", ".join(literal(value) for value in values)
