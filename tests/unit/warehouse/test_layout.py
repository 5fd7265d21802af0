"""Which tables a schema becomes: read these as the promise to whoever queries them."""

from __future__ import annotations

import re

import pytest

from feedline.catalog import Feed, Topic, Volume, load_catalog
from feedline.errors import ConfigurationError
from feedline.warehouse.ddl import create_current_child_view, create_current_view, create_table, feed_statements
from feedline.warehouse.layout import Column, TableLayout, feed_layout, metadata_of
from feedline.warehouse.names import column_name, comment, literal, quoted
from feedline.warehouse.provision import missing_statements

AMOUNT = {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2}


def feed(*fields, keys=("id",)):
    schema = {"type": "record", "name": "Thing", "doc": "A fund's thing.", "businessKeys": list(keys)}
    return Feed(
        name="things",
        title="Things",
        topic=Topic("T"),
        schema={**schema, "fields": [{"name": "id", "type": "string", "doc": "Its id."}, *fields]},
        volume=Volume(1, 1),
    )


def shape(*fields):
    layout = feed_layout(feed(*fields))
    return {table.name: [f"{c.name} {c.sql_type}" for c in table.columns] for table in layout.tables()}


def test_every_avro_type_has_a_column_type_that_holds_it_exactly():
    kinds = {
        "a": "string",
        "b": "boolean",
        "c": "int",
        "d": "long",
        "e": "double",
        "f": AMOUNT,
        "g": {"type": "int", "logicalType": "date"},
        "h": {"type": "long", "logicalType": "timestamp-micros"},
        "i": {"type": "long", "logicalType": "timestamp-millis"},
        "j": {"type": "enum", "name": "Side", "symbols": ["L", "S"]},
        "k": {"type": "array", "items": "string"},
        "l": ["null", AMOUNT],
    }
    assert shape(*({"name": name, "type": kind} for name, kind in kinds.items()))["THINGS"] == [
        "ID VARCHAR",
        "A VARCHAR",
        "B BOOLEAN",
        "C NUMBER(10,0)",
        "D NUMBER(19,0)",
        "E FLOAT",
        "F NUMBER(18,2)",
        "G DATE",
        "H TIMESTAMP_TZ",
        "I TIMESTAMP_TZ",
        "J VARCHAR",
        "K ARRAY",
        "L NUMBER(18,2)",
    ]


def test_nested_records_become_columns_and_arrays_of_records_child_tables():
    leg = {
        "type": "record",
        "name": "Leg",
        "fields": [
            {"name": "amount", "type": AMOUNT},
            {
                "name": "paidTo",
                "type": {"type": "record", "name": "Bank", "fields": [{"name": "bic", "type": "string"}]},
            },
        ],
    }
    price = {"type": "record", "name": "Price", "fields": [{"name": "asOfDate", "type": "string"}]}
    assert shape(
        {"name": "lastPrice", "type": price}, {"name": "legs", "type": ["null", {"type": "array", "items": leg}]}
    ) == {
        "THINGS": ["ID VARCHAR", "LAST_PRICE__AS_OF_DATE VARCHAR", "LEGS__COUNT NUMBER(10,0)"],
        "THINGS__LEGS": ["AMOUNT NUMBER(18,2)", "PAID_TO__BIC VARCHAR"],
    }


def test_a_nullable_record_that_can_be_all_nulls_says_whether_it_is_there():
    def record(name, kind):
        return ["null", {"type": "record", "name": name, "fields": [{"name": "x", "type": kind}]}]

    assert shape({"name": "maybe", "type": record("M", ["null", "int"])})["THINGS"][1:] == [
        "MAYBE__PRESENT BOOLEAN",
        "MAYBE__X NUMBER(10,0)",
    ]
    assert shape({"name": "sure", "type": record("S", "int")})["THINGS"][1:] == ["SURE__X NUMBER(10,0)"]


def test_a_type_named_before_is_found_by_its_short_and_its_full_name():
    bank = {"type": "record", "name": "Bank", "namespace": "n", "fields": [{"name": "bic", "type": "string"}]}
    assert shape(
        {"name": "from", "type": bank}, {"name": "to", "type": "n.Bank"}, {"name": "via", "type": ["null", "Bank"]}
    )["THINGS"][1:] == ["FROM__BIC VARCHAR", "TO__BIC VARCHAR", "VIA__BIC VARCHAR"]


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ({"name": "m", "type": {"type": "map", "values": "string"}}, "of type 'map' has no column"),
        ({"name": "u", "type": ["string", "int"]}, "only a union of null and one other type"),
        ({"name": "ID", "type": "string"}, "would both be column ID"),
        (
            {"name": "a", "type": {"type": "array", "items": {"type": "array", "items": "int"}}},
            "an array inside an array has no table",
        ),
    ],
)
def test_what_no_table_can_hold_is_refused_with_its_field(field, told):
    with pytest.raises(ConfigurationError, match=told) as caught:
        feed_layout(feed(field))
    assert caught.value.where.field == field["name"]


def test_every_shipped_feed_has_a_layout_with_columns_for_its_keys_totals_and_fund():
    for shipped in load_catalog().feeds.values():
        layout = feed_layout(shipped)
        for path in (*shipped.business_keys, *shipped.control_totals, *filter(None, [shipped.fund_field])):
            assert layout.column_of(path) in layout.table.columns
        assert all(column.doc for table in layout.tables() for column in table.columns)


def test_a_table_has_quoted_names_comments_and_the_metadata_of_its_delivery():
    table = feed_layout(feed({"name": "order", "type": "long", "doc": "A desk's order."})).table
    assert create_table(table).splitlines() == [
        'CREATE TABLE IF NOT EXISTS FEEDLINE.IHUB."THINGS" (',
        "  \"ID\" VARCHAR COMMENT 'Its id.',",
        "  \"ORDER\" NUMBER(19,0) COMMENT 'A desk\u2019s order.',",
        "  \"_CORRELATION_ID\" VARCHAR(36) COMMENT 'The micro-batch the row came in.',",
        "  \"_RECORD_INDEX\" NUMBER(10,0) COMMENT 'The record\u2019s place in its micro-batch, from 0.',",
        "  \"_DELIVERY_ID\" VARCHAR COMMENT 'The delivery the row belongs to.',",
        "  \"_BUSINESS_DATE\" DATE COMMENT 'The delivery\u2019s business date.',",
        "  \"_CYCLE\" VARCHAR(8) COMMENT 'EOD or INTRADAY.',",
        "  \"_TOPIC\" VARCHAR COMMENT 'The Kafka topic.',",
        "  \"_PARTITION\" NUMBER(10,0) COMMENT 'The topic\u2019s partition.',",
        "  \"_OFFSET\" NUMBER(19,0) COMMENT 'The message\u2019s offset in the partition.',",
        "  \"_LOADED_AT\" TIMESTAMP_TZ COMMENT 'When the load that wrote the row decoded it.'",
        ") COMMENT = 'A fund\u2019s thing.'",
    ]


def test_the_current_view_ranks_by_every_business_key_and_the_business_date():
    things = feed({"name": "part", "type": "string"}, keys=("id", "part"))
    view = create_current_view(things, feed_layout(things))
    assert 'FEEDLINE.IHUB."THINGS_CURRENT"' in view
    # The end of day before what came in the course of it, and of each the latest.
    ranked = "ORDER BY IFF(D.CYCLE = 'EOD', 0, 1), D.PRODUCED_AT DESC"
    assert f'PARTITION BY T."ID", T."PART", T."_BUSINESS_DATE" {ranked}' in view
    child = TableLayout("THINGS__LEGS", "", (Column("X", "VARCHAR", "", ("x",)),), array=("legs",))
    assert 'JOIN FEEDLINE.IHUB."THINGS_CURRENT" P' in create_current_child_view(things, child)


def test_a_view_that_was_declared_otherwise_is_made_anew_and_one_that_is_as_declared_is_not():
    things = feed()
    layout = feed_layout(things)
    view = create_current_view(things, layout)
    columns = {column.name: None for column in (*layout.table.columns, *metadata_of(layout.table))}
    existing = {"FEEDLINE.IHUB.THINGS": columns, "FEEDLINE.IHUB.THINGS_CURRENT": columns}
    existing["FEEDLINE.CONTROL.LOAD_FENCE_THINGS"] = {}
    name = "FEEDLINE.IHUB.THINGS_CURRENT"
    assert missing_statements(things, existing, layout, {name: view.partition(" AS\n")[2].lower()}) == []
    # As an older release declared it.
    old = re.sub(r"'[0-9a-f]{16}'", "'00112233445566ff'", view.replace("PRODUCED_AT DESC", "PRODUCED_AT"))
    assert missing_statements(things, existing, layout, {name: old}) == [view]
    # Of before views carried a digest; and one whose query this role is not shown.
    assert missing_statements(things, existing, layout, {name: "SELECT T.* FROM THINGS T"}) == [view]
    assert missing_statements(things, existing, layout, {}) == []


def test_statements_of_a_feed_create_and_never_drop():
    statements = feed_statements(feed(), feed_layout(feed()))
    assert all(s.startswith(("CREATE ", "INSERT INTO FEEDLINE.CONTROL")) for s in statements)


def test_names_and_values_cannot_leave_their_quotes():
    assert column_name(["lastPrice", "asOfDate"]) == "LAST_PRICE__AS_OF_DATE"
    assert column_name(["usdFXRate"]) == "USD_FX_RATE"
    assert literal("O'Neil \\") == "'O''Neil \\\\'"
    assert comment("it's") == "'it\u2019s'"
    for name in ('A"B', "A B", "a", "", "1A"):
        with pytest.raises(ConfigurationError):
            quoted(name)
