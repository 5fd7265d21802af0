"""Records that travel alone under an id of their own, in more than one delivery: which one has the row, which count it.

The first that is loaded has the row; the ledger has each later copy as a duplicate, under the delivery that sent it.
"""

# Names in these statements are checked by `quoted`, values written by `literal`.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from feedline.catalog import Feed
from feedline.warehouse.connection import Session
from feedline.warehouse.layout import feed_layout
from feedline.warehouse.ledger import begin_in_turn
from feedline.warehouse.names import DELIVERY, LOAD_LEDGER, data_table, literal

# Rows in one statement.
ROWS_A_STATEMENT = 1_000

# A record's id, the business date of its delivery as text, and where its message lies there.
_Claim = tuple[str, str, str, int, int]


def held_elsewhere(feed: str, delivery_id: str) -> str:
    """A subquery of the correlation ids of a delivery's records whose row another delivery has."""
    this = literal(delivery_id)
    return (
        f"SELECT CORRELATION_ID FROM {LOAD_LEDGER} WHERE {_alone(feed, 'LOADED')} AND DELIVERY_ID <> {this} "
        f"AND CORRELATION_ID IN (SELECT CORRELATION_ID FROM {LOAD_LEDGER} "
        f"WHERE FEED = {literal(feed)} AND DELIVERY_ID = {this} AND RECORDS = 1 AND STATUS <> 'ERROR')"
    )


def count_elsewhere(session: Session, feed: str, delivery_id: str) -> int:
    """How many of a delivery's records another one has; of one that several have, all of them."""
    [(count,)] = session.execute(
        f"SELECT COUNT(*) FROM ({held_elsewhere(feed, delivery_id)}) H", doing="cannot read the ledger"
    )
    return int(count)


def holders(session: Session, feed: str, deliveries: Collection[str]) -> set[str]:
    """The other deliveries that have records of these."""
    return _others(session, feed, deliveries, "RECORDS = 1 AND STATUS <> 'ERROR'", "LOADED")


def leave_elsewhere(session: Session, feed: Feed, delivery_id: str) -> int:
    """Takes a delivery's copies of records whose row another one has out again, and books them as duplicates; how many.
    A row that the other has lost is this one's from now on.

    In the caller's transaction, in which they were copied.
    """
    if not count_elsewhere(session, feed.name, delivery_id):
        return 0
    this, loaded = literal(delivery_id), _alone(feed.name, "LOADED")
    there = f'SELECT "_CORRELATION_ID" FROM {data_table(feed.table)} WHERE "_DELIVERY_ID" <> {this}'
    held = f"{held_elsewhere(feed.name, delivery_id)} AND CORRELATION_ID IN ({there})"
    for table in feed_layout(feed).tables():
        session.execute(
            f'DELETE FROM {data_table(table.name)} WHERE "_DELIVERY_ID" = {this} AND "_CORRELATION_ID" IN ({held})',
            doing=f"cannot take copies out of {table.name}",
        )
    left = session.affected(
        f"UPDATE {LOAD_LEDGER} SET STATUS = 'DUPLICATE' WHERE {loaded} AND DELIVERY_ID = {this} "
        f"AND CORRELATION_ID IN ({held})",
        doing="cannot book the copies",
    )
    session.execute(
        f"UPDATE {LOAD_LEDGER} SET STATUS = 'DUPLICATE' WHERE {loaded} AND DELIVERY_ID <> {this} "
        f"AND CORRELATION_ID IN (SELECT CORRELATION_ID FROM {LOAD_LEDGER} WHERE {loaded} AND DELIVERY_ID = {this})",
        doing="cannot book what another delivery has lost",
    )
    return left


def adopt(session: Session, feed: Feed, delivery_id: str) -> None:
    """Gives a delivery the rows of its records that others have which are not COMPLETE, and perhaps never will be: the
    `_CURRENT` views would not show them. In the feed's turn. Raises LostRaceError, WarehouseUnavailableError.
    """
    if not _claims(session, feed, delivery_id):
        return
    begin_in_turn(session, feed)
    try:
        take_over(session, feed, delivery_id)
        session.execute("COMMIT", doing="that records changed their delivery was not confirmed, try again")
    except BaseException:
        # Also when a signal ends the task here: an open transaction would keep the feed's turn.
        session.rollback()
        raise


def hand_over(session: Session, feed: Feed, deliveries: Collection[str]) -> None:
    """Gives the records of these deliveries, which are about to be taken out, to the others that sent them too. In the
    caller's transaction."""
    for other in sorted(_others(session, feed.name, deliveries, "RECORDS = 1 AND STATUS = 'LOADED'", "DUPLICATE")):
        take_over(session, feed, other)


def take_over(session: Session, feed: Feed, delivery_id: str) -> None:
    """As `adopt`, in the caller's transaction."""
    this, claims = literal(delivery_id), _claims(session, feed, delivery_id)
    for some in _runs(claims):
        values = ", ".join(f"({', '.join(literal(value) for value in claim)})" for claim in some)
        claimed = (
            "(SELECT COLUMN1 AS CLAIMED, CAST(COLUMN2 AS DATE) AS ON_DATE, COLUMN3 AS IN_TOPIC, COLUMN4 AS "
            f"IN_PARTITION, COLUMN5 AS AT_OFFSET FROM VALUES {values}) V"
        )
        for table in feed_layout(feed).tables():
            session.execute(
                f'UPDATE {data_table(table.name)} SET "_DELIVERY_ID" = {this}, "_BUSINESS_DATE" = V.ON_DATE, '
                f'"_TOPIC" = V.IN_TOPIC, "_PARTITION" = V.IN_PARTITION, "_OFFSET" = V.AT_OFFSET FROM {claimed} '
                f'WHERE "_CORRELATION_ID" = V.CLAIMED AND "_DELIVERY_ID" <> {this}',
                doing=f"cannot give rows of {table.name} another delivery",
            )
        among = ", ".join(literal(claim[0]) for claim in some)
        session.execute(
            f"UPDATE {LOAD_LEDGER} SET STATUS = 'DUPLICATE' WHERE {_alone(feed.name, 'LOADED')} "
            f"AND CORRELATION_ID IN ({among})",
            doing="cannot book the other delivery's copies",
        )
        session.execute(
            f"UPDATE {LOAD_LEDGER} SET STATUS = 'LOADED' FROM {claimed} WHERE {_alone(feed.name, 'DUPLICATE')} "
            f"AND DELIVERY_ID = {this} AND CORRELATION_ID = V.CLAIMED AND TOPIC = V.IN_TOPIC "
            "AND PARTITION = V.IN_PARTITION AND MESSAGE_OFFSET = V.AT_OFFSET",
            doing="cannot book the delivery's rows",
        )


def _claims(session: Session, feed: Feed, delivery_id: str) -> list[_Claim]:
    """Records that a delivery has as duplicates only, whose rows are with deliveries that are not COMPLETE."""
    complete = f"SELECT DELIVERY_ID FROM {DELIVERY} WHERE FEED = {literal(feed.name)} AND STATUS = 'COMPLETE'"
    with_others = (
        f"SELECT CORRELATION_ID FROM {LOAD_LEDGER} WHERE {_alone(feed.name, 'LOADED')} "
        f"AND DELIVERY_ID <> {literal(delivery_id)}"
    )
    own = f"SELECT CORRELATION_ID FROM {LOAD_LEDGER} WHERE {_alone(feed.name, 'LOADED')} AND DELIVERY_ID"
    rows = session.execute(
        f"SELECT CORRELATION_ID, BUSINESS_DATE, TOPIC, PARTITION, MESSAGE_OFFSET FROM {LOAD_LEDGER} "
        f"WHERE {_alone(feed.name, 'DUPLICATE')} AND DELIVERY_ID = {literal(delivery_id)} "
        f"AND CORRELATION_ID IN ({with_others}) AND CORRELATION_ID NOT IN ({own} = {literal(delivery_id)}) "
        f"AND CORRELATION_ID NOT IN ({own} IN ({complete})) "
        "QUALIFY ROW_NUMBER() OVER (PARTITION BY CORRELATION_ID ORDER BY TOPIC, PARTITION, MESSAGE_OFFSET) = 1",
        doing="cannot read the ledger",
    )
    return [(key, on.isoformat(), topic, int(partition), int(offset)) for key, on, topic, partition, offset in rows]


def _others(session: Session, feed: str, deliveries: Collection[str], of_these: str, status: str) -> set[str]:
    """Other deliveries that the ledger has in this status of records that it has so of these."""
    if not deliveries:
        return set()
    these = ", ".join(literal(one) for one in sorted(deliveries))
    rows = session.execute(
        f"SELECT DISTINCT DELIVERY_ID FROM {LOAD_LEDGER} WHERE {_alone(feed, status)} AND DELIVERY_ID NOT IN ({these}) "
        f"AND CORRELATION_ID IN (SELECT CORRELATION_ID FROM {LOAD_LEDGER} "
        f"WHERE FEED = {literal(feed)} AND DELIVERY_ID IN ({these}) AND {of_these})",
        doing="cannot read the ledger",
    )
    return {one for (one,) in rows}


def _alone(feed: str, status: str) -> str:
    return f"FEED = {literal(feed)} AND STATUS = {literal(status)} AND RECORDS = 1"


def _runs(claims: Sequence[_Claim]) -> Iterator[Sequence[_Claim]]:
    for start in range(0, len(claims), ROWS_A_STATEMENT):
        yield claims[start : start + ROWS_A_STATEMENT]
