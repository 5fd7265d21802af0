"""The security master: instruments whose terms depend on the seed alone, never on the business date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from random import Random

from feedline.datagen.calendar import month_later
from feedline.datagen.chance import below, between, digits, letters, pick, stream
from feedline.datagen.exact import HUNDRED, PERCENT, PRICE, draw, on_grid, quotient, units
from feedline.datagen.identifiers import cusip, figi, isin, lei, sedol
from feedline.datagen.vocabulary import INDUSTRIES, ISSUER_FIRST, ISSUER_SECOND, MARKET_PLACES, RATINGS, MarketPlace
from feedline.datagen.wording import instrument_wording

# Funds hold overlapping parts of one universe, whatever their number.
UNIVERSE = 4_000

EQUITY, BOND, FUND, BILL, FUTURE = "EQUITY", "FIXED_INCOME", "FUND", "MONEY_MARKET", "DERIVATIVE"
# Of 100 instruments, by index: 60 shares, 25 bonds, 8 funds, 4 bills, 3 futures.
_KINDS = (EQUITY,) * 60 + (BOND,) * 25 + (FUND,) * 8 + (BILL,) * 4 + (FUTURE,) * 3
_STEP = 37  # coprime to 100: neighbours differ in kind

_TYPES = {
    EQUITY: "COMMON_STOCK",
    BOND: "CORPORATE_BOND",
    FUND: "OPEN_END_FUND",
    BILL: "TREASURY_BILL",
    FUTURE: "INDEX_FUTURE",
}
_CFI = {EQUITY: "ESVUFR", BOND: "DBFUFR", FUND: "CIOIES", BILL: "DYZTXR", FUTURE: "FFICSX"}
_CIC = {EQUITY: "31", BOND: "21", FUND: "41", BILL: "13", FUTURE: "A1"}
_MONTHS = {"ANNUAL": 12, "SEMI_ANNUAL": 6, "QUARTERLY": 3}


@dataclass(frozen=True, slots=True)
class Instrument:
    """One line of the security master; None where the asset class has no such term.

    base_quote: the quoted price about which the days' prices move; unit_factor: unit price for one quoted.
    """

    number: int
    instrument_id: str
    asset_class: str
    security_type: str
    cfi: str
    cic: str
    place: MarketPlace
    isin: str | None
    cusip: str | None
    sedol: str | None
    figi: str
    ticker: str
    issuer: str
    issuer_lei: str
    name: str
    description: str
    industry: tuple[str, str, str, str, str] | None
    rating: tuple[str, str, str, str] | None
    issue_date: date
    maturity: date | None
    coupon: Decimal | None
    frequency: str | None
    day_count: str | None
    quotation: str
    base_quote: Decimal
    unit_factor: Decimal

    @property
    def currency(self) -> str:
        return self.place.currency

    @property
    def is_debt(self) -> bool:
        return self.asset_class in (BOND, BILL)

    def unit_price(self, quoted: Decimal) -> Decimal:
        """Price of one unit of the quantity; exact, because quotes of bonds have six decimals at most."""
        return on_grid(quoted * self.unit_factor, PRICE)

    def coupon_dates(self, day: date) -> tuple[date, date] | None:
        """The coupon dates on or before a day and after it; None for instruments that pay none."""
        if self.frequency not in _MONTHS or self.maturity is None:
            return None
        step = _MONTHS[self.frequency]
        months = (day.year - self.issue_date.year) * 12 + day.month - self.issue_date.month
        periods = months // step
        last = month_later(self.issue_date, periods * step)
        if last > day:
            periods -= 1
            last = month_later(self.issue_date, periods * step)
        return last, month_later(self.issue_date, (periods + 1) * step)

    def accrued_for_unit(self, day: date) -> Decimal:
        """Interest accrued on one unit of nominal since the last coupon, actual days over 365."""
        dates = self.coupon_dates(day)
        if dates is None or self.coupon is None:
            return Decimal()
        return quotient(self.coupon * (day - dates[0]).days, HUNDRED * 365, PRICE)


def make_instrument(seed: int, number: int) -> Instrument:
    chance = stream(seed, "instrument", number)
    kind = _KINDS[number * _STEP % len(_KINDS)]
    place = pick(chance, MARKET_PLACES)
    company = f"{pick(chance, ISSUER_FIRST)} {pick(chance, ISSUER_SECOND)} {place.legal_form}"
    issuer = f"Treasury of {place.country}" if kind == BILL else company
    own_cusip = cusip(chance) if place.country in ("US", "CA") and kind != FUTURE else None
    issue = date(between(chance, 1998, 2021), between(chance, 1, 12), between(chance, 1, 28))
    coupon = units(between(chance, 2, 58), 3) * 125 if kind == BOND else None
    maturity = _maturity(chance, kind)
    name, description = instrument_wording(kind, issuer, place, coupon, maturity)
    quotation = {BOND: "PERCENT_OF_PAR", BILL: "PERCENT_OF_PAR", FUTURE: "PER_CONTRACT"}.get(kind, "PER_UNIT")
    return Instrument(
        number=number,
        instrument_id=f"SEC{number + 100_001:08d}",
        asset_class=kind,
        security_type=_TYPES[kind],
        cfi=_CFI[kind],
        cic=f"{place.country}{_CIC[kind]}",
        place=place,
        isin=None if kind == FUTURE else isin(place.country, own_cusip or f"{digits(chance, 9)}"),
        cusip=own_cusip,
        sedol=None if kind == FUTURE else sedol(chance),
        figi=figi(chance),
        ticker=letters(chance, between(chance, 3, 4)),
        issuer=issuer,
        issuer_lei=lei(chance),
        name=name,
        description=description,
        industry=pick(chance, INDUSTRIES) if kind in (EQUITY, BOND) else None,
        rating=pick(chance, RATINGS) if kind in (BOND, BILL) else None,
        issue_date=issue,
        maturity=maturity,
        coupon=None if coupon is None else on_grid(coupon, PERCENT),
        frequency={BOND: pick(chance, tuple(_MONTHS)), BILL: "AT_MATURITY"}.get(kind),
        day_count={BOND: pick(chance, ("ACT_365", "ACT_ACT", "THIRTY_360")), BILL: "ACT_360"}.get(kind),
        quotation=quotation,
        base_quote=_base_quote(chance, kind),
        unit_factor={BOND: units(1, 2), BILL: units(1, 2), FUTURE: Decimal(50)}.get(kind, Decimal(1)),
    )


def _maturity(chance: Random, kind: str) -> date | None:
    """Far enough from any business date in use that no instrument has matured on it; a roll rule is not modelled."""
    if kind == BOND:
        return date(between(chance, 2035, 2055), between(chance, 1, 12), between(chance, 1, 28))
    if kind == BILL:
        return date(2032, 1, 4) + timedelta(days=below(chance, 300))
    return date(2031, 3 * between(chance, 1, 4), 19) if kind == FUTURE else None


def _base_quote(chance: Random, kind: str) -> Decimal:
    low, high, grid = {
        EQUITY: (8, 480, units(1, 4)),
        BOND: (82, 116, units(1, 6)),
        FUND: (40, 260, units(1, 4)),
        BILL: (95, 99.8, units(1, 6)),
        FUTURE: (1_800, 5_600, units(1, 2)),
    }[kind]
    return draw(chance, low, high, grid)
