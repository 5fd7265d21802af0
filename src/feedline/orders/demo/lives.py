"""Made-up orders, each with its whole life: entered, some amended, some cancelled."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from feedline.errors import ConfigurationError
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
    event_id,
)

SYMBOLS = ("AAPL", "MSFT", "AMZN", "NVDA", "JPM", "XOM", "KO", "PFE")
FUNDS = ("VFIAX", "FXAIX", "PIMIX", "AGTHX")
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Mix:
    """Shares of all orders, 0 to 1: of the products (the rest are equities), amended, cancelled, and of orders whose
    first event comes a second time with other content, which has to be refused."""

    options: float = 0.2
    funds: float = 0.1
    amended: float = 0.2
    cancelled: float = 0.1
    wrong: float = 0.0

    def __post_init__(self) -> None:
        shares = (self.options, self.funds, self.amended, self.cancelled, self.wrong)
        if not all(0 <= share <= 1 for share in shares) or self.options + self.funds > 1:
            raise ConfigurationError("every share of a mix lies between 0 and 1, options and funds together too")


def order_lives(
    seed: int, source: EntrySource, mix: Mix = Mix(), *, client: str = "demo"
) -> Iterator[list[OrderEvent]]:
    """Orders without end, each as its events in sequence; one seed gives one flow, but for the times.

    client: who enters them, as their events say.

    Transact times are those of the moment at which an order is taken from here.
    """
    chance = random.Random(f"{seed}/{source}")  # noqa: S311
    while True:
        yield [replace(event, client=client) for event in _life(chance, source, mix)]


def _life(chance: random.Random, source: EntrySource, mix: Mix) -> list[OrderEvent]:
    order_id = str(UUID(int=chance.getrandbits(128), version=4))
    product, order = _terms(chance, mix)
    new = OrderEvent(
        event_id=event_id(order_id, 1),
        order_id=order_id,
        sequence=1,
        kind=EventKind.NEW,
        account_id=f"ACC{chance.randrange(10_000_000):07d}",
        product=product,
        order=order,
        transact_time=datetime.now(UTC),
        source=source,
        client="demo",
    )
    life = [new]
    if chance.random() < mix.wrong:
        life.append(replace(new, account_id=f"{new.account_id}-OTHER"))
    if chance.random() < mix.amended:
        life.append(_next(life[0], 2, EventKind.AMEND, _larger(order)))
    if chance.random() < mix.cancelled:
        life.append(_next(life[0], max(one.sequence for one in life) + 1, EventKind.CANCEL, None))
    return life


def _terms(chance: random.Random, mix: Mix) -> tuple[Product, Order]:
    kind = chance.random()
    if kind < mix.funds:
        return Product.MUTUAL_FUND, Order(
            side=chance.choice((Side.SUBSCRIBE, Side.REDEEM)),
            orderType=OrderType.MARKET,
            cashAmount=Decimal(chance.randrange(10_000, 5_000_000)) * _CENT,
            currency="USD",
            symbol=chance.choice(FUNDS),
        )
    symbol, price = chance.choice(SYMBOLS), Decimal(chance.randrange(1_000, 50_000)) * _CENT
    if kind < mix.funds + mix.options:
        expiry = date.today() + timedelta(days=chance.randrange(7, 200))  # noqa: DTZ011
        put_call = chance.choice(list(PutCall))
        return Product.OPTION, Order(
            side=chance.choice((Side.BUY, Side.SELL)),
            orderType=OrderType.LIMIT,
            quantity=Decimal(chance.randrange(1, 100)),
            limitPrice=price,
            currency="USD",
            symbol=symbol,
            option=OptionDetails(symbol, put_call, Decimal(chance.randrange(10, 500)), expiry),
        )
    limit = chance.random() < 0.7
    return Product.EQUITY, Order(
        side=chance.choice((Side.BUY, Side.SELL)),
        orderType=OrderType.LIMIT if limit else OrderType.MARKET,
        quantity=Decimal(chance.randrange(1, 2_000)),
        limitPrice=price if limit else None,
        currency="USD",
        symbol=symbol,
    )


def _larger(order: Order) -> Order:
    def doubled(value: Decimal | None) -> Decimal | None:
        return None if value is None else value * 2

    return Order(
        side=order.side,
        orderType=order.orderType,
        timeInForce=order.timeInForce,
        quantity=doubled(order.quantity),
        cashAmount=doubled(order.cashAmount),
        limitPrice=order.limitPrice,
        currency=order.currency,
        symbol=order.symbol,
        isin=order.isin,
        option=order.option,
    )


def _next(before: OrderEvent, sequence: int, kind: EventKind, order: Order | None) -> OrderEvent:
    return replace(before, event_id=event_id(before.order_id, sequence), sequence=sequence, kind=kind, order=order)
