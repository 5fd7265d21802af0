"""Order events as FIX 4.4: the fields of NewOrderSingle, OrderCancelReplaceRequest and OrderCancelRequest."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from feedline.errors import SchemaMismatchError
from feedline.orders.fix.raw import SOH
from feedline.orders.model import (
    EventKind,
    OptionDetails,
    Order,
    OrderEvent,
    OrderType,
    Product,
    PutCall,
    Side,
    TimeInForce,
)

_SIDES: Mapping[Side, str] = {
    Side.BUY: "1",
    Side.SELL: "2",
    Side.SELL_SHORT: "5",
    Side.SUBSCRIBE: "D",
    Side.REDEEM: "E",
}
_TYPES: Mapping[OrderType, str] = {OrderType.MARKET: "1", OrderType.LIMIT: "2"}
_TIMES: Mapping[TimeInForce, str] = {
    TimeInForce.DAY: "0",
    TimeInForce.GTC: "1",
    TimeInForce.IOC: "3",
    TimeInForce.FOK: "4",
}
_SECURITIES: Mapping[Product, str] = {Product.EQUITY: "CS", Product.OPTION: "OPT", Product.MUTUAL_FUND: "MF"}
# ISO 10962: options, calls or puts, the rest not said. FIX 4.4 has no PutOrCall.
_CFI: Mapping[PutCall, str] = {PutCall.CALL: "OCXXXX", PutCall.PUT: "OPXXXX"}


def cl_ord_id(order_id: str, sequence: int) -> str:
    """ClOrdID of an event: the same whoever sends it and however often."""
    return f"{order_id}-{sequence}"


def event_of(name: str) -> tuple[str, int] | None:
    """Order and sequence of the event with that ClOrdID; None when it is none of ours."""
    order_id, dash, number = name.rpartition("-")
    return (order_id, int(number)) if dash and number.isdecimal() else None


def terms_of(event: OrderEvent) -> str:
    """The fields by which a cancellation names the order as the event leaves it: account, instrument, side, amount."""
    order = event.order
    if order is None:
        raise SchemaMismatchError(f"{event.kind} without an order", field="order")
    return f"1={event.account_id}{SOH}{_instrument(event.product, order)}54={_SIDES[order.side]}{SOH}{_amount(order)}"


def message_of(event: OrderEvent, terms: str, standing: int, partition: int, offset: int) -> str:
    """The message's fields from MsgType on. terms: those of the event itself, for a cancellation those of the order;
    standing: the sequence under which the engine has the order, of no meaning for a new one.

    partition, offset: where the event lies on its topic, sent along.
    """
    name = cl_ord_id(event.order_id, event.sequence)
    tail = f"60={timestamp(event.transact_time)}{SOH}9701={partition}{SOH}9702={offset}{SOH}"
    if event.kind is EventKind.NEW:
        return f"35=D{SOH}11={name}{SOH}21=1{SOH}{terms}{_conditions(event)}{tail}"
    original = f"41={cl_ord_id(event.order_id, standing)}{SOH}11={name}{SOH}"
    if event.kind is EventKind.AMEND:
        return f"35=G{SOH}{original}21=1{SOH}{terms}{_conditions(event)}{tail}"
    return f"35=F{SOH}{original}{terms}{tail}"


def timestamp(moment: datetime) -> str:
    """UTCTimestamp with microseconds."""
    return moment.astimezone(UTC).strftime("%Y%m%d-%H:%M:%S.%f")


def plain(amount: Decimal) -> str:
    """The amount without trailing zeros and without an exponent: the same value."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _instrument(product: Product, order: Order) -> str:
    isin = f"48={order.isin}{SOH}22=4{SOH}" if order.isin else ""
    option = "" if order.option is None else _option(order.option)
    return f"55={order.symbol}{SOH}{isin}167={_SECURITIES[product]}{SOH}{option}"


def _option(option: OptionDetails) -> str:
    return (
        f"461={_CFI[option.putCall]}{SOH}541={option.expiry:%Y%m%d}{SOH}202={plain(option.strike)}{SOH}"
        f"711=1{SOH}311={option.underlying}{SOH}"
    )


def _amount(order: Order) -> str:
    if order.cashAmount is not None:
        return f"152={plain(order.cashAmount)}{SOH}"
    return f"38={plain(order.quantity)}{SOH}" if order.quantity is not None else ""


def _conditions(event: OrderEvent) -> str:
    order = event.order
    assert order is not None
    price = f"44={plain(order.limitPrice)}{SOH}" if order.limitPrice is not None else ""
    return f"40={_TYPES[order.orderType]}{SOH}{price}15={order.currency}{SOH}59={_TIMES[order.timeInForce]}{SOH}"
