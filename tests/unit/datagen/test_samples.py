"""The samples beside the schemas are lines of a generated day: they fit, and they stay what is generated."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import date
from typing import Any

import fastavro
import pytest

from feedline.catalog import Catalog, default_catalog_path
from feedline.datagen import generate_day

FEEDS = (
    "positions",
    "transactions",
    "tax_lots",
    "net_asset_values",
    "ledger_balances",
    "account_dimensions",
    "account_share_classes",
    "fund_instruments",
    "snapshots",
    "accounts",
)
# What the samples were taken from.
DAY, SEED, FUNDS = date(2026, 11, 20), 7, 3

ReadLine = Callable[[str, str], dict[str, Any]]


def sample(feed: str) -> list[str]:
    return (default_catalog_path().parent / "samples" / f"{feed}.jsonl").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("feed", FEEDS)
def test_a_sample_fits_its_schema(catalog: Catalog, read_line: ReadLine, feed: str) -> None:
    schema = fastavro.parse_schema(dict(catalog.feed(feed).schema))
    assert len(sample(feed)) == 3
    for line in sample(feed):
        fastavro.schemaless_writer(io.BytesIO(), schema, read_line(feed, line), strict=True)


def test_samples_are_lines_that_are_generated_today_on_any_machine(
    catalog: Catalog, tmp_path_factory: pytest.TempPathFactory
) -> None:
    day = generate_day(catalog, business_date=DAY, funds=FUNDS, seed=SEED, out=tmp_path_factory.mktemp("landing"))
    for feed in day.feeds:
        lines = (feed.folder / feed.files[0].name).read_text(encoding="utf-8").splitlines()
        assert set(sample(feed.feed)) <= set(lines), f"take the samples of {feed.feed} again"
