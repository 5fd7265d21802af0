"""Whether an error is still open: looked up in the warehouse, which alone decides."""

from __future__ import annotations

from enum import StrEnum

from snowflake.connector import SnowflakeConnection

from feedline.redrive.stored_error import StoredError
from feedline.warehouse.connection import Session
from feedline.warehouse.error_books import Dismissal, RedriveRequest, dismissals, redrive_requests
from feedline.warehouse.ledger import loaded_batches


class ErrorState(StrEnum):
    """OPEN: somebody has to look at it; REDRIVEN: its record is in the table; DISMISSED: it is to stay out."""

    OPEN = "open"
    REDRIVEN = "redriven"
    DISMISSED = "dismissed"


class ErrorStates:
    """The states of errors; asks once a delivery and once a feed, and remembers what it was told."""

    def __init__(self, connection: SnowflakeConnection) -> None:
        self._session = Session(connection)
        self._loaded: dict[tuple[str, str], frozenset[str]] = {}
        self._dismissed: dict[str, dict[str, Dismissal]] = {}

    def state(self, error: StoredError) -> ErrorState:
        """An error that was dismissed and redriven all the same is redriven; raises WarehouseUnavailableError."""
        if error.delivery_id is not None and error.error_id in self._loaded_of(error.feed, error.delivery_id):
            return ErrorState.REDRIVEN
        return ErrorState.OPEN if self.dismissal(error) is None else ErrorState.DISMISSED

    def dismissal(self, error: StoredError) -> Dismissal | None:
        if error.feed not in self._dismissed:
            self._dismissed[error.feed] = dismissals(self._session, error.feed)
        return self._dismissed[error.feed].get(error.error_id)

    def redrives(self, error: StoredError) -> list[RedriveRequest]:
        """Who had this error sent again, and when."""
        return redrive_requests(self._session, error.feed, error_id=error.error_id)

    def _loaded_of(self, feed: str, delivery_id: str) -> frozenset[str]:
        key = (feed, delivery_id)
        if key not in self._loaded:
            self._loaded[key] = frozenset(loaded_batches(self._session, feed, {delivery_id}))
        return self._loaded[key]
