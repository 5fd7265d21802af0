"""The pages of the feeds inside Airflow, in a real browser: signed in through Airflow, and not at all without."""

from __future__ import annotations

import httpx
from playwright.sync_api import expect
from tests.e2e.conftest import PATIENCE_MS


def test_nobody_gets_the_feeds_without_signing_in_to_airflow(stack):
    with httpx.Client(base_url=stack.airflow.url, timeout=60) as client:
        assert client.get("/feedline/feeds").status_code == 401
        assert client.post("/feedline/discovery", content=b"{}").status_code in (401, 403)
        assert client.get("/feedline/feeds", headers={"X-API-Key": "fl_000000000000_" + "x" * 43}).status_code == 401


def test_a_signed_in_user_finds_the_feeds_in_airflow_s_navigation(stack, page):
    page.goto(stack.airflow.url)
    page.get_by_role("link", name="Feeds").first.click()
    inside = page.frame_locator("iframe[title=Feeds]")
    expect(inside.get_by_role("heading", name="Feeds")).to_be_visible(timeout=PATIENCE_MS)
    inside.get_by_role("link", name="Tax lots").first.click()
    expect(inside.get_by_role("heading", name="Tax lots", exact=True)).to_be_visible(timeout=PATIENCE_MS)
    page.screenshot(path="/work/logs/pages/airflow.png")
