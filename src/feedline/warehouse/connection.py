"""A session with the warehouse: opened with bounded waits, its errors translated.

Every call goes through Snowflake's own connector, so a connection made elsewhere (Airflow's SnowflakeHook) serves too.
"""

from __future__ import annotations

import contextlib
import logging
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

import snowflake.connector
from snowflake.connector import SnowflakeConnection
from snowflake.connector.errors import DatabaseError, Error, InterfaceError, OperationalError

from feedline.errors import AuthenticationError, FeedlineError, TerminalError, WarehouseUnavailableError
from feedline.security.references import resolve

# Seconds. Without them the connector retries a refused connection or a server error for as long as it lives.
LOGIN_TIMEOUT = 30
NETWORK_TIMEOUT = 300
ROLLBACK_SECONDS = 20

# Errors of a statement that mean "later": cancelled by a time limit (604), too many waiters for a lock (625), the
# transaction aborted while it waited (630), the session gone (390111 to 390114).
_RETRIABLE_STATEMENT = frozenset({604, 625, 630, 390_111, 390_112, 390_113, 390_114})

logger = logging.getLogger(__name__)

# Connections whose last ROLLBACK nobody confirmed. A statement on one could read what its own open transaction has
# written and nobody else will ever see, or find that transaction aborted.
_in_doubt: weakref.WeakSet[SnowflakeConnection] = weakref.WeakSet()


@contextlib.contextmanager
def open_warehouse(arguments: Mapping[str, Any]) -> Iterator[SnowflakeConnection]:
    """A connection of `Settings.warehouse`, closed at the end.

    Raises WarehouseUnavailableError when nobody answers in time, AuthenticationError when the login is refused.
    """
    connection = connect(arguments)
    try:
        yield connection
    finally:
        # What was done is committed or not by now; an error on the way out would hide the one that matters.
        with contextlib.suppress(Error):
            connection.close()


def connect(arguments: Mapping[str, Any]) -> SnowflakeConnection:
    """As `open_warehouse`, for a caller that closes it itself."""
    bounded = {"login_timeout": LOGIN_TIMEOUT, "network_timeout": NETWORK_TIMEOUT, **resolve(arguments)}
    try:
        return snowflake.connector.connect(**bounded)
    except Error as error:
        raise translate(error, "cannot log in to the warehouse") from error


def translate(error: Error, doing: str, **where: Any) -> FeedlineError:
    """The error of ours for one of the connector's; `doing` begins its message.

    The connector raises a DatabaseError that is none of its subclasses for a refused login, its subclasses
    (ProgrammingError, IntegrityError, ...) for a statement that the server refused, and OperationalError,
    InterfaceError or an error named after an HTTP status when the server could not be asked.
    """
    reason = f"{doing}: {_first_line(error)}"
    if type(error) is DatabaseError:
        return AuthenticationError(reason, **where)
    answered = isinstance(error, DatabaseError) and not isinstance(error, (OperationalError, InterfaceError))
    if answered and error.errno not in _RETRIABLE_STATEMENT:
        return TerminalError(reason, **where)
    return WarehouseUnavailableError(reason, **where)


def _first_line(error: Error) -> str:
    lines = [line.strip() for line in str(error.msg or error).splitlines() if line.strip()]
    return "; ".join(lines[:2]) or type(error).__name__


class Session:
    """Statements on one connection, each one's failure told as one of our errors.

    `execute` returns the rows; `affected` the number of rows that a statement changed. After a rollback that was not
    confirmed each repeats it first, and raises WarehouseUnavailableError as long as that fails.
    """

    def __init__(self, connection: SnowflakeConnection, **where: Any) -> None:
        self._connection = connection
        self._where = where

    def execute(self, sql: str, *, doing: str, timeout_s: int | None = None) -> list[tuple[Any, ...]]:
        return self._run(sql, doing, timeout_s)[0]

    def affected(self, sql: str, *, doing: str, timeout_s: int | None = None) -> int:
        return self._run(sql, doing, timeout_s)[1]

    def _run(self, sql: str, doing: str, timeout_s: int | None) -> tuple[list[tuple[Any, ...]], int]:
        if self._connection in _in_doubt and not self.rollback():
            raise WarehouseUnavailableError(
                f"{doing}: the session may still be in a transaction that could not be rolled back; try again on a new "
                "one",
                **self._where,
            )
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql, timeout=timeout_s)
                return cursor.fetchall(), int(cursor.rowcount or 0)
        except Error as error:
            raise translate(error, doing, **self._where) from error

    def rollback(self) -> bool:
        """Ends the transaction if the session still can; a broken session's is ended by the server.

        Whether the server has confirmed it: if not, the session may still be in the transaction.
        """
        try:
            with self._connection.cursor() as cursor:
                cursor.execute("ROLLBACK", timeout=ROLLBACK_SECONDS)
        except Error as error:
            logger.warning("the transaction could not be rolled back, the server will: %s", _first_line(error))
            _in_doubt.add(self._connection)
            return False
        _in_doubt.discard(self._connection)
        return True
