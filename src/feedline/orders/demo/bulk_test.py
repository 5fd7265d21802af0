"""A test of bulk entry in an installation: so many events at a rate, and every one of them answered at the end."""

# Values in these statements are written by `literal`.
# ruff: noqa: S608

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from snowflake.connector import SnowflakeConnection

from feedline.errors import ConfigurationError, ValidationFailedError
from feedline.orders.demo.flow import Pace, Tally, enter_in_bulk
from feedline.orders.refused import refused_places
from feedline.orders.testdata.lives import Lives, LivesPolicy
from feedline.orders.topics import OrderTopics
from feedline.orders.warehouse.run import load_all
from feedline.orders.warehouse.tables import EVENTS, EXECUTIONS
from feedline.settings import Settings
from feedline.warehouse.connection import Session
from feedline.warehouse.names import literal

logger = logging.getLogger(__name__)

LOOK_S = 5.0


@dataclass(frozen=True, slots=True)
class BulkTest:
    """count: events, at the least (orders that were begun are finished); rate: a second; lives: their policy, with the
    client by whom they are found again."""

    lives: LivesPolicy
    count: int = 1_000
    rate: float = 100.0

    def __post_init__(self) -> None:
        if not self.lives.client:
            raise ConfigurationError("a bulk test needs a client of its own")
        if self.count < 1 or not 0 < self.rate <= 10_000:
            raise ConfigurationError("a bulk test has at least 1 event, and a rate of more than 0 and up to 10000")


@dataclass(frozen=True, slots=True)
class Answered:
    """Of a client's events: rows in the table, those with an execution, those that were refused with a reason."""

    loaded: int
    answered: int
    refused: int

    @property
    def silent(self) -> int:
        return self.loaded - self.answered - self.refused


def enter_test(settings: Settings, test: BulkTest, topics: OrderTopics | None = None) -> Tally:
    """Produces the events to `orders.bulk`; raises RetriableError when the broker did not take all."""
    tally = Tally()
    lives = Lives(test.lives, time.time_ns()).whole()
    pace = Pace(test.rate, test.count / test.rate)
    enter_in_bulk(settings, topics or OrderTopics(), lives, pace, tally)
    return tally


def await_answers(
    settings: Settings,
    connection: SnowflakeConnection,
    client: str,
    entered: int,
    *,
    within_s: float,
    topics: OrderTopics | None = None,
) -> Answered:
    """Loads until every event of the client is in the table and has an answer or a reason.

    Raises ValidationFailedError with the counts when that takes longer than `within_s`.
    """
    names, deadline = topics or OrderTopics(), time.monotonic() + within_s
    while True:
        load_all(settings, connection, names)
        found = _answered(settings, connection, client, names)
        if found.loaded == entered and found.silent == 0:
            return found
        if time.monotonic() > deadline:
            raise ValidationFailedError(
                f"after {within_s:.0f} s {found.loaded} of {entered} events of {client} are loaded, {found.answered} "
                f"answered and {found.refused} refused: look at bulk entry, the gateway and the engine"
            )
        logger.info("%s: %d of %d loaded, %d without an answer", client, found.loaded, entered, found.silent)
        time.sleep(LOOK_S)


def _answered(settings: Settings, connection: SnowflakeConnection, client: str, topics: OrderTopics) -> Answered:
    session = Session(connection)
    of_client = f"FROM {EVENTS.full_name} E WHERE E.CLIENT = {literal(client)}"
    [(loaded,)] = session.execute(f"SELECT COUNT(*) {of_client}", doing="cannot count the events")
    silent = session.execute(
        f"SELECT E._PARTITION, E._OFFSET {of_client} AND NOT EXISTS (SELECT 1 FROM {EXECUTIONS.full_name} X "
        "WHERE X.ORDER_ID = E.ORDER_ID AND X.SEQUENCE = E.SEQUENCE)",
        doing="cannot look for answers",
    )
    refused = refused_places(settings.acting_as("loader").kafka, topics) if silent else set()
    turned_away = sum((int(partition), int(offset)) in refused for partition, offset in silent)
    return Answered(int(loaded), int(loaded) - len(silent), turned_away)
