"""The end-of-day Dag as an analyst sees it, in a real browser.

With `FEEDLINE_SCREENSHOTS=docs/images` in the environment the pictures of the documentation are taken anew.
"""

from __future__ import annotations

import re

from playwright.sync_api import expect
from tests.e2e.conftest import BUSINESS_DATE, PATIENCE_MS


def test_an_analyst_runs_a_date_from_the_form_and_sees_every_feed_succeed(
    stack, source_records, row_counts, page, take
):
    page.goto(f"{stack.airflow.url}/dags/ihub_eod")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    for field in ("Business date", "Feeds", "Dry run"):
        expect(form.get_by_text(field).first).to_be_visible(timeout=PATIENCE_MS)
    expect(form.get_by_text("The day the data is for.")).to_be_visible()
    expect(form.get_by_text("change nothing")).to_be_visible()
    for feed in ("positions", "accounts"):
        expect(form.get_by_text(feed, exact=True)).to_be_visible()
    form.locator("input[name=element_business_date]").fill(BUSINESS_DATE.isoformat())
    take("ihub_eod_form.png")
    form.get_by_role("button", name="Trigger").click()
    expect(form).to_be_hidden(timeout=PATIENCE_MS)

    newest = "/api/v2/dags/ihub_eod/dagRuns?order_by=-run_after&limit=1"
    [run] = stack.airflow.call("GET", newest)["dag_runs"]
    assert run["conf"]["business_date"] == BUSINESS_DATE.isoformat()
    assert stack.airflow.finish("ihub_eod", run["dag_run_id"]) == "success"
    counts = row_counts(BUSINESS_DATE)
    assert {feed: counts[feed.upper()] for feed in source_records} == source_records
    page.goto(stack.airflow.run_address("ihub_eod", run["dag_run_id"]))
    expect(page.get_by_text("Success").first).to_be_visible(timeout=PATIENCE_MS)
    # Airflow 3.3.2 shows the name of the label where its translation should be.
    page.get_by_role("button", name=re.compile("expand ?all", re.IGNORECASE)).first.click()
    page.mouse.move(0, 0)
    expect(page.get_by_text("wait_for_delivery").first).to_be_visible(timeout=PATIENCE_MS)
    take("ihub_eod.png")
