from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from feedline.batch.codec import codec_for
from feedline.batch.wire import PREFIX_BYTES, schema_id_of
from feedline.catalog import Feed, Topic, Volume
from feedline.errors import ConfigurationError, RecordTooLargeError, SchemaMismatchError
from feedline.producer.row_encoder import RowEncoder

SCHEMA = {
    "type": "record",
    "name": "Holding",
    "businessKeys": ["id"],
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "fund", "type": ["null", "string"], "default": None},
        {"name": "weight", "type": ["null", "double"], "default": None},
        {
            "name": "worth",
            "type": {
                "type": "record",
                "name": "Worth",
                "fields": [
                    {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2}}
                ],
            },
        },
    ],
}
FEED = Feed(
    name="holdings",
    title="Holdings",
    topic=Topic("T"),
    schema=SCHEMA,
    volume=Volume(1, 1),
    control_totals=("worth.amount",),
    fund_field="fund",
    max_record_bytes=200,
)


def text(number, fund="F", amount="0.10"):
    return json.dumps({"id": str(number), "fund": fund, "worth": {"amount": amount}}).encode()


def test_text_and_mappings_of_one_record_are_the_same_bytes():
    encoder = RowEncoder(FEED, 7)
    mapping = {"id": "1", "fund": "F", "worth": {"amount": Decimal("0.10")}}
    assert encoder.encode(text(1)).avro == encoder.encode(mapping).avro


def test_a_message_holds_its_records_in_order_under_the_schemas_id():
    encoder = RowEncoder(FEED, 7)
    value = encoder.join([encoder.encode(text(number)) for number in range(5)])
    assert schema_id_of(value) == 7
    rows = codec_for(SCHEMA).decode([value[PREFIX_BYTES:]], [5]).to_pylist()
    assert [row["id"] for row in rows] == list("01234")


def test_totals_are_exact_and_by_fund():
    encoder = RowEncoder(FEED, 7)
    totals = encoder.totals([encoder.encode(text(n, fund, "0.10")) for n, fund in enumerate(["A", "B", "A", None])])
    assert totals.records == 4
    assert totals.totals == {"worth.amount": Decimal("0.40")}
    assert {fund: (count, sums["worth.amount"]) for fund, (count, sums) in totals.funds.items()} == {
        "A": (2, Decimal("0.20")),
        "B": (1, Decimal("0.10")),
        "": (1, Decimal("0.10")),
    }


def test_a_json_feed_keeps_the_text_and_totals_the_same():
    encoder = RowEncoder(replace(FEED, serialization="json"), 7)
    records = [encoder.encode(text(1)), encoder.encode({"id": "2", "worth": {"amount": Decimal("1.5")}})]
    document = json.loads(encoder.join(records)[PREFIX_BYTES:])
    assert document["records"][0] == json.loads(text(1))
    assert document["records"][1]["worth"]["amount"] == "1.50"
    assert encoder.totals(records).totals == {"worth.amount": Decimal("1.60")}


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (None, None),
        (b"", None),
        (b"[]", None),
        (b"\xff", None),
        (text(1) + b"\n" + text(2), None),
        (text(1, amount="0.101"), "worth.amount"),
        (text(1, amount="x"), "worth.amount"),
        (b'{"id": 1, "worth": {"amount": "1"}}', "id"),
        (b'{"id": "1"}', "worth"),
        ({"id": "1", "worth": {"amount": 1.5}}, "worth.amount"),
        ({"id": "1", "worth": {"amount": Decimal(1)}, "more": 1}, "more"),
    ],
)
def test_what_does_not_fit_names_the_feed_and_the_field(value, field):
    with pytest.raises(SchemaMismatchError) as caught:
        RowEncoder(FEED, 7).encode(value)
    assert (caught.value.where.feed, caught.value.where.field) == ("holdings", field)


def test_a_record_over_the_feeds_limit_is_refused_in_every_form():
    encoder = RowEncoder(FEED, 7)
    long = "x" * 300
    for value in (text(long), {"id": long, "worth": {"amount": Decimal(1)}}):
        with pytest.raises(RecordTooLargeError) as caught:
            encoder.encode(value)
        assert caught.value.where.feed == "holdings"


def test_the_group_is_the_value_of_the_grouping_field():
    encoder = RowEncoder(replace(FEED, batch=replace(FEED.batch, group_by="fund")), 7)
    mapping = {"id": "1", "fund": "F", "worth": {"amount": Decimal(1)}}
    assert encoder.encode(text(1)).group == encoder.encode(mapping).group == "F"


def test_a_control_total_that_cannot_be_exact_is_refused_before_any_record():
    with pytest.raises(ConfigurationError, match="weight"):
        RowEncoder(replace(FEED, control_totals=("weight",)), 7)
