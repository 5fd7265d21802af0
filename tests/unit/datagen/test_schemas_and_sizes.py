"""Every record made fits its schema, and a day is as large as the source document says."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from typing import Any

import fastavro
import pytest

from feedline.catalog import Catalog
from feedline.datagen import DaySummary

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
# The catalogue's volumes are those of 50 funds.
VOLUME_FUNDS = 50

Records = Callable[[str], list[dict[str, Any]]]


@pytest.mark.parametrize("name", FEEDS)
def test_every_record_survives_avro_unchanged(catalog: Catalog, records: Records, name: str) -> None:
    schema = fastavro.parse_schema(dict(catalog.feed(name).schema))
    found = records(name)
    assert found
    # Every record is of one of few shapes; each eighth shows all of them and takes an eighth of the time.
    for record in found[::8]:
        body = io.BytesIO()
        fastavro.schemaless_writer(body, schema, record, strict=True)
        body.seek(0)
        assert fastavro.schemaless_reader(body, schema, None) == record


@pytest.mark.parametrize("name", FEEDS)
def test_rows_and_kilobytes_are_those_of_the_source_document(catalog: Catalog, day: DaySummary, name: str) -> None:
    (made,) = [feed for feed in day.feeds if feed.feed == name]
    volume = catalog.feed(name).volume
    assert made.records * VOLUME_FUNDS == volume.rows * day.funds
    assert made.raw_bytes * VOLUME_FUNDS / day.funds / 1000 == pytest.approx(volume.kilobytes, rel=0.06)


@pytest.mark.parametrize("name", FEEDS)
def test_business_keys_name_one_record(catalog: Catalog, records: Records, name: str) -> None:
    keys = Counter(tuple(record[key] for key in catalog.feed(name).business_keys) for record in records(name))
    assert [key for key, count in keys.items() if count > 1] == []


@pytest.mark.parametrize("name", FEEDS)
def test_no_record_is_over_its_feeds_limit(catalog: Catalog, day: DaySummary, name: str) -> None:
    (made,) = [feed for feed in day.feeds if feed.feed == name]
    longest = max(len(line) for file in made.files for line in (made.folder / file.name).read_bytes().splitlines())
    assert longest < catalog.feed(name).max_record_bytes / 2
