"""Headers that the ledger cannot hold are those of a corrupt message, and stop no load."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import date

import pytest

from feedline.batch.headers import AVRO, BatchHeaders, read_headers
from feedline.batch.identity import Cycle
from feedline.catalog.feeds import FEED_NAME
from feedline.errors import CorruptBatchError
from feedline.warehouse.chunk import LEDGER_FILES

GOOD = BatchHeaders(
    correlation_id=str(uuid.UUID(int=7)),
    feed="positions",
    business_date=date(2026, 11, 20),
    cycle=Cycle.EOD,
    delivery_id="positions-20261120-EOD-0a1b2c3d4e5f",
    batch_index=0,
    record_count=2**31 - 1,
    source_file="positions.jsonl",
    content_type=AVRO,
)


def test_headers_that_were_written_are_read():
    assert read_headers(GOOD.to_kafka()) == GOOD


@pytest.mark.parametrize(
    "bad", [{"correlation_id": "c" * 37}, {"batch_index": 2**31}, {"record_count": 2**31}, {"batch_index": -(2**40)}]
)
def test_what_the_ledger_cannot_hold_is_corrupt(bad):
    with pytest.raises(CorruptBatchError):
        read_headers(replace(GOOD, **bad).to_kafka())


def test_no_table_of_a_feed_has_the_name_of_the_ledgers_files():
    assert not FEED_NAME.match(LEDGER_FILES.lower())
