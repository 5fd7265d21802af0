"""The status of a business date: nothing is lost, and what is missing shows, to people and to scripts."""

from __future__ import annotations

import hashlib
import json
import shutil
from base64 import b64decode
from collections import Counter
from datetime import date
from functools import partial

import pytest
from click.testing import CliRunner
from confluent_kafka import Producer

from feedline import cycle
from feedline.batch.control_file import control_path
from feedline.batch.headers import AVRO, BatchHeaders
from feedline.batch.identity import Cycle
from feedline.catalog import default_catalog_path, load_catalog
from feedline.cli.main import main
from feedline.consumer.error_counts import error_counts
from feedline.datagen import generate_day
from feedline.kafka.admin import admin_client, ensure_topics
from feedline.settings import load_settings

DAY = date(2026, 11, 20)
FEEDS = ("ledger_balances", "snapshots")


@pytest.fixture
def desk(warehouse_settings, catalog, tmp_path, monkeypatch):
    """Settings in a file, as `feedline` reads them, with a catalogue on this test's topic and a day's files landed."""
    [topic] = catalog.topics()
    include = tmp_path / "include"
    shutil.copytree(default_catalog_path().parent, include)
    feeds = include / "feeds.yaml"
    [shipped] = load_catalog(feeds).topics()
    feeds.write_text(feeds.read_text(encoding="utf-8").replace(shipped.name, topic.name), encoding="utf-8")
    file = tmp_path / "settings.json"
    document = {
        "kafka": dict(warehouse_settings.kafka),
        "registry": dict(warehouse_settings.registry),
        "warehouse": dict(warehouse_settings.warehouse),
        "landing": str(tmp_path / "landing"),
        "catalog": str(feeds),
        "replication_factor": warehouse_settings.replication_factor,
    }
    file.write_text(json.dumps(document), encoding="utf-8")
    monkeypatch.setenv("FEEDLINE_SETTINGS", str(file))
    ensure_topics(admin_client(warehouse_settings.kafka), [topic], warehouse_settings.replication_factor)
    settings = load_settings()
    generate_day(load_catalog(feeds), business_date=DAY, funds=2, seed=7, out=settings.landing, feeds=FEEDS)
    return settings


def feedline(*arguments):
    return CliRunner().invoke(main, [*arguments, "--business-date", DAY.isoformat(), "--feeds", ",".join(FEEDS)])


def statuses(*arguments):
    """Exit code, and what is printed as JSON by feed."""
    result = feedline(*arguments, "--format", "json")
    return result.exit_code, {row["feed"]: row for row in json.loads(result.stdout)}


def spoil_a_record(settings, feed):
    """Adds a line that is no record, and says so in the control file, as a sender would that does not check."""
    control = control_path(settings.landing, feed, DAY)
    document = json.loads(control.read_text(encoding="utf-8"))
    [file] = document["files"]
    path = control.with_name(file["name"])
    path.write_bytes(path.read_bytes() + b'{"fund_id": 17}\n')
    file.update(
        bytes=path.stat().st_size, sha256=hashlib.sha256(path.read_bytes()).hexdigest(), records=file["records"] + 1
    )
    document["records"] += 1
    control.write_text(json.dumps(document), encoding="utf-8")


def test_a_day_shows_missing_then_unloaded_then_balanced_with_its_errors(desk):
    produce = partial(cycle.produce, desk, business_date=DAY)
    feeds = load_catalog(desk.catalog)
    spoil_a_record(desk, "ledger_balances")
    first = produce(feeds.feed("ledger_balances"))

    code, rows = statuses("load")
    assert code == 4
    assert rows["snapshots"]["status"] == "MISSING"
    assert rows["ledger_balances"]["balanced"]

    second = produce(feeds.feed("snapshots"))
    code, rows = statuses("delivery", "status")
    assert (code, rows["snapshots"]["status"], rows["snapshots"]["loaded"]) == (4, "UNCHECKED", 0)
    assert rows["snapshots"]["source_records"] == second.source_records

    assert statuses("load")[0] == 0
    code, rows = statuses("delivery", "status")
    assert code == 0
    ledger, snapshots = rows["ledger_balances"], rows["snapshots"]
    assert (ledger["status"], snapshots["status"]) == ("COMPLETE", "COMPLETE")
    assert (ledger["errors"], ledger["error_topic_records"]) == (1, 1)
    assert ledger["source_records"] == ledger["loaded"] + 1 == first.source_records
    assert snapshots["source_records"] == snapshots["loaded"] == second.records
    assert snapshots["seconds"] >= 0

    table = feedline("delivery", "status")
    assert table.exit_code == 0
    assert "COMPLETE" in table.stdout


def test_loading_a_day_again_changes_no_row(desk, connection):
    for name in FEEDS:
        cycle.produce(desk, load_catalog(desk.catalog).feed(name), DAY)
    assert statuses("load") == statuses("load")


def test_a_bad_record_is_worked_off_from_the_command_line(desk, tmp_path):
    spoil_a_record(desk, "ledger_balances")
    good = control_path(desk.landing, "ledger_balances", DAY)
    [file] = json.loads(good.read_text(encoding="utf-8"))["files"]
    first = good.with_name(file["name"]).read_bytes().splitlines()[0]
    for name in FEEDS:
        cycle.produce(desk, load_catalog(desk.catalog).feed(name), DAY)
    assert statuses("load")[0] == 0

    code, _ = _errors("list")
    assert code == 0
    _, [counted] = _errors("list", "--state", "open", "--format", "json")
    assert (counted["feed"], counted["error_code"], counted["errors"]) == ("ledger_balances", "SchemaMismatchError", 1)
    _, [error] = _errors("list", "--each", "--format", "json")
    shown = CliRunner().invoke(main, ["errors", "show", error["id"]])
    assert shown.exit_code == 0, shown.output
    assert "culprit: balance_id, which is not there" in shown.stdout

    export = tmp_path / "corrected.jsonl"
    assert _errors("export", "--business-date", DAY.isoformat(), "--file", str(export))[0] == 0
    assert _errors("export", "--file", str(export))[0] == 1
    line = json.loads(export.read_text(encoding="utf-8"))
    refused = CliRunner().invoke(main, ["errors", "redrive", "--file", str(export)])
    assert refused.exit_code == 1
    assert "line 1: balance_id" in refused.stderr

    # Another account: a record whose keys are in the delivery already would be refused.
    record = {**json.loads(first), "gl_account_code": "9999-NEW"}
    export.write_text(json.dumps({**line, "record": record}) + "\n", encoding="utf-8")
    code, dry = _errors("redrive", "--file", str(export), "--dry-run", "--format", "json")
    assert (code, dry["deliveries"][0]["errors"], dry["deliveries"][0]["status"]) == (0, 1, "dry run")
    code, done = _errors("redrive", "--file", str(export), "--format", "json")
    assert (code, done["deliveries"][0]["records_loaded"], done["deliveries"][0]["status"]) == (0, 1, "COMPLETE")
    _, rows = statuses("delivery", "status")
    ledger = rows["ledger_balances"]
    assert (ledger["errors"], ledger["redriven"], ledger["balanced"]) == (0, 1, True)
    assert _errors("list", "--state", "open", "--format", "json") == (0, [])
    assert CliRunner().invoke(main, ["errors", "redrive", "--as-is"]).exit_code == 2


def _errors(*arguments):
    """Exit code of `feedline errors`, and what it prints when that is JSON."""
    result = CliRunner().invoke(main, ["errors", *arguments])
    return result.exit_code, json.loads(result.stdout) if "json" in arguments else None


def test_messages_that_are_no_feeds_are_told_once_and_those_of_a_feed_that_is_added_are_loaded(desk, catalog):
    """The load has a catalogue that is older than the feed of some of them."""
    # A date of which no other test has loaded anything.
    day, feeds = date(2026, 11, 19), load_catalog(desk.catalog)
    names = ["account_dimensions", "snapshots"]
    generate_day(feeds, business_date=day, funds=2, seed=7, out=desk.landing, feeds=names)
    cycle.produce(desk, feeds.feed("account_dimensions"), day)
    added = cycle.produce(desk, feeds.feed("snapshots"), day)
    [topic] = catalog.topics()
    producer = Producer(dict(desk.kafka))
    # Behind the deliveries, and where they have nothing.
    for partition in range(topic.partitions):
        producer.produce(topic.name, b"\x00\xff%d" % partition, partition=partition, headers=[("a", None)])
    misspelt = BatchHeaders("c-1", "snapshot", day, Cycle.EOD, "d-1", 0, 5, "a.jsonl", AVRO)
    producer.produce(topic.name, b"five records", headers=misspelt.to_kafka())
    assert producer.flush(20) == 0

    newest = desk.catalog.read_text(encoding="utf-8")
    desk.catalog.write_text(newest.replace("\n  snapshots:\n", "\n  earlier:\n"), encoding="utf-8")
    chosen = ["--business-date", day.isoformat(), "--feeds"]
    result = CliRunner().invoke(main, ["load", *chosen, "account_dimensions"])
    assert result.exit_code == 0, result.output
    listing = ("list", "--each", "--code", "UnknownFeedError", "--format", "json")
    _, told = _errors(*listing)
    by_feed = Counter(error["feed"] for error in told)
    assert by_feed == {"": topic.partitions, "snapshot": 1, "snapshots": added.batches}
    assert {error["state"] for error in told} == {"open"}
    nameless = [error for error in told if not error["feed"]]
    assert {b64decode(error["valueBase64"]) for error in nameless} == {
        b"\x00\xff%d" % partition for partition in range(topic.partitions)
    }
    assert all(error["headers"][0] == ["a", None] for error in nameless)

    desk.catalog.write_text(newest, encoding="utf-8")
    result = CliRunner().invoke(main, ["load", *chosen, "snapshots"])
    assert result.exit_code == 0, result.output
    _, now = _errors(*listing)
    assert {error["id"] for error in now} == {error["id"] for error in told}
    assert {error["feed"] for error in now if error["state"] == "redriven"} == {"snapshots"}

    status = CliRunner().invoke(main, ["delivery", "status", *chosen, ",".join(names)])
    assert status.exit_code == 4
    assert f"{topic.name}: {topic.partitions + 1} messages are no feed's" in status.stderr
    redriven = CliRunner().invoke(main, ["errors", "redrive", "--as-is", "--code", "UnknownFeedError"])
    assert (redriven.exit_code, redriven.stderr.count("stays open")) == (4, topic.partitions + 1)
    dismissed = CliRunner().invoke(main, ["errors", "dismiss", "--code", "UnknownFeedError", "--reason", "a test's"])
    assert f"{topic.partitions + 1} errors are dismissed" in dismissed.stderr
    assert CliRunner().invoke(main, ["delivery", "status", *chosen, ",".join(names)]).exit_code == 0


def test_a_record_sent_to_the_error_topic_twice_counts_once(desk):
    [topic] = load_catalog(desk.catalog).topics()
    producer = Producer(dict(desk.kafka))
    for record, count in (("a", None), ("a", None), ("b", 5), ("b", 5), ("c", 1)):
        headers = [("deliveryId", b"d"), ("correlationId", record.encode())]
        producer.produce(topic.error_topic, b"x", headers=headers + ([("recordCount", b"%d" % count)] if count else []))
    producer.produce(topic.error_topic, b"no headers at all")
    assert producer.flush(20) == 0
    assert error_counts(desk.kafka, topic.error_topic) == {"d": 7}


def test_an_error_topic_that_is_not_there_holds_none(desk):
    assert error_counts(desk.kafka, "no.such.topic.ERROR") == {}


def test_rows_that_vanish_unbalance_their_feed_and_the_command_says_so(desk, connection):
    for name in FEEDS:
        cycle.produce(desk, load_catalog(desk.catalog).feed(name), DAY)
    assert statuses("load")[0] == 0
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM FEEDLINE.IHUB.SNAPSHOTS WHERE _RECORD_INDEX = 0")
    result = feedline("delivery", "status")
    assert result.exit_code == 4
    assert "snapshots-" in result.stderr
    assert "source records, but" in result.stderr
    assert statuses("delivery", "status")[1]["ledger_balances"]["balanced"]
