"""The pages of the feeds inside Airflow, in a real browser: signed in through Airflow, and not at all without.

With `FEEDLINE_SCREENSHOTS=docs/images` in the environment the pictures of the documentation are taken anew.
"""

from __future__ import annotations

import json
import shutil
import time

import httpx
import pytest
from playwright.sync_api import expect
from tests.e2e.conftest import PATIENCE_MS

from feedline.catalog import default_catalog_path
from feedline.local.state import SETTINGS

MARK = "Snapshots of the pages' test"
LOANS = [
    {"loan_id": f"L{n:04}", "fund_id": f"F{n % 3}", "balance": f"90071992547{n:03}.{n:02}", "opened": "2026-01-05"}
    for n in range(40)
]


@pytest.fixture(scope="module")
def catalogue(stack, tmp_path_factory):
    """A catalogue of this module's own, which the installation's settings name while it runs."""
    include = tmp_path_factory.mktemp("catalogue") / "include"
    shutil.copytree(default_catalog_path().parent, include)
    file = include / "feeds.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("title: Snapshots", f'title: "{MARK}"'), encoding="utf-8")
    settings = stack.home / SETTINGS
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


def test_nobody_gets_the_feeds_without_signing_in_to_airflow(stack):
    with httpx.Client(base_url=stack.airflow.url, timeout=60) as client:
        assert client.get("/feedline/feeds").status_code == 401
        assert client.get("/feedline/feeds", headers={"X-API-Key": "fl_000000000000_" + "x" * 43}).status_code == 401
        assert client.post("/feedline/discovery", content=b"{}").status_code == 403
        assert client.post("/feedline/discovery", content=b"{}", headers={"X-Feedline": "page"}).status_code == 401


def test_a_sample_becomes_a_feed_in_airflow_s_own_navigation(stack, inside, page, take, tmp_path):
    take("airflow_feeds.png")
    sample = tmp_path / "loans_20261009.jsonl"
    sample.write_text("".join(f"{json.dumps(one)}\n" for one in LOANS), encoding="utf-8")
    inside.get_by_role("link", name="Add a feed from a sample").click()
    inside.get_by_label("Sample file").set_input_files(sample)
    inside.get_by_role("button", name="Discover").click()
    expect(inside.get_by_role("heading", name="The schema that the sample gives")).to_be_visible(timeout=PATIENCE_MS)
    row = inside.get_by_role("row").filter(has=inside.get_by_role("button", name="Edit balance", exact=True))
    expect(row).to_contain_text("40 numbers in quotes, each with 2 places")
    inside.get_by_label("Control totals").fill("balance")
    inside.get_by_label("Field of the fund").fill("fund_id")
    inside.get_by_role("button", name="Add as a new feed").click()
    expect(inside.get_by_role("status").filter(has_text="Added loans, version 1")).to_be_visible(timeout=PATIENCE_MS)
    inside.get_by_role("tab", name="Versions").click()
    expect(inside.get_by_text(f"airflow:{stack.airflow.user}").first).to_be_visible(timeout=PATIENCE_MS)
