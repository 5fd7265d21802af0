"""Chunks are bounded, duplicates are told from fresh batches, and a report says what failed."""

from __future__ import annotations

import pickle
from datetime import date
from decimal import Decimal

import pytest
from snowflake.connector.errors import DatabaseError, InternalServerError, OperationalError, ProgrammingError

from feedline.batch.consumed import ConsumedBatch
from feedline.batch.headers import AVRO, BatchHeaders
from feedline.batch.identity import Cycle
from feedline.errors import (
    AuthenticationError,
    ConfigurationError,
    ControlMismatchError,
    TerminalError,
    ValidationFailedError,
    WarehouseUnavailableError,
)
from feedline.warehouse.chunk import chunks, split_duplicates
from feedline.warehouse.connection import translate
from feedline.warehouse.load import LoadPolicy
from feedline.warehouse.report import Check, ValidationReport
from feedline.warehouse.status import DeliveryStatus


def batch(name, *, count=10, size=100):
    headers = BatchHeaders(name, "f", date(2026, 11, 20), Cycle.EOD, "d", 0, count, "f.jsonl", AVRO)
    return ConsumedBatch("T", 0, 0, headers, bytes(size))


def test_a_chunk_ends_with_the_batch_that_reaches_a_bound():
    batches = [batch(str(n)) for n in range(7)]
    assert [len(chunk) for chunk in chunks(batches, 250, 100)] == [3, 3, 1]
    assert [len(chunk) for chunk in chunks(batches, 10**6, 2)] == [2, 2, 2, 1]
    assert list(chunks([], 1, 1)) == []


def test_no_more_than_one_chunk_is_read_ahead():
    taken = []
    source = (taken.append(n) or batch(str(n)) for n in range(100))
    next(iter(chunks(source, 1, 5)))
    assert len(taken) == 1


def test_batches_loaded_before_or_twice_are_duplicates():
    one, two, again = batch("1"), batch("2"), batch("1")
    assert split_duplicates([one, two, again], {"2": 10}) == ([one], [two, again])


def test_one_correlation_id_with_two_counts_is_refused_with_its_place():
    with pytest.raises(ControlMismatchError) as caught:
        split_duplicates([batch("1"), batch("1", count=11)], {})
    assert caught.value.where.correlation_id == "1"


def test_a_policy_that_loads_nothing_is_refused():
    with pytest.raises(ConfigurationError):
        LoadPolicy(chunk_bytes=0)


def test_a_report_names_its_failures_exactly():
    good = Check("rows", "the table", 3, 3)
    bad = Check("control totals", "quantity", Decimal("1.10"), Decimal("1.1000000001"))
    same = Check("control totals", "value", Decimal("1.10"), Decimal("1.1"))
    ValidationReport("d", "f", (good, same)).raise_for_failures()
    report = ValidationReport("d", "f", (good, bad, same))
    with pytest.raises(
        ValidationFailedError,
        match=r"1 of 3 .* quantity: 1.1000000001 instead .*replay verify --feeds f",
    ):
        report.raise_for_failures()
    assert report.to_dict()["failures"] == [
        {"name": "control totals", "subject": "quantity", "expected": "1.10", "found": "1.1000000001", "passed": False}
    ]
    assert pickle.loads(pickle.dumps(report)) == report


@pytest.mark.parametrize(
    ("changes", "balanced"),
    [
        ({}, True),
        ({"loaded": 7}, False),
        ({"errors": 1, "error_topic_records": 2}, False),
        ({"delivery_id": None}, False),
    ],
)
def test_a_delivery_balances_only_when_tables_and_error_topic_hold_every_record(changes, balanced):
    whole = {"delivery_id": "d", "source_records": 10, "loaded": 8, "errors": 2, "error_topic_records": 2}
    assert DeliveryStatus("f", status="COMPLETE", **{**whole, **changes}).balanced is balanced


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (OperationalError(msg="away", errno=250001), WarehouseUnavailableError),
        (InternalServerError(msg="500", errno=290500), WarehouseUnavailableError),
        (ProgrammingError(msg="waiters for this lock", errno=625), WarehouseUnavailableError),
        (ProgrammingError(msg="no such table", errno=2003), TerminalError),
        (DatabaseError(msg="Incorrect username or password was specified", errno=250001), AuthenticationError),
    ],
)
def test_the_connectors_errors_say_whether_to_try_again(error, ours):
    translated = translate(error, "cannot do it", feed="f")
    assert type(translated) is ours
    assert translated.where.feed == "f"
