"""`ihub_error_redrive` by its form: bad records are exported, corrected and sent again, and the books balance."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from decimal import Decimal

from feedline.batch.control_file import control_path
from feedline.catalog import load_catalog
from feedline.consumer.error_counts import errors_by_delivery
from feedline.datagen import generate_day
from feedline.redrive.correction_file import export_line
from feedline.redrive.plan import errors_of
from feedline.redrive.stored_error import Selection
from feedline.warehouse.connection import open_warehouse
from feedline.warehouse.status import delivery_status

FEED, DAY = "positions", date(2026, 10, 12)
BAD = 3


def spoil(landing):
    """Breaks a field, the text and the end of three records of the day's files; how many came, and those three."""
    generate_day(load_catalog(), business_date=DAY, funds=1, seed=8, out=landing, feeds=[FEED])
    control = control_path(landing, FEED, DAY)
    document = json.loads(control.read_text(encoding="utf-8"))
    entry = document["files"][0]
    file = control.with_name(entry["name"])
    first, second, third, *rest = file.read_bytes().splitlines()
    bad = [first.replace(b'"fund_id":', b'"found_id":', 1), b"\xff" + second, third[: len(third) // 2]]
    file.write_bytes(b"\n".join([*bad, *rest, b""]))
    entry |= {"bytes": file.stat().st_size, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    control.write_text(json.dumps(document), encoding="utf-8")
    return document["records"], [json.loads(line, parse_float=Decimal) for line in (first, second, third)]


def correct(stack, right):
    """Exports the open errors and puts what they should have been into the file of corrections; its name."""
    chosen = Selection(feeds=frozenset([FEED]), business_date=DAY)
    lines = [json.loads(export_line(error)) for error in errors_of(stack.settings, load_catalog(), chosen)]
    assert [line["line"] for line in lines] == [1, 2, 3]
    folder = stack.settings.landing / "corrections"
    folder.mkdir(exist_ok=True)
    corrected = [{**line, "record": record} for line, record in zip(lines, right, strict=True)]
    text = "".join(json.dumps(line, default=str) + "\n" for line in corrected)
    (folder / "positions.jsonl").write_text(text, encoding="utf-8")
    return "positions.jsonl"


def books(stack):
    """Source records, loaded, errors and redriven of the date's delivery, and whether they balance."""
    feed = load_catalog().feed(FEED)
    on_topic = errors_by_delivery(stack.settings.kafka, feed.topic.error_topic)
    with open_warehouse(stack.settings.warehouse) as connection:
        [row] = delivery_status(connection, [feed], DAY, errors_on_topic=on_topic)
    return row.source_records, row.loaded, row.errors, row.redriven, row.complete


def test_corrected_records_are_sent_again_once_and_the_books_balance(provisioned, content):
    stack, airflow, feed = provisioned, provisioned.airflow, load_catalog().feed(FEED)
    sent, right = spoil(stack.settings.landing)
    airflow.run("ihub_eod", business_date=DAY.isoformat(), feeds=[FEED])
    refused = (sent, sent - BAD, BAD, 0, True)
    assert books(stack) == refused
    before = content(feed, DAY)

    airflow.await_dag("ihub_error_redrive")
    as_is = {"as_is": True, "business_date": DAY.isoformat(), "feeds": [FEED], "dry_run": False}
    none_fits = airflow.fail("ihub_error_redrive", **as_is)
    assert f"{BAD} errors stay open" in airflow.log("ihub_error_redrive", none_fits, "tell_open")
    assert books(stack) == refused

    form = {"file": correct(stack, right), "feeds": [FEED]}
    shown = airflow.run("ihub_error_redrive", **form)
    assert f"{BAD} errors of {BAD} records fit and would be sent" in airflow.log("ihub_error_redrive", shown, "check")
    assert (books(stack), content(feed, DAY)) == (refused, before)

    run = airflow.run("ihub_error_redrive", **form, dry_run=False)
    assert f"{BAD} records were loaded" in airflow.log("ihub_error_redrive", run, "settle", map_index=0)
    assert books(stack) == (sent, sent, 0, BAD, True)
    after = content(feed, DAY)
    assert len(after[feed.table]) == sent

    again = airflow.run("ihub_error_redrive", **form, dry_run=False)
    assert f"{BAD} were redriven before" in airflow.log("ihub_error_redrive", again, "check")
    assert (books(stack), content(feed, DAY)) == ((sent, sent, 0, BAD, True), after)
