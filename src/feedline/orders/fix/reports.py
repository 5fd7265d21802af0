"""What the engine answers, as execution reports of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from feedline.errors import SchemaMismatchError
from feedline.orders.fix.messages import event_of
from feedline.orders.fix.raw import CANCEL_REJECT, REFUSED, exec_id_of
from feedline.orders.model import EventKind, ExecType, ExecutionReport, OrdStatus, Status
from feedline.orders.model.events import PRICE

EXECUTION_REPORT, BUSINESS_REJECT, SESSION_REJECT = "8", "j", "3"
# What is read of a report: of these, one that has a tag twice says nothing for certain.
READ = frozenset({
    "6", "11", "14", "17", "31", "32", "34", "35", "39", "43", "49", "52", "56", "58", "59", "60", "97", "102", "103",
    "150", "151", "790",
})  # fmt: skip

_EXEC_TYPES: Mapping[str, ExecType] = {
    "0": ExecType.NEW,
    "3": ExecType.DONE_FOR_DAY,
    "4": ExecType.CANCELED,
    "5": ExecType.REPLACED,
    "6": ExecType.PENDING_CANCEL,
    "8": ExecType.REJECTED,
    "A": ExecType.PENDING_NEW,
    "C": ExecType.EXPIRED,
    "E": ExecType.PENDING_REPLACE,
    "F": ExecType.TRADE,
    "I": ExecType.ORDER_STATUS,
}
_STATUSES: Mapping[str, OrdStatus] = {
    "0": OrdStatus.NEW,
    "1": OrdStatus.PARTIALLY_FILLED,
    "2": OrdStatus.FILLED,
    "3": OrdStatus.DONE_FOR_DAY,
    "4": OrdStatus.CANCELED,
    "5": OrdStatus.REPLACED,
    "6": OrdStatus.PENDING_CANCEL,
    "8": OrdStatus.REJECTED,
    "A": OrdStatus.PENDING_NEW,
    "C": OrdStatus.EXPIRED,
    "E": OrdStatus.PENDING_REPLACE,
}
_FINAL: Mapping[OrdStatus, Status] = {
    OrdStatus.FILLED: Status.FILLED,
    OrdStatus.CANCELED: Status.CANCELLED,
    OrdStatus.REJECTED: Status.REJECTED,
    OrdStatus.EXPIRED: Status.EXPIRED,
}
# TimeInForce of orders that go on the next day: good till cancel, good till date.
_GO_ON = frozenset({"1", "6"})
# The engine has the request and has not decided.
_UNDECIDED = frozenset({ExecType.PENDING_CANCEL, ExecType.PENDING_REPLACE})
_ZERO = Decimal(0)
_AMOUNT = re.compile(r"-?(?:\d+\.?\d*|\.\d+)", re.ASCII)
_TIMESTAMP = re.compile(r"\d{8}-\d\d:\d\d:\d\d(?:\.\d{1,9})?", re.ASCII)


def is_status(fields: Mapping[str, str]) -> bool:
    """Whether it answers a question, and tells nothing new of the order."""
    return fields.get("150") == "I"


def is_duplicate(fields: Mapping[str, str]) -> bool:
    """Whether the engine says that it has this ClOrdID already: no word on the order itself."""
    if fields["35"] == EXECUTION_REPORT:
        return fields.get("150") == "8" and fields.get("103") == "6"
    return fields["35"] == CANCEL_REJECT and fields.get("102") == "6"


def report_of(fields: Mapping[str, str], session: str) -> ExecutionReport:
    """The report of an ExecutionReport or OrderCancelReject; session: the CompID of ours that it came to.

    AvgPx is rounded to the decimals of a price.
    Raises SchemaMismatchError for what is neither, or of no order of ours.
    """
    if REFUSED in fields:
        raise SchemaMismatchError(fields[REFUSED])
    try:
        name = fields["11"]
        event = event_of(name)
        if event is None:
            raise SchemaMismatchError(f"ClOrdID {name!r} is none of ours", field="ClOrdID")
        rejected = fields["35"] == CANCEL_REJECT
        trade, exec_id = fields.get("150") == "F", exec_id_of(fields)
        if not exec_id:
            raise SchemaMismatchError("a report without an id", field="ExecID")
        return ExecutionReport(
            exec_id=exec_id,
            order_id=event[0],
            cl_ord_id=name,
            sequence=event[1],
            exec_type=ExecType.CANCEL_REJECTED if rejected else _EXEC_TYPES[fields["150"]],
            ord_status=_STATUSES[fields["39"]],
            last_qty=_amount(fields["32"]) if trade else None,
            last_px=_amount(fields["31"]) if trade else None,
            cum_qty=_ZERO if rejected else _amount(fields["14"]),
            leaves_qty=_ZERO if rejected else _amount(fields["151"]),
            # An average of prices has any number of decimals; it is made of amounts that are told exactly.
            avg_px=_ZERO if rejected else _amount(fields["6"]).quantize(PRICE),
            text=fields.get("58"),
            transact_time=moment(fields.get("60") or fields["52"]),
            fix_session=session,
            fix_seq_num=int(fields["34"]),
            poss_dup="Y" in (fields.get("43"), fields.get("97")),
        )
    except (KeyError, ValueError, InvalidOperation) as error:
        raise SchemaMismatchError(f"the engine's message is no report of an order: {error!r}") from error


def final_of(report: ExecutionReport) -> Status | None:
    """How the order ends with this report; a rejected cancellation ends nothing, nor does the end of a day."""
    return None if report.exec_type is ExecType.CANCEL_REJECTED else _FINAL.get(report.ord_status)


def final_in(fields: Mapping[str, str]) -> Status | None:
    """How the order ends with this message of the engine, if it does. One that is done for the day ends only when the
    message says by its TimeInForce that it does not go on the next day."""
    status = _STATUSES.get(fields.get("39", ""))
    if status is None or fields["35"] == CANCEL_REJECT:
        return None
    if status is OrdStatus.DONE_FOR_DAY:
        return None if fields.get("59", "1") in _GO_ON else Status.EXPIRED
    return _FINAL.get(status)


def _amount(text: str) -> Decimal:
    """A number as FIX writes it; Decimal would take more, as 1e3, 1_000 and NaN."""
    if not _AMOUNT.fullmatch(text):
        raise ValueError(f"{text!r} is no number")
    return Decimal(text)


def filled_in(fields: Mapping[str, str]) -> Decimal:
    """CumQty; 0 where it cannot be read."""
    return _quantity(fields.get("14"))


def last_filled_in(fields: Mapping[str, str]) -> Decimal:
    """LastQty of a fill; 0 where it cannot be read, and of another report."""
    return _quantity(fields.get("32")) if fields.get("150") == "F" else _ZERO


def _quantity(text: str | None) -> Decimal:
    try:
        quantity = Decimal(text or 0)
    except InvalidOperation:
        return _ZERO
    return quantity if quantity.is_finite() else _ZERO


def is_over(ord_status: str) -> bool:
    """Whether an order of that OrdStatus has ended."""
    status = _STATUSES.get(ord_status)
    return status in _FINAL


def answers(report: ExecutionReport, kind: EventKind) -> bool:
    """Whether the engine has decided with this report on the event whose ClOrdID it names. Of a cancellation only that
    the order is over says so, or that it is not to be: a fill under its name decides nothing."""
    if report.exec_type in _UNDECIDED:
        return False
    over = report.exec_type is ExecType.CANCEL_REJECTED or final_of(report) is not None
    return over or kind is not EventKind.CANCEL


def moment(text: str) -> datetime:
    """A UTCTimestamp, with or without a fraction of up to nine digits."""
    if not _TIMESTAMP.fullmatch(text):
        raise ValueError(f"{text!r} is no UTCTimestamp")
    return datetime.fromisoformat(f"{text[:8]}T{text[9:]}").replace(tzinfo=UTC)
