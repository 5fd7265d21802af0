"""An event is the same after it went through the wire, and what is no event says so."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import fastavro
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.orders.orders_made import EQUITY, FUND, OPTION, event

from feedline.errors import CorruptBatchError, SchemaMismatchError
from feedline.orders.model import (
    EntrySource,
    EventKind,
    ExecType,
    ExecutionReport,
    OrdStatus,
    Product,
    decode_event,
    decode_report,
    encode_event,
    encode_report,
    event_headers,
    facts_from_headers,
    facts_of,
)
from feedline.orders.model.schemas import ORDER_EVENT, parsed_schema

amounts = st.decimals("0.0001", "99999999999999.9999", places=4)


@given(amounts, st.sampled_from([(Product.EQUITY, EQUITY), (Product.OPTION, OPTION), (Product.MUTUAL_FUND, FUND)]))
def test_what_is_encoded_is_decoded_exactly(quantity, product):
    sent = event(product=product[0], order=msgspec.structs.replace(product[1], quantity=quantity))
    assert decode_event(encode_event(sent, 7)) == sent


@given(st.decimals("-99999999999999.9999", "99999999999999.9999", places=4), st.datetimes(timezones=st.just(UTC)))
def test_the_bytes_are_those_that_the_registered_schema_gives(amount, moment):
    """What is written without logical types is what a reader that knows them writes."""
    order = msgspec.structs.replace(OPTION, quantity=amount)
    sent = encode_event(event(product=Product.OPTION, order=order, transact_time=moment), 7)
    schema = parsed_schema(ORDER_EVENT)
    written = io.BytesIO()
    fastavro.schemaless_writer(written, schema, fastavro.schemaless_reader(io.BytesIO(sent[5:]), schema, None))
    assert sent[5:] == written.getvalue()


def test_a_cancellation_has_no_order():
    sent = event(2, EventKind.CANCEL)
    assert decode_event(encode_event(sent, 7)) == sent


def test_an_execution_report_comes_back_as_it_was():
    sent = ExecutionReport(
        exec_id="E1", order_id="o", cl_ord_id="o-1", sequence=1, exec_type=ExecType.TRADE,
        ord_status=OrdStatus.PARTIALLY_FILLED, last_qty=Decimal("10.0000"), last_px=Decimal("1.500000"),
        cum_qty=Decimal("10.0000"), leaves_qty=Decimal("90.0000"), avg_px=Decimal("1.500000"), text=None,
        transact_time=datetime(2026, 11, 20, tzinfo=UTC), fix_session="FIX.4.4:A->B", fix_seq_num=2**40, poss_dup=True,
    )  # fmt: skip
    assert decode_report(encode_report(sent, 8)) == sent


@pytest.mark.parametrize("amount", ["0.00001", "1E+15", "NaN", "Infinity", "1." + "0" * 40 + "1"])
def test_an_amount_that_does_not_fit_is_refused_not_rounded(amount):
    with pytest.raises(SchemaMismatchError):
        encode_event(event(order=msgspec.structs.replace(EQUITY, quantity=Decimal(amount))), 7)


@given(st.binary(max_size=80))
def test_bytes_that_are_no_event_say_so(body):
    with pytest.raises(CorruptBatchError):
        decode_event(b"\x00\x00\x00\x00\x07" + body + b"\xff")


def test_the_headers_tell_the_facts_of_the_event():
    for one in (event(source=EntrySource.HTTP), event(2, EventKind.CANCEL)):
        headers = event_headers(one, facts_of(one), "00-1-2-01")
        assert facts_from_headers(one.order_id.encode(), headers, one.source) == facts_of(one)
    assert facts_from_headers(b"o", event_headers(event(), facts_of(event())), EntrySource.HTTP) is None
    with pytest.raises(CorruptBatchError):
        facts_from_headers(b"o", [("source", b"BULK")], EntrySource.BULK)
    assert replace(one) == one
