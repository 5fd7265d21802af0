"""Schemas made in a line."""

from __future__ import annotations

import pytest

from feedline.catalog import load_catalog


@pytest.fixture(scope="session")
def shipped():
    return load_catalog()


@pytest.fixture
def feed(shipped):
    return shipped.feed("snapshots")
