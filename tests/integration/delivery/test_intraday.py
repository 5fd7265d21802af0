"""A day that comes in parts: small deliveries and single records while it lasts, then its end."""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import replace
from datetime import date, timedelta

import pytest

from feedline import FeedProducer, cycle
from feedline import cycle_intraday as intraday
from feedline.batch.control_file import control_path, intraday_control_paths, read_control_file
from feedline.batch.identity import Cycle
from feedline.catalog import Catalog
from feedline.datagen import IntradayShare, generate_day
from feedline.producer.intraday_files import landed_deliveries
from feedline.replay.run import ReplayOptions, replay
from feedline.replay.selection import Mode, Selection
from feedline.warehouse.connection import Session
from feedline.warehouse.names import DELIVERY, current_view, data_table
from feedline.warehouse.provision import provision_tables
from feedline.warehouse.status import delivery_status
from feedline.warehouse.validate import validate_delivery

FEED = "transactions"
_days = itertools.count(1)


@pytest.fixture
def settings(settings, warehouse_settings, tmp_path):
    return replace(settings, warehouse=warehouse_settings.warehouse, landing=tmp_path / "landing")


@pytest.fixture
def books():
    """A business date of this test alone: the tables are shared."""
    return date(2026, 11, next(_days))


@pytest.fixture
def feed(topics, connection):
    """Transactions on a topic of this test alone, which their checkpoints go by."""
    feed = topics.feed(FEED)
    provision_tables(connection, Catalog({FEED: feed}))
    return feed


@pytest.fixture
def source(settings, feed, books):
    """Generates the day, a quarter of it intraday; its records in all."""

    def generate(**share):
        generate_day(
            Catalog({FEED: feed}),
            business_date=books,
            funds=2,
            seed=4,
            out=settings.landing,
            intraday=IntradayShare(**{"share": 0.25, "deliveries": 3, **share}),
        )
        controls = (*intraday_control_paths(settings.landing, FEED, books), control_path(settings.landing, FEED, books))
        return [read_control_file(control).records for control in controls]

    return generate


def one_pass(settings, connection, feed, books, landed=None):
    """What the Dag's tasks of a feed do one after the other."""
    landed = landed_deliveries(settings.landing, FEED, books) if landed is None else landed
    announced = intraday.announced_deliveries(settings, feed, books)
    _, refused = intraday.produce_landed(settings, feed, landed, announced)
    for part in intraday.plan_what_is_there(settings, connection, feed):
        cycle.load(settings, connection, feed, part)
    return intraday.validate_day_so_far(settings, connection, feed, books), refused


def end_of_day(settings, connection, feed, books):
    manifest = cycle.produce(settings, feed, books)
    for part in cycle.plan(settings, connection, feed, manifest):
        cycle.load(settings, connection, feed, part)
    validate_delivery(connection, feed, manifest).raise_for_failures()


def by_cycle(connection, table, books):
    """Rows of the date in a table or view, by cycle, and of both how many different records they are."""
    record = '"_CORRELATION_ID" || "_RECORD_INDEX"'
    with connection.cursor() as cursor:
        query = f'SELECT "_CYCLE", COUNT(*), COUNT(DISTINCT {record}) FROM {data_table(table)}'
        found = cursor.execute(f"{query} WHERE \"_BUSINESS_DATE\" = '{books}' GROUP BY 1").fetchall()
    assert all(count == different for _, count, different in found)
    return {name: count for name, count, _ in found}


def test_the_end_of_day_completes_what_came_during_it_without_a_duplicate(settings, connection, feed, books, source):
    *early, rest = source()
    landed = landed_deliveries(settings.landing, FEED, books)
    first, _ = one_pass(settings, connection, feed, books, landed[:1])
    assert (first.complete, first.open, first.records) == (1, 0, early[0])
    for _ in range(2):
        so_far, _ = one_pass(settings, connection, feed, books)
        assert (so_far.complete, so_far.open, so_far.records) == (3, 0, sum(early))
    end_of_day(settings, connection, feed, books)
    again, _ = one_pass(settings, connection, feed, books)
    assert again.records == sum(early)
    whole = {"INTRADAY": sum(early), "EOD": rest}
    assert by_cycle(connection, feed.table, books) == whole == by_cycle(connection, current_view(feed.table), books)


def test_the_status_of_a_date_shows_every_intraday_delivery_and_the_end_of_day(
    settings, connection, feed, books, source
):
    *early, rest = source()

    def status():
        announced = intraday.announced_deliveries(settings, feed, books).values()
        rows = delivery_status(connection, [feed], books, announced=announced)
        return [(row.cycle, row.status, row.source_records, row.loaded) for row in rows]

    landed = landed_deliveries(settings.landing, FEED, books)
    intraday.produce_landed(settings, feed, landed[:1], {})
    assert status() == [("INTRADAY", "UNCHECKED", early[0], 0), ("EOD", "MISSING", 0, 0)]
    one_pass(settings, connection, feed, books)
    small = [("INTRADAY", "COMPLETE", records, records) for records in early]
    assert status() == [*small, ("EOD", "MISSING", 0, 0)]
    end_of_day(settings, connection, feed, books)
    assert status() == [*small, ("EOD", "COMPLETE", rest, rest)]


def test_an_end_of_day_with_the_whole_day_again_shows_each_record_once(settings, connection, feed, books, source):
    *early, whole = source(full_eod=True)
    one_pass(settings, connection, feed, books)
    end_of_day(settings, connection, feed, books)
    # An intraday delivery that is produced once more after the end of day does not take its place.
    intraday.produce_landed(settings, feed, landed_deliveries(settings.landing, FEED, books), {})
    one_pass(settings, connection, feed, books)
    assert by_cycle(connection, feed.table, books) == {"INTRADAY": sum(early), "EOD": whole}
    assert by_cycle(connection, current_view(feed.table), books) == {"EOD": whole}


def test_an_intraday_delivery_comes_back_from_the_archive(settings, connection, feed, books, source):
    *early, _ = source()
    one_pass(settings, connection, feed, books)
    ids = sorted(intraday.announced_deliveries(settings, feed, books))
    for path in settings.landing.rglob("*"):
        if path.is_file():
            path.unlink()
    gone = f"WHERE \"_DELIVERY_ID\" = '{ids[0]}'"
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {data_table(feed.table)} {gone}")
    options = ReplayOptions(mode=Mode.REPAIR, from_archive=True)
    report = replay(settings, connection, feed, Selection(delivery_id=ids[0]), options)
    assert (report.produced, report.right) == (ids[0], True)
    assert report.changed.batches > 0
    assert by_cycle(connection, feed.table, books) == {"INTRADAY": sum(early)}


def in_utf_16(control):
    """Writes a delivery's file, and its control file with it, as some program has that knows no other encoding."""
    document = json.loads(control.read_text(encoding="utf-8"))
    entry = document["files"][0]
    file = control.with_name(entry["name"])
    file.write_bytes(file.read_bytes().decode().encode("utf-16"))
    entry |= {"bytes": file.stat().st_size, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    control.write_text(json.dumps(document), encoding="utf-8")


def test_a_delivery_that_cannot_be_used_holds_up_no_other(settings, connection, feed, books, source):
    *early, _ = source(deliveries=4)
    first, second, third, _ = intraday_control_paths(settings.landing, FEED, books)
    first.write_text("{")
    file = second.with_name(read_control_file(second).files[0].name)
    file.write_bytes(file.read_bytes().replace(b"1", b"2", 1))
    in_utf_16(third)
    so_far, refused = one_pass(settings, connection, feed, books)
    assert (so_far.complete, so_far.records) == (1, early[3])
    assert "cannot be read" in refused[0]
    assert "SHA-256" in refused[1]
    assert "UTF-8" in refused[2]


def test_a_delivery_that_is_closed_when_its_rows_are_loaded_is_validated_all_the_same(
    settings, connection, feed, books, *, bulk, caplog
):
    next_day = books + timedelta(days=1)
    ours = {"feedline.catalog": Catalog({FEED: feed}), "feedline.registry": dict(settings.registry)}
    ours |= {"feedline.register.schemas": True, "feedline.business.date": books, "feedline.cycle": "INTRADAY"}

    def waiting():
        announced = intraday.announced_deliveries(settings, feed, books)
        return len(intraday.unchecked(Session(connection), books, announced))

    with FeedProducer({**settings.kafka, **ours}) as producer:
        for line in bulk.lines(FEED)[:20]:
            producer.produce(feed.topic.name, line)
        producer.flush()
        open_day, _ = one_pass(settings, connection, feed, books)
        assert (open_day.open, open_day.records, waiting()) == (1, 20, 0)
        assert intraday.validate_left_open(settings, connection, feed, next_day) == ()
        assert "no manifest on the topic closes it" in caplog.text
        producer.complete_delivery(FEED, records=20)
    # Only a manifest lies beyond the checkpoints: there is nothing to load.
    assert not intraday.has_unloaded(settings, feed, intraday.positions(settings, connection, feed))
    assert waiting() == 1
    # A pass of a later day takes it up when none of its own day does.
    [left] = intraday.left_open(settings, connection, feed, next_day)
    assert (left.business_date, left.manifest.records) == (books, 20)
    assert intraday.left_open(settings, connection, feed, books) == []
    for validate, day in ((intraday.validate_left_open, next_day), (intraday.validate_closed, books)):
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {DELIVERY} WHERE BUSINESS_DATE = '{books}'")
        [report] = validate(settings, connection, feed, day)
        assert report.passed
        assert (waiting(), validate(settings, connection, feed, day)) == (0, ())
    assert by_cycle(connection, current_view(feed.table), books) == {Cycle.INTRADAY.value: 20}


def test_records_that_a_program_produces_are_loaded_before_their_delivery_is_closed(
    settings, connection, feed, books, bulk
):
    lines = bulk.lines(FEED)[:30]
    ours = {"feedline.catalog": Catalog({FEED: feed}), "feedline.registry": dict(settings.registry)}
    ours |= {"feedline.register.schemas": True, "feedline.business.date": books, "feedline.cycle": "INTRADAY"}
    aged = replace(feed, batch=replace(feed.batch, max_age_s=0.2))
    ours["feedline.catalog"] = Catalog({FEED: aged})
    with FeedProducer({**settings.kafka, **ours}) as producer:
        acknowledged = []
        for line in lines[:20]:
            producer.produce(feed.topic.name, line, on_delivery=lambda error, _: acknowledged.append(error))
        # No flush: the batch is far from full, and its age alone sends it.
        for _ in range(300):
            if len(acknowledged) == 20:
                break
            producer.poll(0.1)
        assert acknowledged == [None] * 20
        open_day, _ = one_pass(settings, connection, feed, books)
        assert (open_day.complete, open_day.open, open_day.records) == (0, 1, 20)
        open_day.raise_for_failures()
        for line in lines[20:]:
            producer.produce(feed.topic.name, line)
        producer.complete_delivery(FEED, records=30)
        closed, _ = one_pass(settings, connection, feed, books)
    assert (closed.complete, closed.open, closed.records) == (1, 0, 30)
    assert by_cycle(connection, current_view(feed.table), books) == {Cycle.INTRADAY.value: 30}
