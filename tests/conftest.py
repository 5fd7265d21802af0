"""Shared by all tests: nothing of the machine they run on leaks in."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import settings

# The harness of the fault tests is imported as `fault`, by the processes that it starts as well.
sys.path.insert(0, str(Path(__file__).parent))

# How long one example takes says nothing on a busy machine.
settings.register_profile("feedline", deadline=None)
settings.load_profile("feedline")


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the settings or the catalogue that the developer's shell names."""
    monkeypatch.delenv("FEEDLINE_SETTINGS", raising=False)
    monkeypatch.delenv("FEEDLINE_CATALOG", raising=False)
