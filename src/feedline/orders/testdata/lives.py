"""A stream of order events: many orders at once, each with a life of its own, some events wrong on purpose."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

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
    TimeInForce,
    event_id,
)
from feedline.orders.model.schemas import ORDER_EVENT, order_schema
from feedline.orders.testdata.hints import make_value

MIX: Mapping[Product, float] = MappingProxyType({Product.EQUITY: 0.6, Product.OPTION: 0.25, Product.MUTUAL_FUND: 0.15})
# Orders that may still be amended or cancelled; more are let stand.
OPEN = 2_000
# What is wrong with the events of the error share.
GAP, REUSED, INVALID = "gap", "reused sequence", "invalid"


@dataclass(frozen=True, slots=True)
class LivesPolicy:
    """mix: weights of the products. amend, cancel, errors: shares of all events. source, client: through which entry
    and who enters them; client None: somebody of the schema's hints."""

    mix: Mapping[Product, float] = field(default_factory=lambda: MIX)
    amend: float = 0.2
    cancel: float = 0.1
    errors: float = 0.0
    source: EntrySource = EntrySource.BULK
    client: str | None = None

    def __post_init__(self) -> None:
        shares = (self.amend, self.cancel, self.errors)
        if min(shares) < 0 or sum(shares) > 1 or min(self.mix.values(), default=0) < 0 or sum(self.mix.values()) <= 0:
            raise ConfigurationError("the shares of amendments, cancellations and errors must be 0 to 1 together")


class Made(NamedTuple):
    """An event; wrong: what is wrong with it on purpose, empty when nothing is."""

    event: OrderEvent
    wrong: str = ""


class Lives:
    """Equal seeds give equal events for an entry, but for the times. clock: gives each event's time."""

    def __init__(
        self, policy: LivesPolicy, seed: int, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._policy, self._clock = policy, clock
        self._chance = random.Random(f"{seed}/{policy.source}")  # noqa: S311  test data
        self._open: list[OrderEvent] = []
        fields = {one["name"]: one["type"] for one in order_schema(ORDER_EVENT)["fields"]}
        self._event_types = fields
        self._order_type = next(one for one in fields["order"] if one != "null")
        self._products, self._weights = list(policy.mix), list(policy.mix.values())

    def stream(self, count: int) -> Iterator[Made]:
        """So many events, each order's in sequence."""
        policy, chance = self._policy, self._chance
        for _ in range(count):
            drawn = chance.random()
            if drawn < policy.errors:
                yield self._wrong()
            elif self._open and drawn < policy.errors + policy.amend:
                yield Made(self._amended())
            elif self._open and drawn < policy.errors + policy.amend + policy.cancel:
                yield Made(self._cancelled())
            else:
                yield Made(self._new())

    def whole(self) -> Iterator[list[OrderEvent]]:
        """Orders without end, each with all its events in sequence; of the error share the first event comes a second
        time with other content, which has to be refused. Raises ConfigurationError when so few are new that not every
        cancellation finds its order."""
        policy, chance = self._policy, self._chance
        new = 1.0 - policy.amend - policy.cancel - policy.errors
        if new <= 0 or policy.cancel > new or policy.errors > new:
            raise ConfigurationError("there must be as many new orders as cancellations or errors at the least")
        while True:
            life = [self._entered()]
            if chance.random() < policy.errors / new:
                life.append(self._reused(life[0]))
            last = life[0]
            more, rest = divmod(policy.amend / new, 1.0)
            for _ in range(int(more) + (chance.random() < rest)):
                last = self._next(last, EventKind.AMEND)
                life.append(last)
            if chance.random() < policy.cancel / new:
                life.append(self._next(last, EventKind.CANCEL))
            yield life

    def _new(self) -> OrderEvent:
        event = self._entered()
        place = self._chance.randrange(OPEN)
        if len(self._open) < OPEN:
            self._open.append(event)
        else:
            # One of the others is let stand for good.
            self._open[place] = event
        return event

    def _entered(self) -> OrderEvent:
        product = self._chance.choices(self._products, self._weights)[0]
        order_id = self._value("orderId")
        return OrderEvent(
            event_id=event_id(order_id, 1),
            order_id=order_id,
            sequence=1,
            kind=EventKind.NEW,
            account_id=self._value("accountId"),
            product=product,
            order=self._order(product),
            transact_time=self._clock(),
            source=self._policy.source,
            client=self._policy.client or self._value("client"),
        )

    def _amended(self) -> OrderEvent:
        place = self._chance.randrange(len(self._open))
        event = self._open[place] = self._next(self._open[place], EventKind.AMEND)
        return event

    def _cancelled(self) -> OrderEvent:
        place = self._chance.randrange(len(self._open))
        self._open[place], self._open[-1] = self._open[-1], self._open[place]
        return self._next(self._open.pop(), EventKind.CANCEL)

    def _next(self, last: OrderEvent, kind: EventKind, ahead: int = 1) -> OrderEvent:
        sequence = last.sequence + ahead
        order = None
        if kind is EventKind.AMEND and last.order is not None:
            changed = "cashAmount" if last.order.cashAmount is not None else "quantity"
            order = msgspec.structs.replace(last.order, **{changed: self._amount(changed, last.product)})
        return replace(
            last,
            event_id=event_id(last.order_id, sequence),
            sequence=sequence,
            kind=kind,
            order=order,
            transact_time=self._clock(),
        )

    def _wrong(self) -> Made:
        """An event that must never be sent; the order that it speaks of goes on as if it had not come."""
        sort = self._chance.choice((GAP, REUSED, INVALID)) if self._open else INVALID
        if sort == INVALID:
            event = self._entered()
            assert event.order is not None
            zero = msgspec.structs.replace(event.order, quantity=Decimal("0.0000"), cashAmount=None)
            return Made(replace(event, order=zero), INVALID)
        last = self._open[self._chance.randrange(len(self._open))]
        if sort == GAP:
            # Far enough ahead that the order never gets there.
            return Made(self._next(last, EventKind.CANCEL, ahead=10_000), GAP)
        return Made(self._reused(last), REUSED)

    def _reused(self, event: OrderEvent) -> OrderEvent:
        return replace(event, account_id=f"{event.account_id}X", transact_time=self._clock())

    def _order(self, product: Product) -> Order:
        drawn: dict[str, Any] = make_value(self._order_type, self._chance, self._clock())
        is_fund, by_amount = product is Product.MUTUAL_FUND, self._chance.random() < 0.7
        kind = OrderType.MARKET if is_fund else OrderType(drawn["orderType"])
        return Order(
            side=self._chance.choice((Side.SUBSCRIBE, Side.REDEEM) if is_fund else (Side.BUY, Side.SELL)),
            orderType=kind,
            timeInForce=TimeInForce.DAY if is_fund else TimeInForce(drawn["timeInForce"]),
            quantity=None if is_fund and by_amount else self._amount("quantity", product),
            cashAmount=drawn["cashAmount"] if is_fund and by_amount else None,
            limitPrice=_cents(drawn["limitPrice"]) if kind is OrderType.LIMIT else None,
            currency=drawn["currency"],
            symbol=drawn["symbol"],
            option=self._option(drawn["option"]) if product is Product.OPTION else None,
        )

    def _option(self, drawn: Mapping[str, Any]) -> OptionDetails:
        strike = drawn["strike"].quantize(Decimal(1)).quantize(Decimal("0.000001"))
        return OptionDetails(drawn["underlying"], PutCall(drawn["putCall"]), strike, drawn["expiry"])

    def _amount(self, name: str, product: Product) -> Decimal:
        kind = next(one["type"] for one in self._order_type["fields"] if one["name"] == name)
        made: Decimal = make_value(kind, self._chance, self._clock())
        # Shares and contracts are whole, fund units are not.
        return made if product is Product.MUTUAL_FUND else max(made // 1, Decimal(1)).quantize(Decimal("0.0001"))

    def _value(self, name: str) -> Any:
        return make_value(self._event_types[name], self._chance, self._clock())


def _cents(price: Decimal) -> Decimal:
    return price.quantize(Decimal("0.01")).quantize(Decimal("0.000001"))
