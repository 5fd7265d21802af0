"""Orders and events for the tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from feedline.orders.model import (
    EntrySource,
    EventKind,
    OptionDetails,
    Order,
    OrderEvent,
    OrderType,
    Product,
    PutCall,
    Side,
)

EQUITY = Order(
    side=Side.BUY,
    orderType=OrderType.LIMIT,
    quantity=Decimal("100.0000"),
    limitPrice=Decimal("189.250000"),
    currency="USD",
    symbol="AAPL",
    isin="US0378331005",
)
OPTION = Order(
    side=Side.SELL,
    orderType=OrderType.LIMIT,
    quantity=Decimal("3.0000"),
    limitPrice=Decimal("4.050000"),
    currency="USD",
    symbol="AAPL 270115C00200000",
    option=OptionDetails("AAPL", PutCall.CALL, Decimal("200.000000"), date(2027, 1, 15)),
)
FUND = Order(
    side=Side.SUBSCRIBE, orderType=OrderType.MARKET, cashAmount=Decimal("2500.00"), currency="EUR", symbol="WGEQ"
)


def event(sequence: int = 1, kind: EventKind = EventKind.NEW, **changed: Any) -> OrderEvent:
    made = OrderEvent(
        event_id="",
        order_id="order-1",
        sequence=sequence,
        kind=kind,
        account_id="ACC0000001",
        product=Product.EQUITY,
        order=None if kind is EventKind.CANCEL else EQUITY,
        transact_time=datetime(2026, 11, 20, 14, 5, tzinfo=UTC),
        source=EntrySource.BULK,
        client="desk-a",
    )
    return replace(made, **changed)
