"""Orders become FIX 4.4 messages that the dictionary takes, and the engine's answers reports of ours, amounts exact."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
import quickfix
from hypothesis import given
from hypothesis import strategies as st

from feedline.errors import SchemaMismatchError
from feedline.orders.fix.dictionary import fields_of, names, parse, received_path
from feedline.orders.fix.messages import message_of, plain, terms_of
from feedline.orders.fix.raw import SOH
from feedline.orders.fix.reports import is_duplicate, moment, report_of
from feedline.orders.model import EventKind, ExecType, OrdStatus, Product, decode_report, encode_report
from order_flow.flow import event


def sent(kind: EventKind, product: Product, sequence: int) -> dict[str, str]:
    made = event("7f0c", sequence, kind, product)
    terms = terms_of(made if made.order is not None else event("7f0c", sequence - 1, EventKind.AMEND, product))
    return fields_of(parse(message_of(made, terms, sequence - 1, 3, 41), "GATEWAY-1", "ENGINE").toString())


@pytest.mark.parametrize("product", list(Product))
@pytest.mark.parametrize(("kind", "msg_type"), [(EventKind.NEW, "D"), (EventKind.AMEND, "G"), (EventKind.CANCEL, "F")])
def test_every_kind_of_every_product_passes_the_dictionary(product, kind, msg_type):
    sequence = 1 if kind is EventKind.NEW else 4
    fields = sent(kind, product, sequence)
    assert fields["35"] == msg_type
    assert fields["11"] == f"7f0c-{sequence}"
    assert fields.get("41") == (None if kind is EventKind.NEW else "7f0c-3")
    assert (fields["9701"], fields["9702"]) == ("3", "41")
    assert ("152" if product is Product.MUTUAL_FUND else "38") in fields


def test_a_message_that_the_session_reads_back_to_send_it_again_is_the_same():
    """It reads its store by the dictionary for what is received, which must know the groups of what we send."""
    made = event("7f0c", 1, EventKind.NEW, Product.OPTION)
    raw = parse(message_of(made, terms_of(made), 0, 3, 41), "GATEWAY-1", "ENGINE").toString()
    again = quickfix.Message(raw, quickfix.DataDictionary(str(received_path())), True)  # noqa: FBT003
    assert again.toString() == raw


def test_data_is_no_field_of_the_message_and_other_bytes_than_utf_8_can_be_read():
    raw = f"35=8{SOH}32=5{SOH}58=ex\udce9{SOH}354=7{SOH}355={SOH}32=7{SOH}x{SOH}"
    assert fields_of(raw) == {"35": "8", "32": "5", "58": "ex\xe9", "354": "7", "355": f"{SOH}32=7{SOH}x"}
    signed = f"35=8{SOH}32=5{SOH}89={SOH}32=7{SOH}x{SOH}93=7{SOH}10=000{SOH}"
    assert fields_of(signed)["32"] == "5"


@pytest.mark.parametrize("without", [{}, {"17": ""}])
def test_a_report_without_an_id_is_none(without):
    """The next one without would pass for its copy."""
    fields = {
        "35": "8", "34": "7", "52": "20261120-14:05:00", "11": "7f0c-1", "150": "0", "39": "0", "14": "0", "151": "9",
        "6": "0",
    }  # fmt: skip
    with pytest.raises(SchemaMismatchError, match="without an id"):
        report_of(fields | without, "GATEWAY-1")


@pytest.mark.parametrize("amount", ["1e3", "1_000", "NaN", "Infinity", "", " 5", "\u0665"])
def test_what_is_no_number_of_fix_is_none_of_ours(amount):
    fields = {
        "35": "8", "34": "7", "52": "20261120-14:05:00", "11": "7f0c-1", "17": "e", "150": "F", "39": "1",
        "32": amount, "31": "1", "14": "1", "151": "9", "6": "1",
    }  # fmt: skip
    with pytest.raises(SchemaMismatchError, match="no report"):
        report_of(fields, "GATEWAY-1")
    assert report_of(fields | {"32": "5."}, "GATEWAY-1").last_qty == Decimal(5)


def test_an_option_is_named_by_its_terms():
    fields = sent(EventKind.NEW, Product.OPTION, 1)
    named = {tag: fields[tag] for tag in ("167", "461", "541", "202", "711", "311")}
    assert named == {"167": "OPT", "461": "OCXXXX", "541": "20270115", "202": "200", "711": "1", "311": "AAPL"}


def test_what_the_dictionary_refuses_is_told_with_the_fields_name():
    with pytest.raises(SchemaMismatchError, match="OrdType"):
        parse(f"35=D{SOH}11=a-1{SOH}55=A{SOH}54=1{SOH}60=20261120-14:05:00{SOH}38=1{SOH}", "A", "B")
    with pytest.raises(SchemaMismatchError, match="Side"):
        parse(f"35=D{SOH}11=a-1{SOH}55=A{SOH}54=Z{SOH}60=20261120-14:05:00{SOH}38=1{SOH}40=1{SOH}", "A", "B")


@given(st.decimals(min_value="0.0001", max_value="99999999999999.9999", places=4))
def test_an_amount_is_written_without_an_exponent_and_keeps_its_value(amount):
    text = plain(amount)
    assert Decimal(text) == amount
    assert "E" not in text
    assert not (text.endswith("0") and "." in text)


def test_a_fill_becomes_a_report():
    fields = {
        "35": "8", "34": "17", "52": "20261120-14:05:00.123", "11": "7f0c-2", "17": "7f0c-2/1", "150": "F", "39": "1",
        "32": "0.0001", "31": "12.500000", "14": "100.0001", "151": "3", "6": "12.5", "43": "Y",
        "60": "20261120-14:05:00",
    }  # fmt: skip
    report = report_of(fields, "GATEWAY-1")
    assert (report.exec_id, report.order_id, report.sequence) == ("7f0c-2/1", "7f0c", 2)
    assert (report.exec_type, report.ord_status) == (ExecType.TRADE, OrdStatus.PARTIALLY_FILLED)
    assert (report.last_qty, report.cum_qty) == (Decimal("0.0001"), Decimal("100.0001"))
    assert report.transact_time == datetime(2026, 11, 20, 14, 5, tzinfo=UTC)
    assert report.poss_dup
    assert report.fix_seq_num == 17


def test_a_cancel_reject_has_the_same_id_whenever_it_comes():
    fields = {"35": "9", "34": "5", "52": "20261120-14:05:00", "11": "7f0c-3", "39": "2", "102": "0"}
    first, again = report_of(fields, "A"), report_of({**fields, "34": "9", "97": "Y"}, "A")
    assert first.exec_type is ExecType.CANCEL_REJECTED
    assert first.exec_id == again.exec_id


def test_a_duplicate_is_no_rejection():
    assert is_duplicate({"35": "8", "150": "8", "103": "6"})
    assert not is_duplicate({"35": "8", "150": "8", "103": "0"})
    assert is_duplicate({"35": "9", "102": "6"})


@pytest.mark.parametrize("changed", [{"11": "none"}, {"150": "Z"}, {"14": "many"}, {"60": "today"}])
def test_what_is_no_report_of_an_order_is_refused(changed):
    fields = {"35": "8", "34": "1", "11": "a-1", "17": "x", "150": "0", "39": "0", "14": "0", "151": "1", "6": "0",
              "60": "20261120-14:05:00"}  # fmt: skip
    report_of(fields, "A")
    with pytest.raises(SchemaMismatchError):
        report_of({**fields, **changed}, "A")


@pytest.mark.parametrize("said", ["Zürich".encode(), "Zürich".encode("latin-1")])
def test_a_fill_is_taken_whatever_the_encoding_of_its_text(said):
    fields = {"35": "8", "34": "1", "11": "a-1", "17": "x", "150": "F", "39": "1", "32": "5", "31": "1.5", "14": "5",
              "151": "1", "6": "1.5", "60": "20261120-14:05:00"}  # fmt: skip
    # So QuickFIX's binding gives bytes that are no UTF-8.
    raw = (
        "".join(f"{tag}={value}{SOH}" for tag, value in fields.items()) + f"58={said.decode(errors='surrogateescape')}"
    )
    report = decode_report(encode_report(report_of(fields_of(raw), "A"), 1))
    assert (report.text, report.last_qty) == ("Zürich", Decimal(5))


def test_a_timestamp_may_have_any_fraction():
    assert moment("20261120-14:05:00.123456789").microsecond == 123456
    assert moment("20261120-14:05:00.5").microsecond == 500_000


def test_tags_and_values_have_names():
    assert names().tags["11"] == "ClOrdID"
    assert (names().tags["453"], names().tags["448"]) == ("NoPartyIDs", "PartyID")
    assert names().values["54", "E"] == "REDEEM"
    assert names().messages["G"] == "OrderCancelReplaceRequest"


@pytest.mark.parametrize("exec_type", ["D", "G", "H"])
def test_the_engine_may_say_what_is_no_report_of_ours(exec_type):
    """It is not refused to the engine, which would be the last of it."""
    said = {"37": "x", "11": "o-1", "17": "e", "150": exec_type, "39": "1", "55": "A", "54": "1", "151": "0", "14": "0"}
    parse("".join(f"{tag}={value}\x01" for tag, value in {"35": "8", **said, "6": "0"}.items()), "ENGINE", "GATEWAY-1")
