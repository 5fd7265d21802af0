"""Replay on a real broker and the warehouse: damage is found, mended exactly, and the live loads notice nothing."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from confluent_kafka import Consumer, TopicPartition
from snowflake.connector import SnowflakeConnection

from feedline import cycle
from feedline.archive import archived
from feedline.batch.identity import Cycle
from feedline.catalog import Catalog, ErrorLimit
from feedline.consumer.range_reader import group_of
from feedline.cycle_intraday import announced_deliveries
from feedline.errors import ConfigurationError, ErrorLimitExceededError, OffsetsExpiredError
from feedline.kafka.config import consumer_config
from feedline.replay.run import ReplayOptions, replay
from feedline.replay.scope import REPLAY_GROUP
from feedline.replay.selection import Mode, Selection
from feedline.warehouse.connection import open_warehouse
from feedline.warehouse.layout import feed_layout
from feedline.warehouse.load import Step
from feedline.warehouse.names import CONSUMER_CHECKPOINT, DELIVERY, LOAD_LEDGER, current_view, data_table
from feedline.warehouse.provision import provision_tables
from feedline.warehouse.status import delivery_status
from feedline.warehouse.validate import validate_delivery

DAY = date(2026, 11, 20)
VERIFY, REPAIR, REBUILD = (ReplayOptions(mode=mode) for mode in (Mode.VERIFY, Mode.REPAIR, Mode.REBUILD))


class Desk:
    """A feed of the test's own, 200 records of it delivered and loaded, and what the test asks of them."""

    def __init__(self, settings, connection: SnowflakeConnection, feed, bulk) -> None:
        self.settings, self.connection, self.feed, self.bulk = settings, connection, feed, bulk
        self.manifest = None

    def deliver(self, records):
        self.bulk.land(self.feed.name, self.bulk.text(records))
        self.manifest = cycle.produce(self.settings, self.feed, DAY)
        return self.manifest

    def load(self):
        for one in cycle.plan(self.settings, self.connection, self.feed, self.manifest):
            cycle.load(self.settings, self.connection, self.feed, one)
        assert validate_delivery(self.connection, self.feed, self.manifest).failures == ()

    def replay(self, options=VERIFY, **selected):
        chosen = selected or {"business_date": DAY}
        return replay(self.settings, self.connection, self.feed, Selection(**chosen), options)

    def query(self, sql):
        with self.connection.cursor() as cursor:
            return cursor.execute(sql).fetchall()

    def tables(self, schema="FEEDLINE.IHUB"):
        """The rows of every table of the feed, without when they were loaded and where their message lies."""
        held = {}
        for table in feed_layout(self.feed).tables():
            item = '"_ITEM_INDEX", ' if table.array else ""
            columns = ", ".join(f'"{column.name}"' for column in table.columns)
            held[table.name] = self.query(
                f'SELECT "_CORRELATION_ID", "_RECORD_INDEX", "_DELIVERY_ID", {item}{columns} '
                f"FROM {data_table(table.name, schema)} ORDER BY 1, 2{', 4' if table.array else ''}"
            )
        return held

    def ledger(self):
        return self.query(
            f"SELECT CORRELATION_ID, RECORDS FROM {LOAD_LEDGER} "
            f"WHERE FEED = '{self.feed.name}' AND STATUS = 'LOADED' ORDER BY 1"
        )

    def live(self):
        """Where the live loads stand: their checkpoints with their epochs, and their group's offsets."""
        checkpoints = self.query(
            f"SELECT PARTITION, NEXT_OFFSET, EPOCH FROM {CONSUMER_CHECKPOINT} "
            f"WHERE TOPIC = '{self.feed.topic.name}' ORDER BY 1"
        )
        return checkpoints, self.committed(group_of(self.feed.name))

    def committed(self, group):
        consumer = Consumer(consumer_config(self.settings.kafka, group_id=group))
        try:
            asked = [TopicPartition(self.feed.topic.name, p) for p in range(self.feed.topic.partitions)]
            return {tp.partition: tp.offset for tp in consumer.committed(asked, timeout=10) if tp.offset >= 0}
        finally:
            consumer.close()

    def damage(self):
        """Takes out one batch with its ledger row, of a second only the rows, of a third only the ledger row."""
        gone, rowless, unbooked = [row[0] for row in self.ledger()[:3]]
        for table in feed_layout(self.feed).tables():
            self.query(f"DELETE FROM {data_table(table.name)} WHERE \"_CORRELATION_ID\" IN ('{gone}', '{rowless}')")
        self.query(f"DELETE FROM {LOAD_LEDGER} WHERE CORRELATION_ID IN ('{gone}', '{unbooked}')")
        return gone, rowless, unbooked


@pytest.fixture
def desk(settings, warehouse_settings, topics, connection, bulk) -> Desk:
    shipped = topics.feed("positions")
    name = f"positions_{shipped.topic.name.rsplit('.', 1)[-1]}"
    feed = replace(shipped, name=name, batch=replace(shipped.batch, max_records=20))
    provision_tables(connection, Catalog({name: feed}))
    return Desk(replace(settings, warehouse=warehouse_settings.warehouse), connection, feed, bulk)


@pytest.fixture
def loaded(desk) -> Desk:
    desk.deliver(desk.bulk.lines("positions")[:200])
    desk.load()
    return desk


def test_damage_is_found_repaired_exactly_and_a_second_repair_changes_nothing(loaded):
    before, books, live = loaded.tables(), loaded.ledger(), loaded.live()
    assert loaded.replay().right
    loaded.damage()

    [found] = loaded.replay().deliveries
    batches = loaded.manifest.batches
    assert found.states == {"whole": batches - 3, "missing": 1, "rows missing": 1, "not in the ledger": 1}
    assert found.failed_checks
    told = loaded.replay(replace(REPAIR, dry_run=True))
    assert (told.to_load, told.changed.batches) == (3, 0)
    assert loaded.tables() != before

    repaired = loaded.replay(REPAIR)
    assert (repaired.changed.batches, repaired.right) == (3, True)
    assert (loaded.tables(), loaded.ledger()) == (before, books)
    again = loaded.replay(REPAIR)
    assert (again.changed.batches, again.changed.deleted_rows, again.right) == (0, 0, True)
    assert (loaded.tables(), loaded.ledger(), loaded.live()) == (before, books, live)
    assert loaded.committed(REPLAY_GROUP) == {}
    assert json.loads(json.dumps(again.to_dict()))["right"]


def test_a_replay_takes_no_more_than_what_is_selected(loaded):
    gone, rowless, unbooked = loaded.damage()
    [seen] = [m for m in loaded.bulk.read_topic(loaded.feed.topic.name) if m.headers["correlationId"] == gone]
    by_id = loaded.replay(REPAIR, correlation_id=rowless)
    assert (by_id.messages, by_id.changed.batches) == (1, 1)
    assert loaded.replay(correlation_id="00000000-0000-0000-0000-000000000000").messages == 0

    offsets = next(span for span in loaded.replay().spans.spans if span.partition == seen.partition)
    at = replace(offsets, start=seen.offset, end=seen.offset + 1)
    by_offset = loaded.replay(REPAIR, offsets=(at,))
    assert (by_offset.messages, by_offset.changed.batches) == (1, 1)
    assert loaded.replay(delivery_id=loaded.manifest.delivery_id).deliveries[0].states["not in the ledger"] == 1
    assert unbooked not in dict(loaded.ledger())


def test_a_point_in_time_takes_what_came_since(loaded):
    time.sleep(0.05)
    moment = datetime.now(UTC)
    time.sleep(0.05)
    first = loaded.manifest
    second = loaded.deliver(loaded.bulk.lines("positions")[200:260])
    loaded.load()
    since, before = loaded.replay(since=moment), loaded.replay(since=first.produced_at.replace(year=2020), until=moment)
    assert [finding.delivery_id for finding in since.deliveries] == [second.delivery_id]
    assert [finding.delivery_id for finding in before.deliveries] == [first.delivery_id]
    assert (since.right, before.right) == (True, True)


def test_a_repair_beside_a_live_load_of_the_same_messages_loads_each_once(desk):
    desk.deliver(desk.bulk.lines("positions")[:200])
    [pending] = desk.replay().deliveries
    assert pending.states == {"not loaded yet": desk.manifest.batches}

    def live(one):
        with open_warehouse(desk.settings.warehouse) as own:
            return cycle.load(desk.settings, own, desk.feed, one)

    ranges = cycle.plan(desk.settings, desk.connection, desk.feed, desk.manifest, max_ranges=2)
    with ThreadPoolExecutor(2) as pool:
        loads = [pool.submit(live, one) for one in ranges]
        desk.replay(REPAIR)
        for load in loads:
            load.result()
    assert validate_delivery(desk.connection, desk.feed, desk.manifest).failures == ()
    assert len(desk.ledger()) == desk.manifest.batches
    assert cycle.plan(desk.settings, desk.connection, desk.feed, desk.manifest) == ()


def _rebuild_and_die(settings, feed):
    def on_step(step):
        if step is Step.COMMITTING:
            os.kill(os.getpid(), signal.SIGKILL)

    with open_warehouse(settings.warehouse) as own:
        replay(settings, own, feed, Selection(business_date=DAY), REBUILD, on_step=on_step)


def test_a_rebuild_killed_before_its_commit_leaves_the_old_rows_and_one_that_ends_gives_the_same(loaded):
    before, books, live = loaded.tables(), loaded.ledger(), loaded.live()
    process = multiprocessing.get_context("spawn").Process(target=_rebuild_and_die, args=(loaded.settings, loaded.feed))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert (loaded.tables(), loaded.ledger()) == (before, books)

    dry = loaded.replay(replace(REBUILD, dry_run=True))
    assert (dry.to_delete, dry.to_load) == (200, loaded.manifest.batches)
    rebuilt = loaded.replay(REBUILD)
    assert (rebuilt.changed.deleted_rows, rebuilt.changed.records, rebuilt.right) == (200, 200, True)
    assert (loaded.tables(), loaded.ledger(), loaded.live()) == (before, books, live)


def test_a_rebuild_into_a_side_schema_equals_the_tables_and_leaves_them_alone(loaded):
    before, books = loaded.tables(), loaded.ledger()
    for _ in range(2):
        loaded.replay(replace(REBUILD, schema="IHUB_REBUILD"))
        assert loaded.tables("FEEDLINE.IHUB_REBUILD") == before
    assert (loaded.tables(), loaded.ledger()) == (before, books)
    with pytest.raises(ConfigurationError, match="live tables"):
        replace(REBUILD, schema="CONTROL")


def test_what_left_the_topic_is_told_and_comes_back_from_the_archive(loaded):
    before = loaded.tables()
    loaded.damage()
    loaded.bulk.expire(loaded.feed.topic.name)
    with pytest.raises(OffsetsExpiredError, match=r"older than the topic's retention.*from-archive"):
        loaded.replay(REPAIR)
    landed = archived(loaded.settings.archive_folder, loaded.feed.name, DAY)
    for path in loaded.settings.landing.rglob("*"):
        if path.is_file():
            path.unlink()
    told = loaded.replay(replace(REPAIR, from_archive=True, dry_run=True))
    assert landed.control.delivery.delivery_id in told.notes[0]
    repaired = loaded.replay(replace(REPAIR, from_archive=True))
    assert (repaired.changed.batches, repaired.right) == (3, True)
    assert loaded.tables() == before
    assert cycle.find_delivery(loaded.settings, loaded.feed, DAY).control == landed.control


def test_the_delivery_that_landed_last_is_the_one_that_shows(desk):
    lines = desk.bulk.lines("positions")[:40]

    def land(records):
        desk.deliver(records)
        desk.load()
        return desk.manifest.delivery_id

    def shown():
        view = data_table(current_view(desk.feed.table))
        return {row[0] for row in desk.query(f'SELECT DISTINCT "_DELIVERY_ID" FROM {view}')}

    def source():
        return cycle.find_delivery(desk.settings, desk.feed, DAY)

    first = land(lines)
    assert cycle.standing(desk.settings, desk.feed, source()).delivery_id == first
    second = desk.deliver([*lines[1:], lines[0]]).delivery_id
    # It is the date's from now on, and nobody has loaded it.
    announced = announced_deliveries(desk.settings, desk.feed, DAY, Cycle.EOD).values()
    [status] = delivery_status(desk.connection, [desk.feed], DAY, announced=announced)
    assert (status.delivery_id, status.status) == (second, "UNCHECKED")
    desk.load()
    assert shown() == {second}
    # Its sender goes back to the first.
    desk.bulk.land(desk.feed.name, desk.bulk.text(lines))
    assert cycle.standing(desk.settings, desk.feed, source()) is None
    assert land(lines) == first
    assert shown() == {first}
    assert archived(desk.settings.archive_folder, desk.feed.name, DAY).control.delivery.delivery_id == first
    # A repair of the other puts it right, and not in front.
    [key] = desk.query(f"SELECT MIN(CORRELATION_ID) FROM {LOAD_LEDGER} WHERE DELIVERY_ID = '{second}'")
    desk.query(f"DELETE FROM {LOAD_LEDGER} WHERE CORRELATION_ID = '{key[0]}'")
    repaired = desk.replay(replace(REPAIR, from_archive=True), delivery_id=second)
    assert (repaired.changed.batches, repaired.right) == (1, True)
    assert shown() == {first}
    assert archived(desk.settings.archive_folder, desk.feed.name, DAY).control.delivery.delivery_id == first
    # Nor does it come in front when somebody loads the date, or validates the other by its id.
    assert cycle.standing(desk.settings, desk.feed, source()).delivery_id == first
    desk.manifest = cycle.delivered(desk.settings, desk.feed, DAY)
    desk.load()
    desk.manifest = cycle.delivered(desk.settings, desk.feed, DAY, delivery_id=second)
    desk.load()
    assert shown() == {first}
    # Even when only the archive knows that it came before.
    desk.bulk.expire(desk.feed.topic.name)
    desk.query(f"DELETE FROM {DELIVERY} WHERE DELIVERY_ID = '{second}'")
    desk.replay(replace(REPAIR, from_archive=True), delivery_id=second)
    desk.manifest = cycle.delivered(desk.settings, desk.feed, DAY)
    desk.load()
    assert (desk.manifest.delivery_id, shown()) == (second, {first})


def test_rows_of_a_delivery_that_was_never_finished_are_named_and_can_be_taken_out(desk):
    strict = Desk(desk.settings, desk.connection, replace(desk.feed, errors=ErrorLimit(0, 0)), desk.bulk)
    lines = desk.bulk.lines("positions")
    with pytest.raises(ErrorLimitExceededError) as stopped:
        strict.deliver([*lines[:100], b"bad"])
    stopped_id = stopped.value.where.delivery_id
    strict.deliver(lines[:100])
    strict.load()
    loaded_of = dict(desk.query(f'SELECT "_DELIVERY_ID", COUNT(*) FROM {data_table(desk.feed.table)} GROUP BY 1'))
    assert loaded_of == {stopped_id: 100, strict.manifest.delivery_id: 100}

    report = desk.replay()
    assert (report.orphans, report.right) == ({stopped_id: 100}, False)
    with pytest.raises(ConfigurationError, match=r"never finished.*drop-incomplete"):
        desk.replay(REBUILD, delivery_id=stopped_id)
    dropped = desk.replay(replace(REBUILD, drop_incomplete=True), delivery_id=stopped_id)
    assert dropped.changed.deleted_rows == 100
    report = desk.replay()
    assert (report.orphans, report.right) == ({}, True)
