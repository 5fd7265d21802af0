"""What a fund holds on a business date: the numbers that positions, tax lots, valuations and snapshots share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from random import Random

from feedline.datagen.calendar import business_day
from feedline.datagen.chance import below, between, stream
from feedline.datagen.exact import NO_QUANTITY, PRICE, QUANTITY, RATE, draw, on_grid, product, quotient, units
from feedline.datagen.funds import ACCOUNTS, Account, Fund
from feedline.datagen.instruments import BILL, BOND, FUND, FUTURE, UNIVERSE, Instrument
from feedline.datagen.market import Market, Quote

HOLDINGS = 200
# Two positions of five are kept by tax lots, with one to four lots in turn: on average one lot a position.
LOTS = HOLDINGS
_LOT_PATTERN, _LOT_KEPT, _MOST_LOTS = 5, 2, 4
_STRIDE = 19  # coprime to the universe: a fund's instruments are all different

_STEPS = {BOND: units(1000, 0), BILL: units(1000, 0), FUND: units(1, 3), FUTURE: units(1, 0)}
_SHARES = units(10, 0)
_RELIEF = ("FIFO", "LIFO", "HIFO", "SPECIFIC")


@dataclass(frozen=True, slots=True)
class Lot:
    number: int
    lot_id: str
    acquired: date
    quantity: Decimal
    original_quantity: Decimal
    unit_cost: Decimal
    rate: Decimal
    cost_local: Decimal
    cost_base: Decimal


@dataclass(frozen=True, slots=True)
class Holding:
    """One position. Quantities are negative when short; amounts follow the sign of the quantity."""

    number: int
    fund: Fund
    account: Account
    instrument: Instrument
    quote: Quote
    quantity: Decimal
    previous_quantity: Decimal
    rate: Decimal
    previous_rate: Decimal
    cost_rate: Decimal
    unit_cost: Decimal
    market_value_local: Decimal
    market_value_base: Decimal
    cost_local: Decimal
    cost_base: Decimal
    accrued_local: Decimal
    accrued_base: Decimal
    first_acquired: date
    relief_method: str
    lots: tuple[Lot, ...]

    @property
    def position_id(self) -> str:
        return f"POS-{self.account.account_id}-{self.instrument.instrument_id}"


def instrument_number(fund: Fund, number: int) -> int:
    """Which instrument of the universe the fund's holding `number` is in."""
    return (fund.number * 613 + number * _STRIDE) % UNIVERSE


def account_of(fund: Fund, number: int) -> Account:
    return fund.accounts[number % ACCOUNTS]


def lot_count(number: int) -> int:
    """Tax lots of holding `number`, 0 for those kept at average cost."""
    group, place = divmod(number, _LOT_PATTERN)
    return 1 + (group * _LOT_KEPT + place) % _MOST_LOTS if place < _LOT_KEPT else 0


def holdings(market: Market, fund: Fund) -> Iterator[Holding]:
    for number in range(HOLDINGS):
        yield make_holding(market, fund, number)


def relief_method(fund: Fund, number: int) -> str:
    return _RELIEF[(fund.number + number) % len(_RELIEF)] if lot_count(number) else "AVERAGE_COST"


def make_holding(market: Market, fund: Fund, number: int) -> Holding:
    """Holding `number` of a fund: its standing part depends on the seed, its movement on the business date too."""
    chance = stream(market.seed, "holding", fund.number, number)
    instrument = market.instrument(instrument_number(fund, number))
    quote = market.quote(instrument)
    step = _STEPS.get(instrument.asset_class, _SHARES)
    standing = _standing(chance, instrument)
    quantity = on_grid((standing + _moved(market, fund, number, market.date, standing)) * step, QUANTITY)
    previous = on_grid((standing + _moved(market, fund, number, market.previous_date, standing)) * step, QUANTITY)
    rate = market.rate(instrument.currency, fund.base_currency)
    local = product(quantity, quote.unit)
    held = on_grid(standing * step, QUANTITY)
    lots = tuple(_lots(market, fund, number, instrument, chance, quantity=quantity, standing=held))
    if lots:
        cost_local = sum((lot.cost_local for lot in lots), Decimal())
        cost_base = sum((lot.cost_base for lot in lots), Decimal())
        first = min(lot.acquired for lot in lots)
    else:
        cost_local = product(quantity, _paid(chance, instrument))
        cost_base = product(cost_local, _rate_then(market, chance, instrument, fund))
        first = _acquired(market, fund, instrument, chance)
    accrued = product(quantity, instrument.accrued_for_unit(market.date))
    return Holding(
        number=number,
        fund=fund,
        account=account_of(fund, number),
        instrument=instrument,
        quote=quote,
        quantity=quantity,
        previous_quantity=previous,
        rate=rate,
        previous_rate=market.rate(instrument.currency, fund.base_currency, market.previous_date),
        cost_rate=quotient(cost_base, cost_local, RATE),
        unit_cost=quotient(cost_local, quantity, PRICE),
        market_value_local=local,
        market_value_base=product(local, rate),
        cost_local=cost_local,
        cost_base=cost_base,
        accrued_local=accrued,
        accrued_base=product(accrued, rate),
        first_acquired=first,
        relief_method=relief_method(fund, number),
        lots=lots,
    )


def _standing(chance: Random, instrument: Instrument) -> int:
    """Steps held; one holding of thirty is short, of those that can be."""
    low, high = {FUND: (400_000, 90_000_000), FUTURE: (100, 900)}.get(instrument.asset_class, (200, 9_000))
    sign = -1 if below(chance, 30) == 0 and instrument.asset_class not in (FUND, BILL) else 1
    return sign * between(chance, low, high)


def _moved(market: Market, fund: Fund, number: int, day: date, standing: int) -> int:
    """Steps bought or sold lately: on three dates of four none, else at most a twentieth of what is held."""
    chance = stream(market.seed, "movement", fund.number, number, day)
    if below(chance, 4):
        return 0
    most = abs(standing) // 20
    return between(chance, -most, most)


def _paid(chance: Random, instrument: Instrument) -> Decimal:
    """Price of one unit when it was bought."""
    low = 0.93 if instrument.is_debt else 0.62
    return product(instrument.unit_price(instrument.base_quote), draw(chance, low, 1.12, units(1, 6)), PRICE)


def _rate_then(market: Market, chance: Random, instrument: Instrument, fund: Fund) -> Decimal:
    if instrument.currency == fund.base_currency:
        return market.rate(instrument.currency, fund.base_currency)
    return product(
        market.rate(instrument.currency, fund.base_currency, fund.launched), draw(chance, 0.92, 1.08, units(1, 6)), RATE
    )


def _acquired(market: Market, fund: Fund, instrument: Instrument, chance: Random) -> date:
    """A business day since the launch and the issue and before the business date, the same on all later dates."""
    start = min(max(fund.launched, instrument.issue_date), market.date - timedelta(days=400))
    span = min((market.date - start).days - 10, 1_600)
    return business_day(start + timedelta(days=below(chance, span)), 1)


def _lots(
    market: Market,
    fund: Fund,
    number: int,
    instrument: Instrument,
    chance: Random,
    *,
    quantity: Decimal,
    standing: Decimal,
) -> Iterator[Lot]:
    """The lots of a holding: shares of the standing quantity; the last takes the rest and the day's movement."""
    count = lot_count(number)
    grid = units(1, 3) if instrument.asset_class == FUND else units(1, 0)
    left = quantity
    for index in range(count):
        part = on_grid(standing * between(chance, 12, 24) / 100, grid)
        open_quantity = left if index == count - 1 else on_grid(part, QUANTITY)
        left -= open_quantity
        sold = below(chance, 3) == 0
        unit_cost, rate = _paid(chance, instrument), _rate_then(market, chance, instrument, fund)
        cost = product(open_quantity, unit_cost)
        yield Lot(
            number=index + 1,
            lot_id=f"LOT-{account_of(fund, number).account_id}-{instrument.instrument_id}-{index + 1:03d}",
            acquired=_acquired(market, fund, instrument, chance),
            quantity=open_quantity,
            original_quantity=open_quantity + (on_grid(part, QUANTITY) if sold else NO_QUANTITY),
            unit_cost=unit_cost,
            rate=rate,
            cost_local=cost,
            cost_base=product(cost, rate),
        )
