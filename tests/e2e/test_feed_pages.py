"""The pages of the feeds inside Airflow, in a real browser, signed in through Airflow; and a feed's whole way with no
Python written: sample, feed, provisioning, files, end of day, rows.

With `FEEDLINE_SCREENSHOTS=docs/images` in the environment the pictures of the documentation are taken anew.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from datetime import date
from decimal import Decimal

import httpx
import pytest
from click.testing import CliRunner
from playwright.sync_api import expect
from tests.e2e.conftest import PATIENCE_MS

from feedline.batch.control_file import control_path
from feedline.catalog import default_catalog_path
from feedline.cli.main import main
from feedline.local.state import SETTINGS
from feedline.warehouse.connection import open_warehouse

DAY = date(2026, 10, 9)
MARK = "Snapshots of the pages' test"
RECORDS = {
    # Sums that a float cannot hold.
    "loans": [
        {"loan_id": f"L{n:04}", "fund_id": f"F{n % 3}", "balance": f"90071992547{n:03}.{n:02}", "opened": "2026-01-05"}
        for n in range(40)
    ],
    "deposits": [{"deposit_id": f"D{n:04}", "amount": f"0.{n:02}", "paid": n % 2 == 0} for n in range(25)],
}
KEYS = {"loans": "loan_id", "deposits": "deposit_id"}
TOTALS = {"loans": "balance", "deposits": "amount"}


@pytest.fixture(scope="module")
def catalogue(provisioned, tmp_path_factory):
    """A catalogue of this module's own, which the installation's settings name while it runs."""
    include = tmp_path_factory.mktemp("catalogue") / "include"
    shutil.copytree(default_catalog_path().parent, include)
    file = include / "feeds.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("title: Snapshots", f'title: "{MARK}"'), encoding="utf-8")
    settings = provisioned.home / SETTINGS
    before = settings.read_text(encoding="utf-8")
    settings.write_text(json.dumps({**json.loads(before), "catalog": str(file)}), encoding="utf-8")
    yield file
    settings.write_text(before, encoding="utf-8")


@pytest.fixture(scope="module")
def inside(stack, catalogue, page):
    """The pages as they show in Airflow's frame, once they have noticed the catalogue."""
    page.goto(stack.airflow.url)
    page.get_by_role("link", name="Feeds", exact=True).first.click()
    frame = page.frame_locator("iframe[title=Feeds]")
    expect(frame.get_by_role("heading", name="Feeds")).to_be_visible(timeout=PATIENCE_MS)
    deadline = time.monotonic() + 120
    while not frame.get_by_role("link", name=MARK).count():
        assert time.monotonic() < deadline, "the pages still show the catalogue of before"
        page.wait_for_timeout(2_000)
        page.reload()
        expect(frame.get_by_role("heading", name="Feeds")).to_be_visible(timeout=PATIENCE_MS)
    return frame


def sample_of(folder, feed):
    file = folder / f"{feed}_{DAY:%Y%m%d}.jsonl"
    file.write_text("".join(f"{json.dumps(one)}\n" for one in RECORDS[feed]), encoding="utf-8")
    return file


def land(landing, feed):
    """The feed's file of the day and, last, its control file."""
    control = control_path(landing, feed, DAY)
    control.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(f"{json.dumps(one)}\n" for one in RECORDS[feed]).encode()
    name = f"{feed}_{DAY:%Y%m%d}_001.jsonl"
    (control.parent / name).write_bytes(content)
    said = {"records": len(RECORDS[feed]), "controlTotals": {TOTALS[feed]: str(total_of(feed))}}
    file = {"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), **said}
    document = {"feed": feed, "businessDate": DAY.isoformat(), "cycle": "EOD", "files": [file], **said}
    part = control.with_suffix(".part")
    part.write_text(json.dumps(document), encoding="utf-8")
    part.rename(control)


def total_of(feed):
    return sum(Decimal(one[TOTALS[feed]]) for one in RECORDS[feed])


def test_nobody_gets_the_feeds_without_signing_in_to_airflow(stack):
    with httpx.Client(base_url=stack.airflow.url, timeout=60) as client:
        assert client.get("/feedline/feeds").status_code == 401
        assert client.get("/feedline/feeds", headers={"X-API-Key": "fl_000000000000_" + "x" * 43}).status_code == 401
        assert client.post("/feedline/discovery", content=b"{}").status_code == 403
        assert client.post("/feedline/discovery", content=b"{}", headers={"X-Feedline": "page"}).status_code == 401


def test_a_sample_becomes_a_feed_in_airflow_s_own_navigation(stack, inside, page, take, tmp_path):
    take("airflow_feeds.png")
    inside.get_by_role("link", name="Add a feed from a sample").click()
    inside.get_by_label("Sample file").set_input_files(sample_of(tmp_path, "loans"))
    inside.get_by_role("button", name="Discover").click()
    expect(inside.get_by_role("heading", name="The schema that the sample gives")).to_be_visible(timeout=PATIENCE_MS)
    row = inside.get_by_role("row").filter(has=inside.get_by_role("button", name="Edit balance", exact=True))
    expect(row).to_contain_text("40 numbers in quotes, each with 2 places")
    take("airflow_discovery.png")
    inside.get_by_label("Control totals").fill("balance")
    inside.get_by_label("Field of the fund").fill("fund_id")
    inside.get_by_role("button", name="Add as a new feed").click()
    expect(inside.get_by_role("status").filter(has_text="Added loans, version 1")).to_be_visible(timeout=PATIENCE_MS)
    inside.get_by_role("tab", name="Versions").click()
    expect(inside.get_by_text(f"airflow:{stack.airflow.user}").first).to_be_visible(timeout=PATIENCE_MS)


def test_added_feeds_go_from_files_to_rows_with_no_python_written(stack, catalogue, inside, tmp_path):
    sample = sample_of(tmp_path, "deposits")
    arguments = [
        "feeds",
        "add",
        "deposits",
        "--sample",
        str(sample),
        "--key",
        "deposit_id",
        "--control-total",
        "amount",
    ]
    done = CliRunner().invoke(main, [*arguments, "--catalog", str(catalogue)])
    assert done.exit_code == 0, done.output
    airflow = stack.airflow
    airflow.run("ihub_provision")
    for feed in RECORDS:
        land(stack.settings.landing, feed)
    deadline = time.monotonic() + 180
    while not set(RECORDS) <= offered(airflow):
        assert time.monotonic() < deadline, "the Dag was not read anew"
        time.sleep(2)
    run = airflow.run("ihub_eod", business_date=DAY.isoformat(), feeds=list(RECORDS))
    for feed in RECORDS:
        assert airflow.task("ihub_eod", run, f"{feed}.publish")["state"] == "success"
    with open_warehouse(stack.settings.warehouse) as connection, connection.cursor() as cursor:
        for feed, records in RECORDS.items():
            key, amount = KEYS[feed], TOTALS[feed]
            rows = cursor.execute(f'SELECT {key}, {amount} FROM FEEDLINE.IHUB."{feed.upper()}_CURRENT"').fetchall()
            assert sorted(rows) == [(one[key], Decimal(one[amount])) for one in records]


def offered(airflow):
    """The feeds that the form of `ihub_eod` offers."""
    params = airflow.call("GET", "/api/v2/dags/ihub_eod/details")["params"]
    return set(params["feeds"]["schema"]["items"]["enum"])
