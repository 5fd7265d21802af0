"""What an event must be by itself, whatever was before it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from string import ascii_uppercase

from feedline.orders.model.events import (
    CASH,
    PRECISION,
    PRICE,
    QUANTITY,
    EventKind,
    OptionDetails,
    Order,
    OrderEvent,
    OrderType,
    Product,
    Side,
)

MAX_SEQUENCE = 99_999
# A time before or from there on is a default or a mistake of whoever wrote it, and its day none that anybody looks at.
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
NO_TIME = f"must be a time from {EARLIEST.year} to {LATEST.year - 1}"
# Instruments whose ISIN was looked at are remembered: far fewer are traded in a day.
ISINS_KNOWN = 50_000
# With a dash and a sequence behind it the id is a FIX ClOrdID.
ORDER_ID = re.compile(r"[A-Za-z0-9._-]{1,40}")
_EVENT_ID = re.compile(r"[A-Za-z0-9-]{1,40}")
# No control character gets into a FIX field.
_TEXT = re.compile(r"[ -~]{1,64}")
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9 ./-]{0,31}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_ISIN = re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]")
_LETTERS = {ord(letter): str(int(letter, 36)) for letter in ascii_uppercase}
_DOUBLED = {str(digit): sum(divmod(2 * digit, 10)) for digit in range(10)}

_SIDES = {
    Product.EQUITY: frozenset({Side.BUY, Side.SELL, Side.SELL_SHORT}),
    Product.OPTION: frozenset({Side.BUY, Side.SELL}),
    Product.MUTUAL_FUND: frozenset({Side.BUY, Side.SELL, Side.SUBSCRIBE, Side.REDEEM}),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one field; field: its dotted path as in the schema."""

    field: str
    reason: str

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


def faults_of(event: OrderEvent) -> list[Fault]:
    """Everything that is wrong with an event; nothing when it is valid."""
    return [*_event_faults(event), *(_order_faults(event.product, event.order) if event.order is not None else ())]


def _event_faults(event: OrderEvent) -> Iterator[Fault]:
    if not ORDER_ID.fullmatch(event.order_id):
        yield Fault("orderId", "must be 1 to 40 letters, digits, dots, dashes and underscores")
    if event.event_id and not _EVENT_ID.fullmatch(event.event_id):
        yield Fault("eventId", "must be a UUID or empty")
    if not 1 <= event.sequence <= MAX_SEQUENCE:
        yield Fault("sequence", f"must be 1 to {MAX_SEQUENCE}")
    if not _TEXT.fullmatch(event.account_id):
        yield Fault("accountId", "must be 1 to 64 printable ASCII characters")
    if not EARLIEST <= event.transact_time < LATEST:
        yield Fault("transactTime", NO_TIME)
    if event.kind is EventKind.CANCEL and event.order is not None:
        yield Fault("order", "a cancellation has none")
    if event.kind is not EventKind.CANCEL and event.order is None:
        yield Fault("order", f"is missing: {event.kind} says how the order should stand")


def _order_faults(product: Product, order: Order) -> Iterator[Fault]:
    if order.side not in _SIDES[product]:
        yield Fault("order.side", f"{order.side} does not go with {product}")
    if not _CURRENCY.fullmatch(order.currency):
        yield Fault("order.currency", "must be an ISO 4217 code")
    if not _SYMBOL.fullmatch(order.symbol):
        yield Fault("order.symbol", "must be 1 to 32 capital letters, digits, spaces, dots, slashes and dashes")
    if order.isin is not None and not valid_isin(order.isin):
        yield Fault("order.isin", "is no ISIN: look at its check digit")
    yield from _amount_faults(product, order)
    yield from _price_faults(product, order)
    if (order.option is not None) != (product is Product.OPTION):
        yield Fault("order.option", "is missing" if product is Product.OPTION else f"does not go with {product}")
    if order.option is not None:
        yield from _option_faults(order.option)


def _amount_faults(product: Product, order: Order) -> Iterator[Fault]:
    if product is Product.MUTUAL_FUND:
        if (order.quantity is None) == (order.cashAmount is None):
            yield Fault("order.quantity", "a fund order has either quantity or cashAmount")
    else:
        if order.quantity is None:
            yield Fault("order.quantity", "is missing")
        if order.cashAmount is not None:
            yield Fault("order.cashAmount", f"does not go with {product}")
    yield from _exact("order.quantity", order.quantity, QUANTITY)
    yield from _exact("order.cashAmount", order.cashAmount, CASH)
    quantity = order.quantity
    if product is Product.OPTION and quantity is not None and quantity.is_finite() and not _whole(quantity):
        yield Fault("order.quantity", "options trade in whole contracts")


def _whole(value: Decimal) -> bool:
    return value == value.to_integral_value()


def _price_faults(product: Product, order: Order) -> Iterator[Fault]:
    if product is Product.MUTUAL_FUND and order.orderType is not OrderType.MARKET:
        yield Fault("order.orderType", "funds trade at net asset value: use MARKET")
    if (order.limitPrice is not None) != (order.orderType is OrderType.LIMIT):
        missing = order.orderType is OrderType.LIMIT
        yield Fault("order.limitPrice", "is missing" if missing else f"does not go with {order.orderType}")
    yield from _exact("order.limitPrice", order.limitPrice, PRICE)


def _option_faults(option: OptionDetails) -> Iterator[Fault]:
    if not _SYMBOL.fullmatch(option.underlying):
        yield Fault("order.option.underlying", "must be 1 to 32 capital letters, digits, spaces, dots, slashes, dashes")
    yield from _exact("order.option.strike", option.strike, PRICE)


def _exact(field: str, value: Decimal | None, step: Decimal) -> Iterator[Fault]:
    """What keeps an amount from fitting its field exactly."""
    if value is None:
        return
    decimals = -int(step.as_tuple().exponent)
    if not value.is_finite() or value <= 0:
        yield Fault(field, "must be more than 0")
    elif value.adjusted() >= PRECISION - decimals:
        yield Fault(field, f"has more than {PRECISION - decimals} digits before the point")
    elif value != value.quantize(step):
        yield Fault(field, f"has more than {decimals} decimals")


@lru_cache(maxsize=ISINS_KNOWN)
def valid_isin(text: str) -> bool:
    """Whether the text is an ISIN with the right check digit."""
    if not _ISIN.fullmatch(text):
        return False
    # Luhn's check over the digits, a letter being two of them.
    digits = text.translate(_LETTERS)[::-1]
    return (sum(map(int, digits[::2])) + sum(map(_DOUBLED.__getitem__, digits[1::2]))) % 10 == 0
