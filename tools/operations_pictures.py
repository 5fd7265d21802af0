"""Takes the pictures of docs/operations.md anew, of what was last run on a local stack.

    python tools/operations_pictures.py --home .local --to docs/images [--only replay_form]

Run there first what the page tells of: a replay in each mode, a redrive, a backfill. A picture whose run is not there
is left out, and said so. Pictures of commands:

    python tools/operations_pictures.py --terminal late_feed -- feedline sla --business-date 2026-11-24
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect, sync_playwright
from rich.console import Console
from rich.text import Text

from feedline.local.airflow import airflow_login
from feedline.local.airflow_api import AirflowApi
from feedline.local.stack import status

PATIENCE_MS = 120_000
SIZE = {"width": 1400, "height": 860}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Wide enough for the tables of the commands.
COLUMNS = 118


class Airflow(AirflowApi):
    """The stack's Airflow, with what a picture needs of its runs."""

    def find(self, dag: str, wanted: Callable[[dict[str, Any]], bool], order: str = "-run_after") -> str | None:
        """The address of the newest run that is wanted, or by order of `run_after` the oldest."""
        runs = self._call("GET", f"/api/v2/dags/{dag}/dagRuns?order_by={order}&limit=100")["dag_runs"]
        return next((self.run_address(dag, run["dag_run_id"]) for run in runs if wanted(run)), None)


def shown(page: Page, address: str, text: str) -> None:
    page.goto(address)
    expect(page.get_by_text(re.compile(text)).first).to_be_visible(timeout=PATIENCE_MS)
    page.mouse.move(0, 0)


def logged(page: Page, address: str, text: str, *, wrap: bool) -> None:
    """A task's log with the traceback of a failure folded away; wrap: turn the wrapping of lines on, or off again."""
    shown(page, address, text)
    if wrap:
        page.keyboard.press("w")
    for traceback in page.locator("details[open] > summary").all():
        traceback.click()
    page.mouse.move(0, 0)


def form(page: Page, url: str, dag: str, fill: dict[str, str]) -> None:
    page.goto(f"{url}/dags/{dag}")
    page.get_by_role("button", name="Trigger").first.click()
    dialog = page.get_by_role("dialog")
    for field, value in fill.items():
        dialog.locator(f"input[name=element_{field}]").fill(value)
    expect(dialog.get_by_text("Dry run").first).to_be_visible(timeout=PATIENCE_MS)


def pictures(page: Page, airflow: Airflow, url: str, date: str) -> Iterator[tuple[str, Callable[[], None] | None]]:
    """Name and how to bring it on the page; None when there is no such run."""

    # The browser remembers that lines are wrapped.
    unwrapped = iter((True,))

    def log(dag: str, task: str, text: str, order: str = "-run_after", **conf: Any) -> Callable[[], None] | None:
        run = airflow.find(dag, lambda run: all((run["conf"] or {}).get(key) == conf[key] for key in conf), order)
        return (lambda: logged(page, f"{run}/tasks/{task}", text, wrap=next(unwrapped, False))) if run else None

    def backfills() -> None:
        shown(page, f"{url}/dags/ihub_eod/backfills", "Reprocess")
        expect(page.locator(".chakra-skeleton")).to_have_count(0, timeout=PATIENCE_MS)

    yield "replay_form", lambda: form(page, url, "ihub_replay", {"business_date": date})
    yield "replay_verify", log("ihub_replay", "replay/mapped/0", "topic and tables do not agree", mode="verify")
    yield (
        "replay_repair",
        log("ihub_replay", "replay/mapped/0", "repair: ", "run_after", mode="repair", dry_run=False, from_archive=None),
    )
    yield "replay_rebuild", log("ihub_replay", "replay/mapped/0", "rebuild: ", mode="rebuild", dry_run=False)
    yield "redrive_check", log("ihub_error_redrive", "check", "would be sent", dry_run=None)
    yield (
        "redrive_settle",
        log("ihub_error_redrive", "settle/mapped/0", "records were loaded", "run_after", dry_run=False),
    )
    yield "backfill", backfills


def terminal(page: Page, command: list[str], file: Path, settings: Path) -> None:
    """A picture of a command with what it really says."""
    environment = {**os.environ, "FEEDLINE_SETTINGS": str(settings), "FORCE_COLOR": "1", "COLUMNS": str(COLUMNS)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ {' '.join(command)}", style="bold"))
    console.print(Text.from_ansi(done.stdout + done.stderr), soft_wrap=True)
    page.set_content(console.export_html(inline_styles=True))
    page.add_style_tag(content="pre { white-space: pre-wrap; overflow-wrap: anywhere; width: 118ch; padding: 8px }")
    page.locator("pre").screenshot(path=file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path(".local"))
    parser.add_argument("--to", type=Path, default=Path("docs/images"))
    parser.add_argument("--only", help="One picture, by its name.")
    parser.add_argument("--date", default="2026-11-20", help="The business date in the forms.")
    parser.add_argument("--terminal", help="Instead: the name of a picture of the command that follows.")
    parser.add_argument("command", nargs="*")
    asked = parser.parse_args()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"]).new_page(viewport=SIZE)
        page.set_default_timeout(PATIENCE_MS)
        if asked.terminal:
            terminal(page, asked.command, asked.to / f"{asked.terminal}.png", asked.home / "settings.json")
            return
        [url] = [str(service.address) for service in status(asked.home) if service.name == "airflow"]
        user, password = airflow_login(asked.home / "airflow")
        page.goto(url)
        page.get_by_label("Username").fill(user)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(lambda address: "/auth/login" not in address)
        for name, bring in pictures(page, Airflow(url, user, password), url, asked.date):
            if asked.only in (None, name) and bring:
                bring()
                page.screenshot(path=asked.to / f"{name}.png")
            elif asked.only in (None, name):
                sys.stderr.write(f"{name}: no such run\n")


if __name__ == "__main__":
    main()
