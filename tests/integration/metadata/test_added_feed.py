"""A feed's whole way with no Python written: sample, feed, provisioning, files, topic, table, books; by commands."""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from datetime import date
from decimal import Decimal

import pytest
import yaml
from click.testing import CliRunner

from feedline.batch.control_file import control_path
from feedline.catalog import default_catalog_path
from feedline.cli.main import main

DAY = date(2026, 11, 20)
# Amounts that a float cannot hold.
RECORDS = [
    {"loan_id": f"L{n:04}", "fund_id": f"F{n % 3}", "balance": f"90071992547{n:03}.{n:02}", "opened": "2026-01-05"}
    for n in range(40)
]
TOTAL = sum(Decimal(one["balance"]) for one in RECORDS)


@pytest.fixture
def installation(warehouse_settings, tmp_path, monkeypatch):
    """A catalogue of one shipped feed on a topic of this test's own, and settings that name it."""
    shipped = default_catalog_path()
    include = tmp_path / "include"
    for part in ("schemas", "ldm"):
        shutil.copytree(shipped.parent / part, include / part)
    known = yaml.safe_load(shipped.read_text(encoding="utf-8"))["feeds"]["snapshots"]
    topic = f"TEST.ADDED.{uuid.uuid4().hex[:6]}"
    document = {"topics": {topic: {"partitions": 2}}, "feeds": {"snapshots": {**known, "topic": topic}}}
    (include / "feeds.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    settings = {
        "kafka": dict(warehouse_settings.kafka),
        "registry": {"url": warehouse_settings.registry["url"]},
        "warehouse": dict(warehouse_settings.warehouse),
        "landing": str(tmp_path / "landing"),
        "catalog": str(include / "feeds.yaml"),
        "replication_factor": warehouse_settings.replication_factor,
    }
    (tmp_path / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    monkeypatch.setenv("FEEDLINE_SETTINGS", str(tmp_path / "settings.json"))
    monkeypatch.setenv("FEEDLINE_PROVISION_BOOKS", str(tmp_path / "books"))
    return tmp_path


def run(*arguments):
    done = CliRunner().invoke(main, [*map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done


def land(landing, content):
    control = control_path(landing, "loans", DAY)
    control.parent.mkdir(parents=True, exist_ok=True)
    name = f"loans_{DAY:%Y%m%d}_001.jsonl"
    (control.parent / name).write_bytes(content)
    said = {"records": len(RECORDS), "controlTotals": {"balance": str(TOTAL)}}
    file = {"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), **said}
    document = {"feed": "loans", "businessDate": DAY.isoformat(), "cycle": "EOD", "files": [file], **said}
    control.write_text(json.dumps(document), encoding="utf-8")


def test_a_sample_becomes_a_feed_whose_files_become_rows_and_whose_books_balance(installation, connection):
    content = "".join(f"{json.dumps(one)}\n" for one in RECORDS).encode()
    sample = installation / "loans_sample.jsonl"
    sample.write_bytes(content)
    run("feeds", "add", "loans", "--sample", sample, "--control-total", "balance", "--fund-field", "fund_id")
    run("provision", "apply", "--yes")
    assert "everything is as declared" in run("provision", "plan").output

    land(installation / "landing", content)
    run("produce", "--business-date", DAY, "--feeds", "loans")
    told = run("load", "--business-date", DAY, "--feeds", "loans", "--format", "json").stdout
    [books] = json.loads(told)
    assert (books["status"], books["source_records"], books["loaded"], books["errors"]) == ("COMPLETE", 40, 40, 0)
    assert Decimal(books["control_totals"]["balance"]) == TOTAL
    with connection.cursor() as cursor:
        rows = cursor.execute("SELECT LOAN_ID, FUND_ID, BALANCE, OPENED FROM FEEDLINE.IHUB.LOANS_CURRENT").fetchall()
    assert sorted(rows) == [
        (one["loan_id"], one["fund_id"], Decimal(one["balance"]), date(2026, 1, 5)) for one in RECORDS
    ]
