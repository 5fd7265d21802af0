"""What the market was on one business date: instruments, prices and exchange rates, each drawn once and kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import orjson

from feedline.datagen.calendar import business_day, moment
from feedline.datagen.chance import between, pick, stream
from feedline.datagen.exact import ONE, PRICE, RATE, draw, percent_of, product, quotient, units
from feedline.datagen.instruments import FUTURE, Instrument, make_instrument
from feedline.datagen.render import dump_numbers
from feedline.datagen.vocabulary import PRICE_SOURCES, USD_VALUES

Section = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Quote:
    """An instrument's price on the date and on the business day before."""

    quoted: Decimal
    unit: Decimal
    previous_quoted: Decimal
    previous_unit: Decimal
    change_percent: Decimal
    bid: Decimal
    ask: Decimal
    source: str
    second_source: str
    second_price: Decimal
    taken_at: datetime
    stale_days: int


class Market:
    """One business date's market for a seed.

    Instruments, quotes, rates and rendered sections are kept once made; the universe is fixed, so memory is bounded
    whatever the number of funds.
    """

    def __init__(self, seed: int, business_date: date) -> None:
        self.seed = seed
        self.date = business_date
        self.previous_date = business_day(business_date, -1)
        self.rate_timestamp = moment(business_date, 16)
        self.struck_at = moment(business_date, 22, 30, 0)
        self._instruments: dict[int, Instrument] = {}
        self._quotes: dict[int, Quote] = {}
        self._rates: dict[tuple[str, str, date], Decimal] = {}
        self._sections: dict[tuple[str, int], orjson.Fragment] = {}
        self._day_before: Market | None = None

    def day_before(self) -> Market:
        """The market of the business day before, with the same instruments."""
        if self._day_before is None:
            self._day_before = Market(self.seed, self.previous_date)
            self._day_before._instruments = self._instruments
        return self._day_before

    def instrument(self, number: int) -> Instrument:
        found = self._instruments.get(number)
        if found is None:
            found = self._instruments[number] = make_instrument(self.seed, number)
        return found

    def quote(self, instrument: Instrument) -> Quote:
        found = self._quotes.get(instrument.number)
        if found is None:
            found = self._quotes[instrument.number] = self._make_quote(instrument)
        return found

    def rate(self, currency: str, base: str, day: date | None = None) -> Decimal:
        """Units of `base` for one of `currency` on the date, or on the day given."""
        if currency == base:
            return ONE
        key = (currency, base, day or self.date)
        found = self._rates.get(key)
        if found is None:
            found = quotient(self._usd(currency, key[2]), self._usd(base, key[2]), RATE)
            self._rates[key] = found
        return found

    def section(
        self, kind: str, instrument: Instrument, make: Callable[[Market, Instrument], object]
    ) -> orjson.Fragment:
        """A part of a record that depends on the instrument and the date alone, rendered once."""
        found = self._sections.get((kind, instrument.number))
        if found is None:
            # A copy: orjson's own bytes keep the room of the buffer they were written in, several times their length.
            rendered = bytes(memoryview(dump_numbers(make(self, instrument))))
            found = orjson.Fragment(rendered)
            self._sections[kind, instrument.number] = found
        return found

    def _usd(self, currency: str, day: date) -> Decimal:
        if currency == "USD":
            return ONE
        middle = USD_VALUES[currency]
        return draw(stream(self.seed, "fixing", currency, day), middle * 0.98, middle * 1.02, RATE)

    def _quoted(self, instrument: Instrument, day: date) -> Decimal:
        """Within 3 percent of the base quote, debt within 1; a day's price needs no other day's."""
        width = 0.01 if instrument.is_debt else 0.03
        factor = draw(stream(self.seed, "price", instrument.number, day), 1 - width, 1 + width, units(1, 6))
        return product(instrument.base_quote, factor, units(1, 2 if instrument.asset_class == FUTURE else 4))

    def _make_quote(self, instrument: Instrument) -> Quote:
        chance = stream(self.seed, "quote", instrument.number, self.date)
        quoted, previous = self._quoted(instrument, self.date), self._quoted(instrument, self.previous_date)
        half_spread = product(quoted, draw(chance, 0.0001, 0.0012, units(1, 6)), PRICE)
        source = pick(chance, PRICE_SOURCES)
        return Quote(
            quoted=product(quoted, ONE, PRICE),
            unit=instrument.unit_price(quoted),
            previous_quoted=product(previous, ONE, PRICE),
            previous_unit=instrument.unit_price(previous),
            change_percent=percent_of(quoted - previous, previous),
            bid=quoted - half_spread,
            ask=quoted + half_spread,
            source=source,
            second_source=pick(chance, PRICE_SOURCES),
            second_price=product(quoted, draw(chance, 0.998, 1.002, units(1, 6)), PRICE),
            taken_at=moment(self.date, instrument.place.closes, between(chance, 0, 29), 0, between(chance, 0, 999_999)),
            stale_days=0,
        )
