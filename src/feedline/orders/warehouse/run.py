"""The steps of loading orders, each joining topics and warehouse: what the command line and the Airflow tasks call."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from confluent_kafka import Message
from snowflake.connector import SnowflakeConnection

from feedline.consumer.group_offsets import follow_checkpoints
from feedline.consumer.range_reader import group_of, read_messages
from feedline.consumer.ranges import LoadRange, plan_to_end
from feedline.consumer.spans import read_spans
from feedline.errors import ConfigurationError, LostRaceError, OffsetsExpiredError
from feedline.kafka.admin import admin_client, partition_count, watermarks
from feedline.kafka.registry import registry_client, writer_schema
from feedline.orders.topics import OrderTopics
from feedline.orders.warehouse.load import OrderLoadPolicy, OrderLoadResult, load_orders
from feedline.orders.warehouse.refusals import refusals
from feedline.orders.warehouse.tables import TABLES, OrderTable
from feedline.settings import Settings
from feedline.warehouse.connection import Session
from feedline.warehouse.ledger import checkpoints, read_checkpoints, remaining

logger = logging.getLogger(__name__)

# Another loader that won needs about the time of one transaction to finish; seconds, doubled each time, with jitter.
LOST_RACE_ATTEMPTS = 5
LOST_RACE_WAIT = 0.5


@dataclass(frozen=True, slots=True)
class PlannedLoad:
    """What is to be loaded into a table: all of its topic that is not."""

    table: OrderTable
    ranges: tuple[LoadRange, ...]

    @property
    def offsets(self) -> int:
        return sum(one.offsets for one in self.ranges)


def plan_orders(
    settings: Settings,
    connection: SnowflakeConnection,
    table: OrderTable,
    topics: OrderTopics | None = None,
    *,
    accept_loss: bool = False,
) -> PlannedLoad:
    """From the table's checkpoints to the topic's end as it is now, as one range: its loads wait for each other anyway.

    accept_loss: pass over what has left the topic before it was loaded. Raises OffsetsExpiredError when something
    has, ConfigurationError when the checkpoints are beyond the topic's end, BrokerUnavailableError.
    """
    names, loader = topics or OrderTopics(), settings.acting_as("loader")
    topic = table.topic(names)
    loaded = read_checkpoints(connection, table.name, topic)
    marks = watermarks(loader.kafka, topic, range(partition_count(admin_client(loader.kafka), topic)))
    _require_there(topic, loaded, marks, accept_loss=accept_loss)
    return PlannedLoad(table, plan_to_end(table.name, topic, loaded, marks, 1))


def _require_there(
    topic: str, loaded: Mapping[int, int], marks: Mapping[int, tuple[int, int]], *, accept_loss: bool
) -> None:
    for partition, (low, high) in marks.items():
        at = loaded.get(partition)
        if at is None:
            continue
        where = {"topic": topic, "partition": partition, "offset": at}
        if at > high:
            raise ConfigurationError(
                f"the warehouse has loaded the partition up to offset {at}, and it ends at {high}: the topic was made "
                "anew; delete its rows of CONTROL.CONSUMER_CHECKPOINT, then load again",
                **where,
            )
        if at < low and not accept_loss:
            raise OffsetsExpiredError(
                f"the topic begins at offset {low} now and those from {at} were never loaded: see what they were in "
                "the engine's book, then load with --accept-loss",
                **where,
            )


def load_planned(
    settings: Settings,
    connection: SnowflakeConnection,
    planned: PlannedLoad,
    topics: OrderTopics | None = None,
    *,
    policy: OrderLoadPolicy | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> OrderLoadResult:
    """Loads what was planned, then lets the group's offsets follow; progress: called with the messages read.

    When another loader wins a race, what is left is looked up and loaded, a few times. Raises what `load_orders` and
    `read_range` raise.
    """
    names, loader = topics or OrderTopics(), settings.acting_as("loader")
    result = OrderLoadResult(planned.table.table, planned.table.topic(names))
    for load_range in planned.ranges:
        for attempt in range(1, LOST_RACE_ATTEMPTS + 1):
            try:
                _load_once(
                    loader,
                    connection,
                    planned.table,
                    load_range,
                    topics=names,
                    policy=policy or OrderLoadPolicy(),
                    result=result,
                    progress=progress,
                )
            except LostRaceError as error:
                if attempt == LOST_RACE_ATTEMPTS:
                    raise
                pause = LOST_RACE_WAIT * 2**attempt * random.uniform(0.5, 1)  # noqa: S311
                logger.info("%s; looking again in %.1f s", error, pause)
                time.sleep(pause)
            else:
                break
        follow_checkpoints(loader.kafka, planned.table.name, load_range.topic, result.checkpoints)
    return result


def _load_once(
    settings: Settings,
    connection: SnowflakeConnection,
    table: OrderTable,
    load_range: LoadRange,
    *,
    topics: OrderTopics,
    policy: OrderLoadPolicy,
    result: OrderLoadResult,
    progress: Callable[[int], None],
) -> None:
    registry = registry_client(settings.registry)
    rest = load_range.after(_left(connection, table, load_range))
    reading = read_messages(settings.kafka, rest.readable(), group_id=group_of(table.name))

    def counted() -> Iterator[Sequence[Message]]:
        for some in reading:
            yield some
            progress(len(some))

    with refusals(settings.kafka, topics.error) as reporter:
        try:
            load_orders(
                connection,
                table,
                rest,
                counted(),
                lambda schema_id: writer_schema(registry, schema_id),
                on_refused=reporter.report,
                reread=partial(_reread, settings.kafka, rest.topic, group_of(table.name)),
                policy=policy,
                result=result,
            )
        finally:
            reading.close()


def _reread(kafka: Mapping[str, Any], topic: str, group: str, places: Collection[tuple[int, int]]) -> list[Message]:
    """The messages at these places, of those that the topic still has, each partition's in order."""
    lows = {p: low for p, (low, _) in watermarks(kafka, topic, {partition for partition, _ in places}).items()}
    left = sorted(place for place in places if place[1] >= lows[place[0]])
    found: list[Message] = []
    while left:
        # One of each partition at a time: there are few, and what lies between them may be much.
        spans: dict[int, tuple[int, int]] = {}
        for partition, offset in left:
            spans.setdefault(partition, (offset, offset + 1))
        found += read_spans(kafka, topic, spans, group=group)
        left = [place for place in left if place[1] != spans[place[0]][0]]
    return found


def _left(connection: SnowflakeConnection, table: OrderTable, load_range: LoadRange) -> LoadRange:
    session = Session(connection, topic=load_range.topic)
    return remaining(load_range, checkpoints(session, table.name, load_range.topic))


def load_all(
    settings: Settings,
    connection: SnowflakeConnection,
    topics: OrderTopics | None = None,
    *,
    accept_loss: bool = False,
    policy: OrderLoadPolicy | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> list[OrderLoadResult]:
    """Loads events, then executions, each up to the end that its topic has now; see `plan_orders`, `load_planned`.

    Events first: an execution is of an event that was on its topic before.
    """
    results = []
    for table in TABLES:
        planned = plan_orders(settings, connection, table, topics, accept_loss=accept_loss)
        results.append(load_planned(settings, connection, planned, topics, policy=policy, progress=progress))
    return results
