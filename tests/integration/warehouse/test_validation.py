"""A delivery is complete only when its rows are exactly what its manifest announced."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from feedline.batch.manifest import FileCount
from feedline.catalog import Catalog
from feedline.errors import ValidationFailedError
from feedline.warehouse.names import current_view
from feedline.warehouse.provision import provision_tables
from feedline.warehouse.validate import validate_delivery


@pytest.fixture
def loaded(holdings, make_holding):
    manifest = holdings.publish([make_holding(n) for n in range(30)])
    holdings.load()
    return manifest


def failed(report):
    return {(check.name, check.subject) for check in report.failures}


def delivery_row(holdings, manifest):
    return holdings.query(
        "SELECT STATUS, SOURCE_RECORDS, LOADED_RECORDS FROM {control}.DELIVERY "
        f"WHERE DELIVERY_ID = '{manifest.delivery_id}'"
    )


def test_a_delivery_that_arrived_whole_is_marked_complete_once(holdings, loaded):
    assert holdings.validate(loaded).failures == ()
    assert holdings.validate(loaded).passed
    assert delivery_row(holdings, loaded) == [("COMPLETE", 30, 30)]


def test_deliveries_of_two_feeds_under_one_id_are_marked_each_for_itself(holdings, loaded):
    other = replace(holdings.feed, name=f"{holdings.feed.name}_2")
    provision_tables(holdings.connection, Catalog({other.name: other}))
    empty = validate_delivery(holdings.connection, other, replace(loaded, feed=other.name))
    assert not empty.passed
    assert holdings.validate(loaded).passed
    assert sorted(delivery_row(holdings, loaded)) == [("COMPLETE", 30, 30), ("FAILED", 30, 0)]
    views = [f"FEEDLINE.IHUB.{current_view(feed.table)}" for feed in (holdings.feed, other)]
    holdings.query(f"INSERT INTO FEEDLINE.IHUB.{other.table} SELECT * FROM {{table}}")
    assert [holdings.query(f"SELECT COUNT(*) FROM {view}") for view in views] == [[(30,)], [(0,)]]
    assert not validate_delivery(holdings.connection, other, replace(loaded, feed=other.name)).passed
    assert [holdings.query(f"SELECT COUNT(*) FROM {view}") for view in views] == [[(30,)], [(0,)]]


def test_a_delivery_of_which_rows_are_missing_fails_and_says_where(holdings, loaded):
    holdings.query('DELETE FROM {table} WHERE "ORDER" = 7')
    report = holdings.validate(loaded)
    assert {
        ("rows", "the table"),
        ("loaded and error records", "the source"),
        ("control totals", "quantity"),
        ("control totals", "value"),
        ("records", "holdings_001.jsonl"),
        ("records", "fund F1"),
        ("control totals", "quantity in fund F1"),
    } <= failed(report)
    assert ("records", "fund F0") not in failed(report)
    assert delivery_row(holdings, loaded) == [("FAILED", 30, 29)]
    with pytest.raises(ValidationFailedError, match="rows of the table: 29 instead of 30"):
        report.raise_for_failures()


def test_a_total_that_differs_in_its_last_digit_is_found(holdings, loaded):
    off = loaded.control_totals["quantity"] + Decimal("0.0000000001")
    report = holdings.validate(replace(loaded, control_totals={**loaded.control_totals, "quantity": off}))
    assert failed(report) == {("control totals", "quantity")}


def test_a_row_that_is_there_twice_is_found(holdings, loaded):
    holdings.query('INSERT INTO {table} SELECT * FROM {table} WHERE "ORDER" = 3')
    assert {("repeated records", ""), ("repeated business keys", "account, instrument.isin")} <= failed(
        holdings.validate(loaded)
    )


def test_a_missing_key_is_found(holdings, loaded):
    holdings.query('UPDATE {table} SET INSTRUMENT__ISIN = NULL WHERE "ORDER" = 3')
    assert failed(holdings.validate(loaded)) == {("nulls", "instrument.isin")}


def test_a_child_row_that_is_missing_is_found(holdings, loaded):
    holdings.query("DELETE FROM {table}__LOTS WHERE _ITEM_INDEX = 0")
    assert failed(holdings.validate(loaded)) == {("child rows", f"{holdings.feed.table}__LOTS")}


def test_a_batch_that_could_not_be_decoded_fails_the_delivery(holdings, make_holding):
    manifest = holdings.publish(
        [make_holding(n) for n in range(20)], change=lambda i, h, v: (h, v[:-3] if i == 0 else v)
    )
    holdings.load()
    assert ("micro-batches that cannot be decoded", "") in failed(holdings.validate(manifest))


def test_a_delivery_that_is_loaded_too_late_is_found(holdings, loaded):
    late = replace(loaded, produced_at=loaded.produced_at - timedelta(hours=3))
    assert failed(holdings.validate(late, fresh_within=timedelta(hours=1))) == {("loaded", "")}
    assert holdings.validate(late, fresh_within=timedelta(hours=4)).passed


def test_a_delivery_that_is_produced_again_long_after_it_was_loaded_stays_complete(holdings, loaded):
    again = replace(loaded, produced_at=loaded.produced_at + timedelta(hours=3))
    assert holdings.validate(again, fresh_within=timedelta(hours=1)).passed
    assert [row[0] for row in delivery_row(holdings, again)] == ["COMPLETE"]


def test_content_that_is_sent_again_under_another_name_stays_complete(holdings, loaded, make_holding):
    def renamed(_index, headers, value):
        return replace(headers, source_file="again.jsonl"), value

    holdings.publish([make_holding(n) for n in range(30)], delivery_id=loaded.delivery_id, change=renamed)
    assert holdings.load().duplicate_batches == loaded.batches
    again = replace(loaded, files=tuple(replace(file, name="again.jsonl") for file in loaded.files))
    for manifest in (loaded, again, loaded):
        assert holdings.validate(manifest).failures == ()


def test_rows_of_another_business_date_are_found(holdings, loaded):
    other = replace(loaded, business_date=loaded.business_date + timedelta(days=1))
    assert failed(holdings.validate(other)) == {("business date", "the rows")}


def test_records_of_a_file_or_a_fund_that_nobody_announced_are_found(holdings, loaded):
    report = holdings.validate(
        replace(loaded, files=(FileCount("empty.jsonl", "0" * 64, 0, 0),), funds=loaded.funds[1:])
    )
    assert failed(report) == {
        ("records", "holdings_001.jsonl, a file not in the manifest"),
        ("records", "fund F0, not in the manifest"),
    }


def test_an_empty_delivery_is_complete(holdings):
    manifest = holdings.publish([])
    report = holdings.validate(manifest)
    assert report.failures == ()
    assert delivery_row(holdings, manifest) == [("COMPLETE", 0, 0)]
