"""Single records in Confluent's wire format: the prefix with the schema id, then the Avro body."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import fastavro

from feedline.batch.wire import PREFIX_BYTES, prefix, schema_id_of
from feedline.errors import CorruptBatchError, SchemaMismatchError
from feedline.orders.model.events import (
    CASH,
    PRICE,
    QUANTITY,
    EntrySource,
    EventKind,
    ExecType,
    ExecutionReport,
    OptionDetails,
    Order,
    OrderEvent,
    OrderType,
    OrdStatus,
    Product,
    PutCall,
    Side,
    TimeInForce,
)
from feedline.orders.model.plain import amount_bytes, days, microseconds
from feedline.orders.model.schemas import EXECUTION_REPORT, ORDER_EVENT, parsed_schema, plain_schema

T = TypeVar("T")
# The branches of unions of records.
ORDER, OPTION = "wealth.orders.Order", "wealth.orders.OptionDetails"

# The writer's schema of a message, by its id: the registry's, kept by the caller.
WriterSchema = Callable[[int], Any]


def encode_event(event: OrderEvent, schema_id: int) -> bytes:
    """The message's value; raises SchemaMismatchError for an amount that does not fit its field."""
    return _encode(_event_document, event, ORDER_EVENT, schema_id)


def decode_event(value: bytes | None, writer: WriterSchema | None = None) -> OrderEvent:
    """The event of a message's value. writer: gives the schema of an id when messages may be of another version than
    ours. Raises CorruptBatchError for what is no event; whatever `writer` raises."""
    return _event(_decode(value, ORDER_EVENT, writer))


def encode_report(report: ExecutionReport, schema_id: int) -> bytes:
    """The message's value; raises SchemaMismatchError."""
    return _encode(_report_document, report, EXECUTION_REPORT, schema_id)


def decode_report(value: bytes | None, writer: WriterSchema | None = None) -> ExecutionReport:
    """As `decode_event`, of an execution report."""
    return _report(_decode(value, EXECUTION_REPORT, writer))


def _encode(document_of: Callable[[T], Mapping[str, Any]], record: T, name: str, schema_id: int) -> bytes:
    output = io.BytesIO()
    output.write(prefix(schema_id))
    try:
        fastavro.schemaless_writer(output, plain_schema(name), document_of(record))
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
        raise SchemaMismatchError(f"the {name} does not fit its schema: {error}") from error
    return output.getvalue()


def _decode(value: bytes | None, name: str, writer: WriterSchema | None) -> dict[str, Any]:
    number = schema_id_of(value)
    assert value is not None
    ours = parsed_schema(name)
    theirs = writer(number) if writer else ours
    body = io.BytesIO(value)
    body.seek(PREFIX_BYTES)
    try:
        document: Any = fastavro.schemaless_reader(body, theirs, None if theirs is ours else ours)
    # Whatever bytes make of the reader: it promises no kind of error.
    except Exception as error:
        raise CorruptBatchError(f"the message is no {name} of schema {number}: {error}") from error
    if body.read(1):
        raise CorruptBatchError(f"the message is longer than its {name}")
    return document  # type: ignore[no-any-return]


def _event_document(event: OrderEvent) -> dict[str, Any]:
    order = event.order
    return {
        "eventId": event.event_id,
        "orderId": event.order_id,
        "sequence": event.sequence,
        "kind": event.kind,
        "accountId": event.account_id,
        "product": event.product,
        # Which branch of the union it is: fastavro would otherwise hold it against the schema first.
        "order": None if order is None else (ORDER, _order_document(order)),
        "transactTime": microseconds(event.transact_time),
        "source": event.source,
        "client": event.client,
        "idempotencyKey": event.idempotency_key,
    }


def _order_document(order: Order) -> dict[str, Any]:
    option = order.option
    return {
        "side": order.side,
        "orderType": order.orderType,
        "timeInForce": order.timeInForce,
        "quantity": amount_bytes(order.quantity, QUANTITY),
        "cashAmount": amount_bytes(order.cashAmount, CASH),
        "limitPrice": amount_bytes(order.limitPrice, PRICE),
        "currency": order.currency,
        "symbol": order.symbol,
        "isin": order.isin,
        "option": None
        if option is None
        else (
            OPTION,
            {
                "underlying": option.underlying,
                "putCall": option.putCall,
                "strike": amount_bytes(option.strike, PRICE),
                "expiry": days(option.expiry),
            },
        ),
    }


def _event(document: dict[str, Any]) -> OrderEvent:
    order = document["order"]
    return OrderEvent(
        event_id=document["eventId"],
        order_id=document["orderId"],
        sequence=document["sequence"],
        kind=EventKind(document["kind"]),
        account_id=document["accountId"],
        product=Product(document["product"]),
        order=None if order is None else _order(order),
        transact_time=document["transactTime"],
        source=EntrySource(document["source"]),
        client=document["client"],
        idempotency_key=document["idempotencyKey"],
    )


def _order(document: dict[str, Any]) -> Order:
    option = document["option"]
    return Order(
        side=Side(document["side"]),
        orderType=OrderType(document["orderType"]),
        timeInForce=TimeInForce(document["timeInForce"]),
        quantity=document["quantity"],
        cashAmount=document["cashAmount"],
        limitPrice=document["limitPrice"],
        currency=document["currency"],
        symbol=document["symbol"],
        isin=document["isin"],
        option=None
        if option is None
        else OptionDetails(option["underlying"], PutCall(option["putCall"]), option["strike"], option["expiry"]),
    )


def _report_document(report: ExecutionReport) -> dict[str, Any]:
    return {
        "execId": report.exec_id,
        "orderId": report.order_id,
        "clOrdId": report.cl_ord_id,
        "sequence": report.sequence,
        "execType": report.exec_type,
        "ordStatus": report.ord_status,
        "lastQty": amount_bytes(report.last_qty, QUANTITY),
        "lastPx": amount_bytes(report.last_px, PRICE),
        "cumQty": amount_bytes(report.cum_qty, QUANTITY),
        "leavesQty": amount_bytes(report.leaves_qty, QUANTITY),
        "avgPx": amount_bytes(report.avg_px, PRICE),
        "text": report.text,
        "transactTime": microseconds(report.transact_time),
        "fixSession": report.fix_session,
        "fixSeqNum": report.fix_seq_num,
        "possDup": report.poss_dup,
    }


def _report(document: dict[str, Any]) -> ExecutionReport:
    return ExecutionReport(
        exec_id=document["execId"],
        order_id=document["orderId"],
        cl_ord_id=document["clOrdId"],
        sequence=document["sequence"],
        exec_type=ExecType(document["execType"]),
        ord_status=OrdStatus(document["ordStatus"]),
        last_qty=document["lastQty"],
        last_px=document["lastPx"],
        cum_qty=document["cumQty"],
        leaves_qty=document["leavesQty"],
        avg_px=document["avgPx"],
        text=document["text"],
        transact_time=document["transactTime"],
        fix_session=document["fixSession"],
        fix_seq_num=document["fixSeqNum"],
        poss_dup=document["possDup"],
    )
