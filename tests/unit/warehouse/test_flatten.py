"""Rows are what the records say, in every table, each with its place in its batch."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa

from feedline.batch.consumed import ConsumedBatch
from feedline.batch.headers import AVRO, BatchHeaders
from feedline.batch.identity import Cycle
from feedline.catalog import Feed, Topic, Volume
from feedline.warehouse.flatten import Decoded, flatten
from feedline.warehouse.layout import feed_layout

LOADED_AT = datetime(2026, 11, 20, 18, tzinfo=UTC)
SCHEMA = {
    "type": "record",
    "name": "Thing",
    "businessKeys": ["id"],
    "fields": [
        {"name": "id", "type": "int"},
        {
            "name": "maybe",
            "type": [
                "null",
                {
                    "type": "record",
                    "name": "Maybe",
                    "fields": [
                        {"name": "x", "type": ["null", "string"]},
                        {
                            "name": "legs",
                            "type": {
                                "type": "array",
                                "items": {"type": "record", "name": "Leg", "fields": [{"name": "y", "type": "int"}]},
                            },
                        },
                    ],
                },
            ],
        },
    ],
}
THINGS = Feed(name="things", title="Things", topic=Topic("T"), schema=SCHEMA, volume=Volume(1, 1))
ARROW = pa.schema(
    [
        pa.field("id", pa.int32()),
        pa.field("maybe", pa.struct([("x", pa.string()), ("legs", pa.list_(pa.struct([("y", pa.int32())])))])),
    ]
)
RECORDS = [
    {"id": 0, "maybe": {"x": "", "legs": [{"y": 1}, {"y": 2}]}},
    {"id": 1, "maybe": None},
    {"id": 2, "maybe": {"x": None, "legs": []}},
    {"id": 3, "maybe": {"x": "z", "legs": [{"y": 3}]}},
]


def batch(number, count):
    headers = BatchHeaders(
        f"id-{number}", "things", date(2026, 11, 20), Cycle.EOD, "d", number, count, "things.jsonl", AVRO
    )
    return ConsumedBatch("T", 7, 100 + number, headers, b"")


def flat(records, counts):
    decoded = Decoded(
        pa.RecordBatch.from_pylist(records, schema=ARROW), [batch(n, c) for n, c in enumerate(counts)], counts
    )
    return flatten(decoded, feed_layout(THINGS), LOADED_AT)


def columns(table, *names):
    return list(zip(*(table.column(name).to_pylist() for name in names), strict=True))


def test_a_null_record_a_null_field_an_empty_text_and_an_empty_array_are_told_apart():
    assert columns(flat(RECORDS, [4])["THINGS"], "ID", "MAYBE__X", "MAYBE__LEGS__COUNT") == [
        (0, "", 2),
        (1, None, None),
        (2, None, 0),
        (3, "z", 1),
    ]


def test_each_row_knows_its_batch_and_its_place_in_it():
    rows = flat(RECORDS, [1, 0, 3])["THINGS"]
    assert columns(rows, "ID", "_CORRELATION_ID", "_RECORD_INDEX", "_OFFSET") == [
        (0, "id-0", 0, 100),
        (1, "id-2", 0, 102),
        (2, "id-2", 1, 102),
        (3, "id-2", 2, 102),
    ]
    assert columns(rows, "_DELIVERY_ID", "_BUSINESS_DATE", "_CYCLE", "_TOPIC", "_PARTITION", "_LOADED_AT")[0] == (
        "d",
        date(2026, 11, 20),
        "EOD",
        "T",
        7,
        LOADED_AT,
    )


def test_each_item_knows_its_record_and_its_place_in_the_array():
    legs = flat(RECORDS, [2, 2])["THINGS__MAYBE__LEGS"]
    assert columns(legs, "Y", "_CORRELATION_ID", "_RECORD_INDEX", "_ITEM_INDEX") == [
        (1, "id-0", 0, 0),
        (2, "id-0", 0, 1),
        (3, "id-1", 1, 0),
    ]


def test_no_records_give_tables_of_no_rows():
    assert {name: table.num_rows for name, table in flat([], []).items()} == {"THINGS": 0, "THINGS__MAYBE__LEGS": 0}


def test_a_slice_of_records_gives_the_rows_of_that_slice():
    sliced = pa.RecordBatch.from_pylist(RECORDS, schema=ARROW).slice(2)
    tables = flatten(Decoded(sliced, [batch(0, 2)], [2]), feed_layout(THINGS), LOADED_AT)
    assert tables["THINGS"].column("ID").to_pylist() == [2, 3]
    assert columns(tables["THINGS__MAYBE__LEGS"], "Y", "_RECORD_INDEX") == [(3, 1)]
