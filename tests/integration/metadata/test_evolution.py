"""A feed's schema changes while producers of both versions and the loader run, and none of them is restarted."""

from __future__ import annotations

import copy
import time
from decimal import Decimal

import pytest

from feedline.batch.schemas import batch_subject
from feedline.continuous import continuous_load, loading_policy
from feedline.errors import ConfigurationError, LostRaceError
from feedline.metadata.evolution import record_schemas, roll_back
from feedline.metadata.registry_errors import SchemaRefusedError
from feedline.warehouse.names import current_view

POLICY = loading_policy(max_age_s=0.2)


def until(met, seconds=90.0):
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


def field_of(schema, name):
    return next(one for one in schema["fields"] if one["name"] == name)


def price(number, **fields):
    return {"id": number, "ticker": "ABC", "price": Decimal("1.25"), "side": "ASK", "remark": None, **fields}


def wider(prices):
    """A new optional field, a widened decimal, a new symbol of an enum that has a default."""
    schema = copy.deepcopy(prices.feed.schema)
    field_of(schema, "price")["type"]["precision"] = 20
    field_of(schema, "side")["type"]["symbols"] = ["BID", "ASK", "MID"]
    schema["fields"].append({"name": "venue", "type": ["null", "string"], "default": None, "doc": "Market."})
    return schema


def test_old_and_new_producers_and_the_loader_go_on_through_a_compatible_change(prices):
    view = current_view(prices.feed.table)
    with continuous_load(prices.settings, prices.feed, POLICY):
        old = prices.producer()
        prices.send(old, price(1))
        until(lambda: len(prices.query("SELECT ID FROM {table}")) == 1)

        plan, version = prices.evolve(wider(prices), what="venues", expected=1)
        assert plan.verdict.compatible
        assert (version.version, version.by, version.what) == (2, "key:test", "venues")

        new = prices.producer(wider(prices))
        prices.send(new, price(2, price=Decimal("123456789012345.75"), side="MID", venue="XNYS"))
        # The old producer does not know that anything has happened.
        prices.send(old, price(3))
        until(lambda: len(prices.query("SELECT ID FROM {table}")) == 3)

    rows = prices.query("SELECT ID, PRICE, SIDE, VENUE FROM {table} ORDER BY ID")
    assert rows == [
        (1, Decimal("1.25"), "ASK", None),
        (2, Decimal("123456789012345.75"), "MID", "XNYS"),
        (3, Decimal("1.25"), "ASK", None),
    ]
    assert prices.columns()["PRICE"] == (20, 2)
    assert prices.query(f'SELECT "VENUE" FROM FEEDLINE.IHUB.{view}') == []
    ledger = f"FEEDLINE.CONTROL.LOAD_LEDGER WHERE STATUS <> 'LOADED' AND FEED = '{prices.feed.name}'"
    assert prices.query(f"SELECT COUNT(*) FROM {ledger}") == [(0,)]


def test_an_incompatible_change_is_refused_before_anything_changes(prices):
    before = prices.columns()
    schema = copy.deepcopy(prices.feed.schema)
    field_of(schema, "ticker")["type"] = "long"
    schema["fields"].append({"name": "must", "type": "string"})
    with pytest.raises(SchemaRefusedError) as refused:
        prices.evolve(schema)
    assert refused.value.code == 40901
    text = str(refused.value)
    assert "ticker: the type changes from string to long" in text
    assert "add a new optional field" in text
    assert 'make it optional: "type": ["null", string], "default": null' in text
    assert prices.columns() == before
    assert prices.subjects.versions(batch_subject(prices.feed)) == [1]
    assert prices.subjects.level(batch_subject(prices.feed)) == "BACKWARD"


def test_whoever_looked_at_an_older_version_is_told_so(prices):
    prices.evolve(wider(prices), expected=1)
    with pytest.raises(LostRaceError, match="version 2 was registered since version 1"):
        prices.evolve(wider(prices), expected=1)


def test_a_field_renamed_by_alias_shows_under_both_names_whoever_wrote_it(prices):
    schema = copy.deepcopy(prices.feed.schema)
    field_of(schema, "ticker").update(name="symbol", aliases=["ticker"])
    with continuous_load(prices.settings, prices.feed, POLICY):
        old = prices.producer()
        prices.send(old, price(1, ticker="OLD"))
        prices.evolve(schema)
        renamed = price(2, symbol="NEW")
        del renamed["ticker"]
        prices.send(prices.producer(schema), renamed)
        prices.send(old, price(3, ticker="OLD"))
        until(lambda: len(prices.query("SELECT ID FROM {table}")) == 3)
    deliveries = prices.query('SELECT DISTINCT "_DELIVERY_ID" FROM {table}')
    for (delivery,) in deliveries:
        row = f"'{delivery}', '{prices.feed.name}', '2026-11-20', 'EOD', 'COMPLETE', 1, 1, 1, 1, 0, 1, 1"
        now = "CURRENT_TIMESTAMP(), CURRENT_TIMESTAMP(), '', ''"
        prices.query(f"INSERT INTO FEEDLINE.CONTROL.DELIVERY SELECT {row}, {now}")
    view = f"FEEDLINE.IHUB.{current_view(prices.feed.table)}"
    assert prices.query(f"SELECT ID, TICKER, SYMBOL FROM {view} ORDER BY ID") == [
        (1, "OLD", "OLD"),
        (2, "NEW", "NEW"),
        (3, "OLD", "OLD"),
    ]


def test_a_version_is_rolled_back_without_losing_what_was_written_with_it(prices):
    prices.evolve(wider(prices))
    new = prices.producer(wider(prices))
    prices.send(new, price(1, side="MID", venue="XNYS"))
    back = roll_back(prices.feed, 1, subjects=prices.subjects, by="key:ann", expected=2)
    assert (back.version, back.by, back.what) == (3, "key:ann", "rolled back to version 1")
    versions = record_schemas(prices.subjects, prices.feed)
    assert versions[-1][1]["fields"] == versions[0][1]["fields"]
    with continuous_load(prices.settings, prices.feed, POLICY):
        prices.send(prices.producer(), price(2))
        until(lambda: len(prices.query("SELECT ID FROM {table}")) == 2)
    assert prices.query("SELECT ID, SIDE, VENUE FROM {table} ORDER BY ID") == [(1, "MID", "XNYS"), (2, "ASK", None)]
    with pytest.raises(ConfigurationError, match="the latest already"):
        roll_back(prices.feed, 3, subjects=prices.subjects, by="key:ann")
    with pytest.raises(SchemaRefusedError, match="Version 9 not found"):
        roll_back(prices.feed, 9, subjects=prices.subjects, by="key:ann")
    # And forward again.
    assert prices.evolve(wider(prices))[1].version in (2, 4)


def test_a_change_that_was_killed_half_way_is_finished_by_doing_it_again(prices, monkeypatch):
    monkeypatch.setattr(prices.subjects, "register", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        prices.evolve(wider(prices))
    monkeypatch.undo()
    assert "VENUE" in prices.columns()
    prices.send(prices.producer(), price(1))
    assert prices.evolve(wider(prices))[1].version == 2


def test_metadata_and_rule_sets_come_back_though_the_registry_drops_them(prices):
    metadata = {"properties": {"owner": "treasury"}, "tags": {"ticker": ["PUBLIC"]}, "sensitive": []}
    rules = {
        "domainRules": [{"name": "positive", "kind": "CONDITION", "type": "CEL", "mode": "WRITE", "expr": "x > 0"}]
    }
    subject = f"{prices.feed.topic.name}-own"
    schema = {"type": "record", "name": "Own", "fields": [{"name": "x", "type": "int"}]}
    made = prices.subjects.register(subject, schema, by="key:ann", metadata=metadata, rule_set=rules)
    for version in ("latest", "-1", -1, 1):
        found = prices.subjects.version(subject, version)
        assert (found.metadata, found.rule_set, found.number) == (metadata, rules, made.number)
    assert prices.subjects.look_up(subject, schema).metadata == metadata


@pytest.mark.parametrize(("version", "code"), [("9", 40402), ("0", 42202), ("-2", 42202), ("x", 42202)])
def test_versions_that_are_not_there_have_confluents_codes(prices, version, code):
    with pytest.raises(SchemaRefusedError) as refused:
        prices.subjects.version(batch_subject(prices.feed), version)
    assert refused.value.code == code
