"""The catalogue that comes with Feedline: ten custody feeds, as the source document sizes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import fastavro
import pytest

from feedline.catalog import Catalog, default_catalog_path, load_catalog

# Rows and kilobytes of a day for 50 funds; None where the source document gives no rows.
SOURCE_VOLUMES = {
    "positions": (10_000, 80_000),
    "transactions": (10_000, 82_500),
    "tax_lots": (10_000, 42_500),
    "net_asset_values": (None, 4_500),
    "ledger_balances": (5_000, 23_500),
    "account_dimensions": (None, 162),
    "account_share_classes": (None, 462),
    "fund_instruments": (None, 75_000),
    "snapshots": (None, 30),
    "accounts": (None, 155),
}
FEEDS = sorted(SOURCE_VOLUMES)
MOST_DIGITS = 38


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


def bare(kind: Any) -> Any:
    """A field's type without its null branch."""
    return next(branch for branch in kind if branch != "null") if isinstance(kind, list) else kind


def fields_below(
    schema: Mapping[str, Any], prefix: str = "", depth: int = 0
) -> Iterator[tuple[str, Mapping[str, Any], int]]:
    """Path, field and depth of every field; depth counts the records around it, below the feed's own."""
    for field in schema["fields"]:
        yield prefix + field["name"], field, depth
        kind = bare(field["type"])
        if isinstance(kind, Mapping) and kind["type"] == "array":
            kind = kind["items"]
        if isinstance(kind, Mapping) and kind["type"] == "record":
            yield from fields_below(kind, f"{prefix}{field['name']}.", depth + 1)


def is_leaf(field: Mapping[str, Any]) -> bool:
    kind = bare(field["type"])
    return not (isinstance(kind, Mapping) and kind["type"] in ("record", "array"))


def test_it_has_the_ten_feeds_with_the_volumes_of_the_source_document(catalog: Catalog) -> None:
    found = {
        name: (feed.volume.rows if SOURCE_VOLUMES[name][0] else None, feed.volume.kilobytes)
        for name, feed in catalog.feeds.items()
    }
    assert found == SOURCE_VOLUMES


def test_one_topic_carries_all_of_them_without_loss_for_five_days(catalog: Catalog) -> None:
    (topic,) = catalog.topics()
    assert topic.name == "BNY.IN.PRD.IHUB.DEFAULT.DEFAULT"
    assert (topic.partitions, topic.replication_factor, topic.min_insync_replicas, topic.retention_days) == (
        80,
        3,
        2,
        5,
    )


def test_both_serializations_are_in_use(catalog: Catalog) -> None:
    assert [feed.name for feed in catalog.feeds.values() if feed.serialization == "json"] == ["snapshots"]


@pytest.mark.parametrize("name", FEEDS)
def test_every_schema_is_legal_avro(catalog: Catalog, name: str) -> None:
    fastavro.parse_schema(dict(catalog.feed(name).schema))


@pytest.mark.parametrize("name", FEEDS)
def test_every_field_is_documented(catalog: Catalog, name: str) -> None:
    schema = catalog.feed(name).schema
    assert schema["doc"].strip()
    undocumented = [path for path, field, _ in fields_below(schema) if not field.get("doc", "").strip()]
    assert undocumented == []


@pytest.mark.parametrize("name", FEEDS)
def test_amounts_are_exact_and_nesting_is_two_levels_at_most(catalog: Catalog, name: str) -> None:
    for path, field, depth in fields_below(catalog.feed(name).schema):
        kind = bare(field["type"])
        assert kind not in ("float", "double"), f"{path} is binary floating point"
        assert depth <= 2, f"{path} is nested too deep"
        if isinstance(kind, Mapping) and kind.get("logicalType") == "decimal":
            assert kind["precision"] <= MOST_DIGITS
            assert 0 <= kind["scale"] <= kind["precision"]


@pytest.mark.parametrize("name", FEEDS)
def test_a_nullable_field_may_be_left_out(catalog: Catalog, name: str) -> None:
    for path, field, _ in fields_below(catalog.feed(name).schema):
        if isinstance(field["type"], list):
            assert field["type"][0] == "null", f"{path}: null comes first, so that it can be the default"
            assert "default" in field, f"{path} has no default"
            assert field["default"] is None


@pytest.mark.parametrize("name", FEEDS)
def test_fields_that_rules_name_exist_and_are_never_null(catalog: Catalog, name: str) -> None:
    feed = catalog.feed(name)
    fields = {path: field for path, field, _ in fields_below(feed.schema)}
    assert feed.fund_field in fields
    for path in (*feed.business_keys, *feed.control_totals, feed.fund_field):
        assert is_leaf(fields[path])
        assert not isinstance(fields[path]["type"], list)
    assert all(fields[path]["type"].get("logicalType") == "decimal" for path in feed.control_totals)


def test_every_feed_that_holds_amounts_declares_control_totals(catalog: Catalog) -> None:
    assert [feed.name for feed in catalog.feeds.values() if not feed.control_totals] == [
        "account_dimensions",
        "accounts",
    ]


def test_positions_have_about_two_hundred_leaves(catalog: Catalog) -> None:
    leaves = [path for path, field, _ in fields_below(catalog.feed("positions").schema) if is_leaf(field)]
    assert 190 <= len(leaves) <= 220


def test_several_feeds_hold_arrays_of_records_and_records_that_may_be_null(catalog: Catalog) -> None:
    arrays, optional = set(), set()
    for feed in catalog.feeds.values():
        for path, field, _ in fields_below(feed.schema):
            kind = bare(field["type"])
            if isinstance(kind, Mapping) and kind["type"] == "array":
                arrays.add(f"{feed.name}.{path}")
            if isinstance(field["type"], list) and isinstance(kind, Mapping) and kind["type"] == "record":
                optional.add(f"{feed.name}.{path}")
    assert {"positions.exposures", "transactions.charges", "ledger_balances.entries"} <= arrays
    assert {"positions.derivative", "transactions.income", "tax_lots.amortization"} <= optional


def test_the_catalogue_is_found_without_being_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_catalog_path().name == "feeds.yaml"
    assert load_catalog().feeds
