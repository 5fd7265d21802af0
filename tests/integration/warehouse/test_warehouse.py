"""Provisioning: made once, added to, never changed; and the session's errors are ours."""

from __future__ import annotations

import copy
import re
from dataclasses import replace

import pytest

from feedline.catalog import Catalog
from feedline.errors import TerminalError, WarehouseUnavailableError
from feedline.warehouse.connection import Session, open_warehouse
from feedline.warehouse.ddl import create_current_view
from feedline.warehouse.layout import feed_layout
from feedline.warehouse.provision import provision_tables


def columns(connection, table):
    with connection.cursor() as cursor:
        rows = cursor.execute(
            f"SELECT COLUMN_NAME FROM FEEDLINE.INFORMATION_SCHEMA.COLUMNS WHERE TABLE_NAME = '{table}'"
        ).fetchall()
    return {name for (name,) in rows}


def test_provisioning_the_shipped_catalogue_again_runs_no_statement(connection, catalog):
    assert provision_tables(connection, catalog)
    assert provision_tables(connection, catalog) == []
    for feed in catalog.feeds.values():
        for table in feed_layout(feed).tables():
            assert {column.name for column in table.columns} <= columns(connection, table.name)
            assert columns(connection, f"{table.name}_CURRENT") == columns(connection, table.name)


def test_a_view_that_was_declared_otherwise_is_made_anew_once(connection, catalog):
    feed = catalog.feed("positions")
    only = Catalog({feed.name: feed})
    provision_tables(connection, only)
    made = create_current_view(feed, feed_layout(feed))
    with connection.cursor() as cursor:
        older = made.replace("D.PRODUCED_AT DESC", "D.PRODUCED_AT")
        cursor.execute(re.sub(r"'[0-9a-f]{16}'", "'00112233445566ff'", older))
    assert made in provision_tables(connection, only)
    assert provision_tables(connection, only) == []


def test_a_feed_added_later_leaves_the_others_as_they_are(connection, catalog, holdings, make_holding):
    holdings.publish([make_holding(n) for n in range(10)])
    holdings.load()
    name, other = next(iter(catalog.feeds.items()))
    added = replace(other, name=f"{name}_added")
    statements = provision_tables(connection, Catalog({holdings.feed.name: holdings.feed, added.name: added}))
    assert statements
    assert not [statement for statement in statements if holdings.feed.table in statement]
    assert holdings.orders() == list(range(10))


def test_a_field_added_to_a_schema_becomes_a_column_of_the_table_and_its_view(connection, holdings, make_holding):
    holdings.publish([make_holding(n) for n in range(10)])
    holdings.load()
    holdings.publish([make_holding(n) for n in range(10, 20)])
    schema = copy.deepcopy(dict(holdings.feed.schema))
    schema["fields"].append({"name": "desk", "type": ["null", "string"], "default": None, "doc": "Trading desk."})
    holdings.use_schema(schema)
    catalog = Catalog({holdings.feed.name: holdings.feed})
    statements = provision_tables(connection, catalog)
    assert any(statement.startswith("ALTER TABLE") and '"DESK"' in statement for statement in statements)
    assert "DESK" in columns(connection, f"{holdings.feed.table}_CURRENT")
    assert provision_tables(connection, catalog) == []
    # What was written before the field was there loads beside what has it.
    holdings.publish([make_holding(n) | {"desk": "rates"} for n in range(20, 30)])
    holdings.load()
    assert holdings.query('SELECT "ORDER", DESK FROM {table} ORDER BY 1') == [
        (n, "rates" if n >= 20 else None) for n in range(30)
    ]


def test_the_current_view_shows_the_latest_complete_delivery_of_each_key(holdings, make_holding):
    first = holdings.publish([make_holding(n) for n in range(10)])
    second = holdings.publish([make_holding(n) | {"rank": 77} for n in range(5)])
    third = holdings.publish([make_holding(n) | {"rank": 99} for n in range(10)])
    holdings.load()
    assert holdings.query("SELECT COUNT(*) FROM {table}_CURRENT") == [(0,)]
    assert holdings.validate(first).passed
    assert holdings.validate(second).passed
    assert holdings.validate(replace(third, records=11)).passed is False
    rows = holdings.query('SELECT "ORDER", RANK FROM {table}_CURRENT ORDER BY 1')
    assert rows == [(n, 77 if n < 5 else -n) for n in range(10)]
    lots = holdings.query("SELECT COUNT(*) FROM {table}__LOTS_CURRENT")
    assert lots == [(sum(len(make_holding(n)["lots"] or ()) for n in range(10)),)]


def test_a_warehouse_that_is_away_is_a_retriable_error(warehouse_settings):
    away = {**warehouse_settings.warehouse, "port": 1, "login_timeout": 2}
    with pytest.raises(WarehouseUnavailableError), open_warehouse(away):
        pass


def test_a_statement_that_the_warehouse_refuses_is_a_terminal_error_that_names_the_feed(connection):
    with pytest.raises(TerminalError, match=r"cannot look: .*feed=positions"):
        Session(connection, feed="positions").execute("SELECT 1 FROM FEEDLINE.IHUB.NOWHERE", doing="cannot look")
