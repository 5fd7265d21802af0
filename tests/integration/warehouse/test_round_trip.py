"""Any valid record survives file -> Avro or JSON -> Kafka -> table exactly."""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Context, Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feedline import cycle
from feedline.batch.control_file import control_path, delivery_folder
from feedline.warehouse.layout import Source, feed_layout

BUSINESS_DATE = date(2026, 11, 20)
RECORDS_A_FILE = 12
PRECISE = Context(prec=60)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
days = st.dates(min_value=date(1, 1, 1), max_value=date(9999, 12, 31))
instants = st.builds(lambda day, time: datetime.combine(day, time, UTC), days, st.times())
SCALARS = {
    "string": texts,
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(allow_nan=False, allow_infinity=False),
}
LOGICAL = {
    "date": days,
    "timestamp-micros": instants,
    "timestamp-millis": instants.map(lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000)),
}


def values_of(kind):
    """Values of an Avro type, with its edges among them."""
    if isinstance(kind, list):
        return st.none() | values_of(next(branch for branch in kind if branch != "null"))
    if isinstance(kind, str):
        return SCALARS[kind]
    if kind.get("logicalType") == "decimal":
        digits = 10 ** kind["precision"] - 1
        return st.integers(-digits, digits).map(lambda n: Decimal(n).scaleb(-kind["scale"], PRECISE))
    if kind.get("logicalType") in LOGICAL:
        return LOGICAL[kind["logicalType"]]
    return {
        "record": lambda: st.fixed_dictionaries({f["name"]: values_of(f["type"]) for f in kind["fields"]}),
        "array": lambda: st.lists(values_of(kind["items"]), max_size=3),
        "enum": lambda: st.sampled_from(kind["symbols"]),
    }[kind["type"]]()


def as_json(value):
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(value)


def land(feed, landing, records):
    """The records as a file with its control file."""
    folder = delivery_folder(landing, feed.name, BUSINESS_DATE)
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(record, default=as_json, ensure_ascii=False) + "\n" for record in records).encode()
    name = f"{feed.name}_{BUSINESS_DATE:%Y%m%d}_001.jsonl"
    (folder / name).write_bytes(text)
    total = format(sum((record["value"] or Decimal() for record in records), Decimal()), "f")
    file = {
        "name": name,
        "bytes": len(text),
        "sha256": hashlib.sha256(text).hexdigest(),
        "records": len(records),
        "controlTotals": {"value": total},
    }
    document = {
        "feed": feed.name,
        "businessDate": BUSINESS_DATE.isoformat(),
        "cycle": "EOD",
        "files": [file],
        "records": len(records),
        "controlTotals": {"value": total},
    }
    control_path(landing, feed.name, BUSINESS_DATE).write_text(json.dumps(document), encoding="utf-8")


def deliver(holdings, records):
    """File to table; the delivery's manifest."""
    land(holdings.feed, holdings.settings.landing, records)
    manifest = cycle.produce(holdings.settings, holdings.feed, BUSINESS_DATE)
    for load_range in cycle.plan(holdings.settings, holdings.connection, holdings.feed, manifest):
        cycle.load(holdings.settings, holdings.connection, holdings.feed, load_range)
    return manifest


def expected_row(table, record):
    """What the columns of a table hold of a record, worked out value by value."""
    row = {}
    for column in table.columns:
        value = record
        for name in column.path:
            value = None if value is None else value[name]
        if column.source is Source.COUNT:
            value = None if value is None else len(value)
        elif column.source is Source.PRESENT:
            value = value is not None
        row[column.name] = value
    return row


def exactly(value):
    """A value that equals another only when both are the same to the last bit, digit and sign."""
    if isinstance(value, float):
        return (value, math.copysign(1, value))
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return value


def rows_of(holdings, table, delivery_id, order):
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    rows = holdings.query(
        f"SELECT {names} FROM FEEDLINE.IHUB.{table.name} WHERE _DELIVERY_ID = '{delivery_id}' ORDER BY {order}"
    )
    return [tuple(map(_value, table.columns, row)) for row in rows]


def _value(column, value):
    return exactly(json.loads(value) if column.sql_type == "ARRAY" and value is not None else value)


def assert_exact(holdings, records):
    manifest = deliver(holdings, records)
    assert (manifest.records, manifest.error_records) == (len(records), 0)
    layout = feed_layout(holdings.feed)
    order = "(SELECT MIN(L.BATCH_INDEX) FROM FEEDLINE.CONTROL.LOAD_LEDGER L WHERE L.CORRELATION_ID = _CORRELATION_ID)"
    order = f"{order}, _RECORD_INDEX"
    expected = [tuple(map(exactly, expected_row(layout.table, record).values())) for record in records]
    assert rows_of(holdings, layout.table, manifest.delivery_id, order) == expected
    for child in layout.children:
        items = [item for record in records for item in record[child.array[0]] or ()]
        wanted = [tuple(map(exactly, expected_row(child, item).values())) for item in items]
        assert rows_of(holdings, child, manifest.delivery_id, f"{order}, _ITEM_INDEX") == wanted


@pytest.fixture(params=["avro", "json"])
def serialized(request, holdings):
    holdings.feed = replace(holdings.feed, serialization=request.param, control_totals=("value",))
    return holdings


def test_any_valid_record_survives_exactly(serialized):
    @settings(
        max_examples=6,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )
    @given(st.lists(values_of(dict(serialized.feed.schema)), min_size=RECORDS_A_FILE, max_size=RECORDS_A_FILE))
    def survives(records):
        assert_exact(serialized, records)

    survives()


def test_null_is_no_text_and_a_text_that_looks_like_null_is_one(serialized, make_holding):
    notes = [None, "", "NULL", "null", "None", "\\N", "NaN", "0"]
    records = [make_holding(n) | {"note": note, "value": None} for n, note in enumerate(notes)]
    deliver(serialized, records)
    stored = serialized.query('SELECT NOTE, NOTE IS NULL, "VALUE" IS NULL FROM {table} ORDER BY "ORDER"')
    assert stored == [(note, note is None, True) for note in notes]


def test_dates_and_times_do_not_depend_on_where_the_machine_thinks_it_is(serialized, make_holding, monkeypatch):
    """Fourteen hours ahead: a moment taken for local time would be on another date."""
    try:
        monkeypatch.setenv("TZ", "Pacific/Kiritimati")
        time.tzset()
        assert_exact(serialized, [make_holding(n) for n in range(8)])
    finally:
        monkeypatch.undo()
        time.tzset()


def test_edges_survive_exactly(serialized, make_holding):
    least = make_holding(1) | {
        "quantity": Decimal("-9999999999999999999999999999.9999999999"),
        "value": Decimal("-99999999999999.9999"),
        "order": -(2**63),
        "rank": -(2**31),
        "tradeDate": date(1, 1, 1),
        "struckAt": datetime(1, 1, 1, tzinfo=UTC),
        "paidAt": datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC),
        "ratio": 5e-324,
        "note": "",
        "tags": [],
        "lots": [],
        "instrument": {"isin": "", "rating": None},
    }
    most = make_holding(2) | {
        "quantity": Decimal("9999999999999999999999999999.9999999999"),
        "value": Decimal("0.0001"),
        "order": 2**63 - 1,
        "rank": 2**31 - 1,
        "tradeDate": date(9999, 12, 31),
        "struckAt": datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        "paidAt": None,
        "ratio": 1.7976931348623157e308,
        "note": "\u0000\u001f\\'\"\u2028\U0010ffff",
        "tags": None,
        "lots": None,
        "instrument": {"isin": "x", "rating": {"agency": None, "grade": None}},
    }
    assert_exact(serialized, [least, most])
