"""Shared by all tests: nothing of the machine they run on leaks in."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# The harness of the fault tests is imported as `fault`, and a test module by a process that it spawns as `tests.…`.
TESTS = Path(__file__).parent
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

# How long one example takes says nothing on a busy machine.
settings.register_profile("feedline", deadline=None)
settings.load_profile("feedline")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The machine's browser, else Playwright's own; without either the tests are skipped."""
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        bundled = playwright.chromium.executable_path
        if found is None and not Path(bundled).exists():
            pytest.skip("no browser: `apt-get install chromium`, or `.venv/bin/playwright install chromium`")
        started = playwright.chromium.launch(executable_path=found or bundled, args=["--no-sandbox"])
        try:
            yield started
        finally:
            started.close()


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the settings or the catalogue that the developer's shell names."""
    monkeypatch.delenv("FEEDLINE_SETTINGS", raising=False)
    monkeypatch.delenv("FEEDLINE_CATALOG", raising=False)
