"""The pages of schemas in a real browser: found, read, changed, registered and rolled back, also by keyboard, and clean
for axe.

With `FEEDLINE_SCREENSHOTS=docs/images` in the environment the pictures of the documentation are taken anew.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def page(browser, service):
    page = browser.new_page(viewport={"width": 1500, "height": 950})
    page.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    strange = []
    page.on("request", lambda one: strange.append(one.url) if not _ours(one.url, service) else None)
    page.on("pageerror", lambda error: strange.append(str(error)))
    page.goto(f"{service.url}/ui/")
    page.get_by_label("API key").fill(service.keys["engineer"])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Feeds")).to_be_visible()
    yield page
    assert strange == []


def _ours(url, service):
    return url.startswith((service.url, "blob:", "data:"))


def take(page, name):
    folder = os.environ.get("FEEDLINE_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / name)


def clean(page):
    """No violation of the rules of axe."""
    found = Axe().run(page).response["violations"]
    assert [(one["id"], [node["target"] for node in one["nodes"]][:3]) for one in found] == []


def opened(page, service, feed):
    client = service.client()
    found = client.get(f"/feeds/{feed}").json()
    if not found["version"]:
        made = client.post(f"/feeds/{feed}/versions", json={"record": found["schema"], "what": "first"})
        assert made.status_code == 200, made.text
    page.goto(f"{service.url}/ui/#/feeds/{feed}")
    page.reload()
    expect(page.get_by_role("heading", name=found["title"], exact=True)).to_be_visible()


def test_feeds_and_fields_are_found_and_shown_in_every_part(page, service):
    clean(page)
    page.get_by_label("Search feeds and fields").fill("book cost")
    hit = page.get_by_role("link", name="positions: ").first
    expect(hit).to_be_visible()
    hit.click()
    expect(page.get_by_role("heading", name="Positions", exact=True)).to_be_visible()
    clean(page)
    page.get_by_role("tab", name="Diagram").click()
    expect(page.get_by_role("img", name="Entities of Positions")).to_be_visible()
    take(page, "schema_diagram.png")
    clean(page)
    for tab, text in (("Lineage", "MARKET_VALUE_BASE"), ("Statements", "CREATE TABLE IF NOT EXISTS")):
        page.get_by_role("tab", name=tab).click()
        expect(page.get_by_role("tabpanel", name=tab).get_by_text(text).first).to_be_visible()
        clean(page)
    page.get_by_label("Search feeds and fields").fill("")


def test_a_field_is_added_looked_at_registered_and_rolled_back(page, service):
    opened(page, service, "tax_lots")
    page.get_by_label("Name of the new field").fill("desk")
    page.get_by_label("What it is").fill("Desk that holds the lot.")
    page.get_by_role("button", name="Add").click()
    page.get_by_role("button", name="Review changes").click()
    expect(page.get_by_role("heading", name="Compatible")).to_be_focused()
    expect(page.get_by_text('ADD COLUMN "DESK" VARCHAR')).to_be_visible()
    take(page, "schema_review.png")
    clean(page)
    page.get_by_label("Why (for the history)").fill("desks")
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_role("status").filter(has_text="Registered as version 2")).to_be_visible()
    page.get_by_role("tab", name="Versions").click()
    versions = page.get_by_role("table", name="Versions of Tax lots")
    expect(versions.get_by_text("desk added: string, optional")).to_be_visible()
    expect(versions.get_by_text("key:engineer").first).to_be_visible()
    take(page, "schema_versions.png")
    clean(page)
    page.get_by_role("button", name="Roll back to version 1").click()
    clean(page)
    page.get_by_role("button", name="Make it the latest").click()
    expect(page.get_by_role("status").filter(has_text="Version 3 is version 1 again")).to_be_visible()


def test_an_incompatible_change_cannot_be_registered_and_says_what_to_do(page, service):
    opened(page, service, "accounts")
    page.get_by_role("button", name="Edit fund_id", exact=True).click()
    page.get_by_label("Type of fund_id").fill("long")
    page.get_by_role("button", name="Keep", exact=True).click()
    page.get_by_role("button", name="Review changes").click()
    expect(page.get_by_role("heading", name="Not compatible")).to_be_focused()
    expect(page.get_by_text("Instead: keep fund_id as it is and add a new optional field")).to_be_visible()
    expect(page.get_by_role("button", name="Register")).to_be_disabled()
    clean(page)


def test_words_are_edited_by_keyboard_alone(page, service):
    opened(page, service, "snapshots")
    page.get_by_role("button", name="Edit snapshot_id", exact=True).focus()
    page.keyboard.press("Enter")
    business = page.get_by_label("Business name of snapshot_id")
    business.focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("Number of the snapshot")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Save words").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("cell", name="Number of the snapshot", exact=True)).to_be_visible()
    page.get_by_role("tab", name="Fields").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Diagram")).to_be_focused()


LOANS = [
    {
        "loan_id": f"L{n:04}", "fund_id": "F1", "account_id": f"A{n % 3}", "balance": f"{n}.25", "opened": "2026-01-05",
        "due": f"0{n % 9 + 1}/03/2026", "kind": "TERM" if n % 2 else "BULLET", "note": None if n % 3 else "renewed",
    }
    for n in range(12)
]  # fmt: skip


def test_a_sample_becomes_a_feed_with_its_decisions_looked_at_and_edited_first(page, service, connection, tmp_path):
    sample = tmp_path / "loans_20261120.jsonl"
    sample.write_text("".join(f"{json.dumps(one)}\n" for one in LOANS))
    page.get_by_role("link", name="Add a feed from a sample").click()
    page.get_by_label("Sample file").set_input_files(sample)
    page.get_by_role("button", name="Discover").click()
    expect(page.get_by_role("heading", name="The schema that the sample gives")).to_be_focused()
    row = page.get_by_role("row").filter(has=page.get_by_role("button", name="Edit note", exact=True))
    expect(row).to_contain_text("66.7 %")
    expect(page.get_by_text("declare the order to have dates")).to_be_visible()
    clean(page)
    take(page, "discovery.png")

    page.get_by_role("button", name="Make kind an enum of BULLET, TERM").click()
    page.get_by_role("button", name="Edit balance", exact=True).click()
    page.get_by_label("Type of balance").fill("decimal(18,2)")
    page.get_by_label("Business name of balance").fill("Outstanding balance")
    page.get_by_label("Description of balance").fill("What is owed.")
    page.get_by_label("Classification of balance").select_option("personal")
    clean(page)
    page.get_by_role("button", name="Keep", exact=True).click()
    page.get_by_label("Control totals").fill("balance")
    page.get_by_label("Field of the fund").fill("fund_id")
    page.get_by_label("Name of the feed").fill("positions")
    page.get_by_role("button", name="See what follows").click()
    # Looking shows the schema all the same; adding is refused, and leaves the page with everything in it.
    page.get_by_role("button", name="Add as a new feed").click()
    expect(page.get_by_role("status").filter(has_text="there is a feed of that name")).to_be_visible()
    page.get_by_label("Name of the feed").fill("loans")
    page.get_by_role("button", name="See what follows").click()
    expect(page.get_by_role("heading", name="It can be added")).to_be_focused()
    statements = page.get_by_role("tabpanel", name="DDL")
    expect(statements).to_contain_text('"BALANCE" NUMBER(18,2)')
    expect(statements).to_contain_text("Outstanding balance: What is owed.")
    take(page, "discovery_ddl.png")
    for tab, text in (
        ("JSON Schema", '"BULLET"'), ("Logical model", "name: Outstanding balance"), ("Catalogue entry", "fund_id")
    ):  # fmt: skip
        page.get_by_role("tab", name=tab).click()
        expect(page.get_by_role("tabpanel", name=tab)).to_contain_text(text)
        clean(page)

    page.get_by_role("button", name="Add as a new feed").click()
    expect(page.get_by_role("status").filter(has_text="Added loans, version 1")).to_be_visible()
    expect(page.get_by_role("heading", name="Loans", exact=True)).to_be_visible()
    expect(page.get_by_role("cell", name="Outstanding balance", exact=True)).to_be_visible()
    page.get_by_role("tab", name="Diagram").click()
    expect(page.get_by_role("img", name="Entities of Loans")).to_be_visible()
    take(page, "schema_added.png")
    with connection.cursor() as cursor:
        columns = cursor.execute(
            "SELECT NUMERIC_PRECISION, NUMERIC_SCALE FROM FEEDLINE.INFORMATION_SCHEMA.COLUMNS "
            "WHERE TABLE_NAME = 'LOANS' AND COLUMN_NAME = 'BALANCE'"
        ).fetchall()
    assert columns == [(18, 2)]
    assert yaml.safe_load((service.folder / "feeds" / "loans.yaml").read_text())["control_totals"] == ["balance"]
    [hit] = service.client().get("/feeds/search", params={"q": "outstanding balance"}).json()
    assert (hit["feed"], hit["path"], hit["classification"]) == ("loans", "balance", "personal")


def test_three_hundred_fields_cost_one_row_each_one_answer_and_nothing_when_they_are_filtered(page, service):
    schema = {
        "type": "record", "name": "Wide", "namespace": "test", "businessKeys": ["f0"],
        "fields": [
            {"name": f"f{n}", "type": ["null", "string"], "default": None, "doc": f"Field {n}."} for n in range(300)
        ],
    }  # fmt: skip
    add_feed(service, "wide", schema)
    page.goto(f"{service.url}/ui/#/feeds/wide")
    expect(page.get_by_role("heading", name="Wide", exact=True)).to_be_visible()
    asked = []
    page.on("request", lambda one: asked.append(one.url) if "/ui/" not in one.url else None)
    page.reload()
    expect(page.get_by_role("button", name="Edit f299", exact=True)).to_be_attached()
    assert sorted(asked) == [f"{service.url}/feeds", f"{service.url}/feeds/wide"]
    assert page.evaluate("document.querySelectorAll('main *').length") < 300 * 12 + 200
    changed = page.evaluate(
        """() => { const seen = []; const watch = new MutationObserver((found) => seen.push(...found));
        watch.observe(document.querySelector('main'), { subtree: true, childList: true });
        const filter = document.querySelector('main input[type=search]'); filter.value = 'f299';
        filter.dispatchEvent(new Event('input')); const made = seen.concat(watch.takeRecords()).length;
        watch.disconnect(); return made; }"""
    )
    # Rows are hidden, none is made or moved; and nothing more was asked for.
    assert changed == 0
    assert len(asked) == 2, asked
    expect(page.get_by_role("button", name="Edit f0", exact=True)).to_be_hidden()
    expect(page.get_by_role("button", name="Edit f299", exact=True)).to_be_visible()


def add_feed(service, name, schema):
    """As `feedline feeds add` leaves it: the entry appears last, and whole."""
    (service.folder / "schemas" / f"{name}.avsc").write_text(json.dumps(schema), encoding="utf-8")
    topic = next(iter(yaml.safe_load((service.folder / "feeds.yaml").read_text(encoding="utf-8"))["topics"]))
    entry = {
        "title": name.title(), "topic": topic, "schema": f"schemas/{name}.avsc", "volume": {"rows": 1, "kilobytes": 1},
    }  # fmt: skip
    (service.folder / "feeds").mkdir(exist_ok=True)
    part = service.folder / f"{name}.part"
    part.write_text(yaml.safe_dump(entry, sort_keys=False), encoding="utf-8")
    part.rename(service.folder / "feeds" / f"{name}.yaml")
