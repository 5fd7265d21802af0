"""What the topics answer in one look at the day, and what is known of a load without them."""

# Names in these statements are constants, values written by `literal`.
# ruff: noqa: S608

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import TypeVar

from feedline.batch.control_file import control_path, read_control_file
from feedline.catalog import Feed
from feedline.errors import ControlMismatchError, CorruptBatchError, FeedlineError
from feedline.warehouse.connection import Session
from feedline.warehouse.names import LOAD_LEDGER, literal

T = TypeVar("T")

logger = logging.getLogger(__name__)


class TopicAnswers:
    """Asks topics for the feeds of one look. One that does not answer is not asked again: with the broker away each
    question takes half a minute, and there are some for every feed and date.

    strict: raise why a topic does not answer instead of going on without."""

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict
        self._silence: dict[str, FeedlineError] = {}

    def ask(self, feed: Feed, question: Callable[[], T]) -> T | None:
        """What the feed's topic answers; None when it does not. The question is to ask nobody else."""
        if self.silence_of(feed) is not None:
            return None
        try:
            return question()
        except FeedlineError as error:
            if self._strict:
                raise
            logger.warning("%s cannot be asked of %s: %s", feed.topic.name, feed.name, error)
            # A message that cannot be read is one feed's; everything else is the topic's.
            self._silence[feed.name if isinstance(error, CorruptBatchError) else feed.topic.name] = error
            return None

    def silence_of(self, feed: Feed) -> FeedlineError | None:
        """Why the feed's topic has not answered."""
        return self._silence.get(feed.topic.name) or self._silence.get(feed.name)

    def raise_silence(self) -> None:
        """Raises the first reason why a topic did not answer, if there is one."""
        for error in self._silence.values():
            raise error


def loaded_by_the_books(session: Session, landing: Path, feed: str, business_date: date) -> datetime | None:
    """When the last record of the landed end of day was loaded, by its control file and the ledger alone.

    None while records are missing, and when these two cannot tell: how many were refused stands in the manifest.
    """
    try:
        control = read_control_file(control_path(landing, feed, business_date))
    except (ControlMismatchError, FileNotFoundError):
        return None
    [(records, at)] = session.execute(
        f"SELECT SUM(CAST(RECORDS AS NUMBER(38,0))), MAX(LOADED_AT) FROM {LOAD_LEDGER} WHERE FEED = {literal(feed)} "
        f"AND DELIVERY_ID = {literal(control.delivery.delivery_id)} AND STATUS = 'LOADED'",
        doing="cannot read the ledger",
    )
    return at if int(records or 0) >= control.records and isinstance(at, datetime) else None
