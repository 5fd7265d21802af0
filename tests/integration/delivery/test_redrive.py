"""Bad records listed, exported, corrected and sent again: once, and then the delivery's books balance."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from confluent_kafka import Producer

from feedline import cycle
from feedline.catalog import Catalog
from feedline.consumer.error_counts import errors_by_delivery
from feedline.errors import ControlMismatchError, SchemaMismatchError
from feedline.kafka.config import producer_config
from feedline.redrive import plan as planning
from feedline.redrive.correction_file import export_line
from feedline.redrive.plan import errors_of
from feedline.redrive.run import check, send, settle
from feedline.redrive.states import ErrorState, ErrorStates
from feedline.redrive.stored_error import Selection
from feedline.replay.run import ReplayOptions, replay
from feedline.replay.selection import Mode
from feedline.replay.selection import Selection as Replayed
from feedline.warehouse.connection import Session
from feedline.warehouse.error_books import dismiss
from feedline.warehouse.load import Step
from feedline.warehouse.names import LOAD_LEDGER, data_table
from feedline.warehouse.provision import provision_tables
from feedline.warehouse.status import delivery_status
from feedline.warehouse.validate import validate_delivery

DAY = date(2026, 11, 20)
PROCESS = Path(__file__).with_name("redrive_process.py")
GOOD = 60


@pytest.fixture
def settings(settings, warehouse_settings):
    return replace(settings, warehouse=warehouse_settings.warehouse)


@pytest.fixture
def feed(topics, connection):
    """Positions under a name, a topic and tables of this test alone, in batches of 20 records."""
    shipped = topics.feed("positions")
    name = f"positions_{shipped.topic.name.rsplit('.', 1)[-1]}"
    feed = replace(shipped, name=name, batch=replace(shipped.batch, max_records=20))
    provision_tables(connection, Catalog({name: feed}))
    return feed


class Desk:
    """An analyst's, with one feed."""

    def __init__(self, settings, connection, feed, folder):
        self.settings, self.connection, self.feed, self.folder = settings, connection, feed, folder
        self.catalog = Catalog({feed.name: feed})

    def load(self, manifest):
        for one in cycle.plan(self.settings, self.connection, self.feed, manifest):
            cycle.load(self.settings, self.connection, self.feed, one)
        return validate_delivery(self.connection, self.feed, manifest)

    def errors(self, **chosen):
        return list(errors_of(self.settings, self.catalog, Selection(**chosen)))

    def states(self):
        states = ErrorStates(self.connection)
        return [states.state(error) for error in self.errors()]

    def export(self):
        return [json.loads(export_line(error), parse_float=Decimal) for error in self.errors()]

    def file(self, lines, name="corrected.jsonl"):
        path = self.folder / name
        path.write_text("".join(json.dumps(line, default=str) + "\n" for line in lines), encoding="utf-8")
        return path

    def redrive(self, source, by="ada"):
        found = check(self.settings, self.connection, self.catalog, source)
        sent = send(self.settings, self.connection, self.catalog, found, requested_by=by)
        return [settle(self.settings, self.connection, self.feed, one) for one in sent]

    def status(self):
        on_topic = errors_by_delivery(self.settings.kafka, self.feed.topic.error_topic)
        [row] = delivery_status(self.connection, [self.feed], DAY, errors_on_topic=on_topic)
        return row

    def rows(self):
        sql = f'SELECT COUNT(*), COUNT(DISTINCT "_CORRELATION_ID", "_RECORD_INDEX") FROM {data_table(self.feed.table)}'
        with self.connection.cursor() as cursor:
            [(rows, distinct)] = cursor.execute(sql).fetchall()
        assert rows == distinct
        return rows

    def ledger(self):
        sql = f"SELECT STATUS, COUNT(*) FROM {LOAD_LEDGER} WHERE FEED = '{self.feed.name}' GROUP BY STATUS"
        with self.connection.cursor() as cursor:
            return dict(cursor.execute(sql).fetchall())


@pytest.fixture
def desk(settings, connection, feed, tmp_path):
    return Desk(settings, connection, feed, tmp_path)


@pytest.fixture
def spoiled(bulk, desk):
    """A loaded delivery of 60 records and 3 bad lines, with what those should have been."""
    lines = bulk.lines("positions")[: GOOD + 3]
    right = lines[:3]
    bad = [
        right[0].replace(b'"fund_id":', b'"found_id":', 1),
        right[1].replace(b'"', b'"\xff\xfe', 1),
        right[2][: len(right[2]) // 2],
    ]
    content = [bad[0], *lines[3:30], bad[1], *lines[30:], bad[2]]
    manifest = bulk.produce(desk.feed, bulk.land(desk.feed.name, bulk.text(content)))
    assert desk.load(manifest).failures == ()
    return manifest, bad, [json.loads(line, parse_float=Decimal) for line in right]


def test_bad_lines_are_exported_corrected_redriven_and_the_books_balance(desk, spoiled):
    manifest, bad, right = spoiled
    assert [error.value for error in desk.errors()] == bad
    exported = desk.export()
    assert [line["line"] for line in exported] == [1, 29, 63]
    assert base64.b64decode(exported[1]["originalBase64"]) == bad[1]
    assert exported[2]["original"].encode() == bad[2]
    assert exported[0]["record"]["found_id"]
    before = desk.status()
    assert Decimal(before.control_totals["quantity"]) == manifest.control_totals["quantity"]
    assert before.redrives == ()
    assert (before.loaded, before.errors, before.redriven, before.complete) == (GOOD, 3, 0, True)

    # One of three is corrected first, then the file of all of them is given.
    first = desk.file([{**exported[1], "record": right[1]}], "first.jsonl")
    assert [one.loaded_records for one in desk.redrive(first)] == [1]
    everything = desk.file([{**line, "record": record} for line, record in zip(exported, right, strict=True)])
    [settled] = desk.redrive(everything, by="grace")
    assert (settled.loaded_records, settled.report.failures) == (2, ())
    assert desk.states() == [ErrorState.REDRIVEN] * 3

    after = desk.status()
    assert (after.loaded, after.errors, after.error_topic_records, after.redriven) == (GOOD + 3, 0, 0, 3)
    assert after.complete
    assert manifest.source_records == after.loaded == desk.rows()
    # What the sender's file would add up to, had it been right.
    corrected = sum(Decimal(str(record["quantity"])) for record in right)
    assert Decimal(after.control_totals["quantity"]) == manifest.control_totals["quantity"] + corrected
    told = [(request.requested_by, request.how, request.records) for request in after.redrives]
    assert told == [("ada", "corrected by first.jsonl", 1), ("grace", "corrected by corrected.jsonl", 2)]
    [asked] = ErrorStates(desk.connection).redrives(desk.errors()[0])
    assert (asked.requested_by, asked.records) == ("grace", 1)

    ledger = desk.ledger()
    [again] = desk.redrive(everything)
    assert (again.loaded_records, again.report.passed) == (0, True)
    assert (desk.ledger(), desk.rows(), desk.status().balanced) == (ledger, GOOD + 3, True)
    assert desk.status().redrives == after.redrives


def test_a_correction_that_is_still_bad_is_refused_with_line_and_field_and_nothing_is_sent(desk, spoiled, bulk):
    _, _, right = spoiled
    exported = desk.export()
    lying = len(bulk.read_topic(desk.feed.topic.name))
    good = {**exported[1], "record": right[1]}
    bad = {**exported[0], "record": {**right[0], "quantity": "many"}}
    with pytest.raises(SchemaMismatchError, match="nothing was sent: line 2: quantity") as caught:
        desk.redrive(desk.file([good, bad]))
    assert (caught.value.where.line, caught.value.where.field) == (2, "quantity")
    with pytest.raises(SchemaMismatchError, match="corrected in line 1 already"):
        desk.redrive(desk.file([good, good]))
    with pytest.raises(SchemaMismatchError, match="no such error"):
        desk.redrive(desk.file([{**good, "correlationId": "another"}]))
    with pytest.raises(SchemaMismatchError, match="has no record") as caught:
        desk.redrive(desk.file([good, exported[2]]))
    assert caught.value.where.line == 2
    loaded = json.loads(bulk.lines("positions")[3], parse_float=Decimal)
    with pytest.raises(
        SchemaMismatchError, match=r"line 1: .*the delivery has a record with the business key"
    ) as caught:
        desk.redrive(desk.file([{**exported[0], "record": loaded}, good]))
    assert caught.value.where.line == 1
    assert len(bulk.read_topic(desk.feed.topic.name)) == lying
    assert desk.states() == [ErrorState.OPEN] * 3


def test_a_redrive_killed_after_sending_and_two_at_once_load_each_record_once(desk, spoiled, tmp_path):
    _, _, right = spoiled
    file = desk.file([{**line, "record": record} for line, record in zip(desk.export(), right, strict=True)])

    def start(kill, number):
        job = {
            "feed": desk.feed.name,
            "topic": desk.feed.topic.name,
            "partitions": desk.feed.topic.partitions,
            "kafka": dict(desk.settings.kafka),
            "registry": dict(desk.settings.registry),
            "warehouse": dict(desk.settings.warehouse),
            "file": str(file),
            "kill": kill,
        }
        path = tmp_path / f"job-{number}.json"
        path.write_text(json.dumps(job), encoding="utf-8")
        return subprocess.Popen([sys.executable, str(PROCESS), str(path)], stdout=subprocess.PIPE, text=True)

    killed = start(kill=True, number=0)
    killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert desk.states() == [ErrorState.OPEN] * 3
    assert desk.status().balanced

    both = [start(kill=False, number=number) for number in (1, 2)]
    outcomes = [json.loads(process.communicate(timeout=120)[0])[0] for process in both]
    assert [passed for _, passed in outcomes] == [True, True]
    assert sum(records for records, _ in outcomes) == 3
    assert desk.rows() == GOOD + 3
    assert (desk.status().redriven, desk.status().complete) == (3, True)


def test_one_that_looks_while_another_redrive_ends_finds_nothing_left_to_do(desk, spoiled, monkeypatch):
    _, _, right = spoiled
    file = desk.file([{**line, "record": record} for line, record in zip(desk.export(), right, strict=True)])
    look = planning.keys_in_table

    def late(*arguments):
        monkeypatch.setattr(planning, "keys_in_table", look)
        [settled] = desk.redrive(file)
        assert settled.loaded_records == 3
        return look(*arguments)

    monkeypatch.setattr(planning, "keys_in_table", late)
    found = check(desk.settings, desk.connection, desk.catalog, file)
    assert (found.records, len(found.redriven), found.refused) == (0, 3, ())
    assert desk.rows() == GOOD + 3


def corrections(desk, right):
    return desk.file([{**line, "record": record} for line, record in zip(desk.export(), right, strict=True)])


def test_a_rebuild_keeps_records_that_are_redriven_while_it_reads(desk, spoiled):
    _, _, right = spoiled
    file, told = corrections(desk, right), []

    def on_step(step):
        if step is Step.STAGED and not told:
            told.extend(desk.redrive(file))

    rebuild = ReplayOptions(mode=Mode.REBUILD)
    report = replay(desk.settings, desk.connection, desk.feed, Replayed(business_date=DAY), rebuild, on_step=on_step)
    assert [one.loaded_records for one in told] == [3]
    assert (report.changed.spared, report.changed.records, report.right) == (3, GOOD, True)
    assert desk.rows() == GOOD + 3
    assert (desk.status().redriven, desk.status().complete, desk.status().balanced) == (3, True, True)


def test_a_rebuild_from_the_archive_keeps_corrected_records_that_have_left_the_topic(desk, spoiled, bulk):
    _, _, right = spoiled
    assert cycle.archive(desk.settings, cycle.find_delivery(desk.settings, desk.feed, DAY))
    desk.redrive(corrections(desk, right))
    bulk.expire(desk.feed.topic.name)
    for mode, changed in ((Mode.REBUILD, GOOD), (Mode.VERIFY, 0)):
        options = ReplayOptions(mode=mode, from_archive=mode is Mode.REBUILD)
        report = replay(desk.settings, desk.connection, desk.feed, Replayed(business_date=DAY), options)
        assert (report.changed.records, report.right) == (changed, True)
        assert "3 messages of corrected records have left the topic" in " ".join(report.notes)
    assert desk.rows() == GOOD + 3
    assert (desk.status().redriven, desk.status().complete) == (3, True)


def test_a_refused_batch_is_redriven_as_it_is_once_the_catalogue_knows_its_field(desk, bulk, connection, settings):
    """The client sends a new field before the catalogue that loads has it; one micro-batch of several holds it."""
    narrow = replace(desk.feed, serialization="json")
    fields = [*narrow.schema["fields"], {"name": "desk_note", "type": ["null", "string"], "default": None}]
    wide = replace(narrow, schema={**narrow.schema, "fields": fields})
    lines = bulk.lines("positions")[:GOOD]
    lines[30] = lines[30][:-1] + b', "desk_note": "na\xc3\xafve"}'
    manifest = bulk.produce(wide, bulk.land(wide.name, bulk.text(lines)))
    loader = Desk(settings, connection, narrow, desk.folder)
    assert not loader.load(manifest).passed
    [error] = loader.errors()
    assert (error.error_code, error.field_path, error.is_line) == ("CorruptBatchError", "desk_note", False)
    records = error.records
    assert 1 < records < GOOD
    assert error.value in {m.value for m in bulk.read_topic(desk.feed.topic.name)}
    lying = [m for m in bulk.read_topic(desk.feed.topic.name) if m.value == error.value]
    assert [(error.origin.partition, error.origin.offset)] == [(m.partition, m.offset) for m in lying]
    [exported] = loader.export()
    assert (exported["recordCount"], exported["records"]) == (records, None)
    assert (
        exported.get("original", "").encode() == error.value
        or base64.b64decode(exported["originalBase64"]) == error.value
    )
    assert (loader.status().errors, loader.status().balanced, loader.status().complete) == (records, True, False)

    delivery = Selection(delivery_id=manifest.delivery_id)
    still = check(settings, connection, loader.catalog, delivery)
    assert (still.errors, [one.field_path for one in still.refused]) == ({}, ["desk_note"])

    fixed = Desk(settings, connection, wide, desk.folder)
    provision_tables(connection, fixed.catalog)
    [settled] = fixed.redrive(delivery)
    assert (settled.loaded_records, settled.report.failures) == (records, ())
    assert (fixed.rows(), fixed.status().errors, fixed.status().redriven) == (GOOD, 0, records)
    assert fixed.status().complete
    assert [one.loaded_records for one in fixed.redrive(delivery)] == [0]


def test_a_dismissed_error_stays_an_error_in_the_books_and_is_not_sent_as_it_is(desk, spoiled):
    manifest, _, _ = spoiled
    error = desk.errors()[0]
    session = Session(desk.connection)
    named = [(error.error_id, error.delivery_id, 1)]
    assert dismiss(session, desk.feed, named, reason="it's the custodian's test", by="ops") == 1
    assert dismiss(session, desk.feed, named, reason="again", by="somebody else") == 0
    assert desk.states() == [ErrorState.DISMISSED, ErrorState.OPEN, ErrorState.OPEN]
    dismissal = ErrorStates(desk.connection).dismissal(error)
    assert (dismissal.reason, dismissal.by) == ("it's the custodian's test", "ops")
    plan = check(desk.settings, desk.connection, desk.catalog, Selection(delivery_id=manifest.delivery_id))
    assert (plan.errors, plan.dismissed, len(plan.refused)) == ({}, 1, 2)
    assert (desk.status().errors, desk.status().balanced) == (3, True)


def test_what_has_no_delivery_or_an_unfinished_one_is_listed_and_not_redriven(desk, bulk, settings):
    producer = Producer(producer_config(settings.kafka))
    name = desk.feed.name.encode()
    producer.produce(
        desk.feed.topic.error_topic, b"\x00\xff", headers=[("feed", name), ("errorCode", b"X"), ("a", None)]
    )
    unfinished = [
        ("correlationId", b"e-1"),
        ("feed", name),
        ("businessDate", b"2026-11-20"),
        ("cycle", b"EOD"),
        ("deliveryId", b"never-completed"),
        ("line", b"1"),
    ]
    producer.produce(desk.feed.topic.error_topic, b"{}", headers=unfinished)
    producer.close()
    nameless, line = desk.errors()
    assert (nameless.value, nameless.delivery, dict(nameless.headers)["a"]) == (b"\x00\xff", None, None)
    assert nameless.error_id == desk.errors()[0].error_id
    plan = check(settings, desk.connection, desk.catalog, Selection(error_ids=frozenset({nameless.error_id})))
    assert "does not say which micro-batch" in plan.refused[0].reason
    corrected = desk.file(
        [{"correlationId": line.error_id, "record": json.loads(bulk.lines("positions")[0], parse_float=Decimal)}]
    )
    with pytest.raises(ControlMismatchError, match="never completed"):
        desk.redrive(corrected)
