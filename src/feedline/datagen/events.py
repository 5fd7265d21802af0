"""What happened in a fund on a business date: trades and income, in numbers that add up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from random import Random

from feedline.datagen.calendar import business_day, moment
from feedline.datagen.chance import below, between, pick
from feedline.datagen.exact import (
    NO_AMOUNT,
    PRICE,
    draw,
    on_grid,
    percentage,
    product,
    units,
)
from feedline.datagen.funds import Account, Fund
from feedline.datagen.holdings import Holding, account_of, instrument_number, make_holding
from feedline.datagen.instruments import BILL, BOND, FUND, FUTURE, Instrument
from feedline.datagen.market import Market, Quote
from feedline.datagen.vocabulary import CLEARERS

TRANSACTIONS = 200
BUY, SELL, DIVIDEND, INTEREST = "BUY", "SELL", "DIVIDEND", "INTEREST"
_LOT_SIZES = {BOND: 1_000, BILL: 1_000, FUND: 10, FUTURE: 1}


@dataclass(frozen=True, slots=True)
class Charge:
    kind: str
    payee: str
    basis: str
    rate: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Event:
    """The numbers of one transaction, in the trade currency unless said otherwise.

    sign: +1 when cash comes in, -1 when it goes out.
    """

    number: int
    kind: str
    reference: str
    fund: Fund
    account: Account
    instrument: Instrument
    quote: Quote
    unit_price: Decimal
    quantity: Decimal
    gross: Decimal
    accrued: Decimal
    charges: tuple[Charge, ...]
    charge_total: Decimal
    net: Decimal
    cost_relieved: Decimal
    rate: Decimal
    executed_at: datetime
    settles: date
    is_settled: bool

    @property
    def is_trade(self) -> bool:
        return self.kind in (BUY, SELL)

    @property
    def sign(self) -> int:
        return -1 if self.kind == BUY else 1

    def base(self, amount: Decimal) -> Decimal:
        return product(amount, self.rate)


def make_event(market: Market, fund: Fund, number: int, chance: Random) -> Event:
    held = below(chance, TRANSACTIONS)
    instrument = market.instrument(instrument_number(fund, held))
    quote = market.quote(instrument)
    kind = _kind(chance, instrument)
    quantity = on_grid(Decimal(between(chance, 5, 400) * _LOT_SIZES.get(instrument.asset_class, 10)), units(1, 6))
    holding: Holding | None = None
    if kind in (DIVIDEND, INTEREST, SELL):
        holding = make_holding(market, fund, held)
    if kind == SELL and holding is not None:
        quantity = min(quantity, abs(holding.quantity))
    if kind in (DIVIDEND, INTEREST):
        assert holding is not None
        quantity, unit_price = abs(holding.quantity), _income_for_unit(chance, instrument, quote)
    else:
        unit_price = on_grid(product(quote.unit, draw(chance, 0.995, 1.005, units(1, 6)), units(1, 6)), PRICE)
    gross = product(quantity, unit_price)
    accrued = product(quantity, instrument.accrued_for_unit(market.date)) if kind in (BUY, SELL) else NO_AMOUNT
    charges = tuple(_charges(chance, kind, instrument, gross))
    total = sum((charge.amount for charge in charges), NO_AMOUNT)
    place = instrument.place
    cycle = 1 if place.country in ("US", "CA") else 2
    settles = business_day(market.date, cycle) if kind in (BUY, SELL) else market.date
    return Event(
        number=number,
        kind=kind,
        reference=f"TRN{market.date:%Y%m%d}{fund.number + 1:05d}{number + 1:05d}",
        fund=fund,
        account=account_of(fund, held),
        instrument=instrument,
        quote=quote,
        unit_price=unit_price,
        quantity=quantity,
        gross=gross,
        accrued=accrued,
        charges=charges,
        charge_total=total,
        net=-(gross + accrued + total) if kind == BUY else gross + accrued - total,
        cost_relieved=product(quantity, holding.unit_cost) if holding is not None and kind == SELL else NO_AMOUNT,
        rate=market.rate(instrument.currency, fund.base_currency),
        executed_at=moment(
            market.date,
            (place.opens + place.utc_offset + between(chance, 0, 5)) % 24,
            below(chance, 60),
            below(chance, 60),
            below(chance, 1_000_000),
            offset=place.utc_offset,
        ),
        settles=settles,
        is_settled=kind in (DIVIDEND, INTEREST),
    )


def _kind(chance: Random, instrument: Instrument) -> str:
    """Four events of five are trades; the rest is the income that the instrument can pay."""
    if below(chance, 5) == 0 and instrument.asset_class not in (BILL, FUTURE):
        return INTEREST if instrument.is_debt else DIVIDEND
    return pick(chance, (BUY, BUY, SELL))


def _income_for_unit(chance: Random, instrument: Instrument, quote: Quote) -> Decimal:
    if instrument.coupon is not None:
        return percentage(units(1, 0), instrument.coupon / 2, PRICE)
    return product(quote.unit, draw(chance, 0.002, 0.012, units(1, 6)), units(1, 4))


def _charges(chance: Random, kind: str, instrument: Instrument, gross: Decimal) -> Iterator[Charge]:
    place = instrument.place
    if kind in (DIVIDEND, INTEREST):
        rate = place.statutory_rate
        yield Charge("WITHHOLDING_TAX", f"Tax authority of {place.country}", "PERCENT", rate, percentage(gross, rate))
        return
    commission = draw(chance, 0.01, 0.12, units(1, 4))
    for charge_kind, payee, rate in (
        ("COMMISSION", "Executing broker", commission),
        ("EXCHANGE_FEE", place.exchange, units(325, 5)),
        ("CLEARING_FEE", pick(chance, CLEARERS)[0], units(150, 5)),
        ("REGULATORY_FEE", f"Securities regulator of {place.country}", units(278, 6)),
    ):
        percent = on_grid(rate, PRICE)
        yield Charge(charge_kind, payee, "PERCENT", percent, percentage(gross, percent))
    if place.country in ("GB", "FR", "HK", "CH") and kind == BUY and not instrument.is_debt:
        percent = on_grid(
            {"GB": units(5, 1), "FR": units(3, 1), "HK": units(1, 1), "CH": units(75, 3)}[place.country], PRICE
        )
        tax = "TRANSACTION_TAX" if place.country == "FR" else "STAMP_DUTY"
        yield Charge(tax, f"Treasury of {place.country}", "PERCENT", percent, percentage(gross, percent))
