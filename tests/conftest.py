"""Shared by all tests: nothing of the machine they run on leaks in."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import settings

# The harness of the fault tests is imported as `fault`, and a test module by a process that it spawns as `tests.…`.
TESTS = Path(__file__).parent
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

# How long one example takes says nothing on a busy machine.
settings.register_profile("feedline", deadline=None)
settings.load_profile("feedline")


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the settings or the catalogue that the developer's shell names."""
    monkeypatch.delenv("FEEDLINE_SETTINGS", raising=False)
    monkeypatch.delenv("FEEDLINE_CATALOG", raising=False)
