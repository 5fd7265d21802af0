"""Sections of the security master that depend on the asset class; None where an instrument has no such terms."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from feedline.datagen.calendar import business_day
from feedline.datagen.chance import below, between, pick, stream
from feedline.datagen.exact import PERCENT, PRICE, draw, on_grid, percent_of, percentage, product, quotient, units
from feedline.datagen.instruments import BILL, BOND, EQUITY, FUND, FUTURE, Instrument
from feedline.datagen.market import Market, Section
from feedline.datagen.vocabulary import CLEARERS

_QUANTITY = units(1, 6)
_PAR = on_grid(units(100, 0), PRICE)


def capital_section(market: Market, instrument: Instrument) -> Section:
    chance = stream(market.seed, "capital", instrument.number)
    shares = between(chance, 8_000_000, 4_000_000_000)
    equity = instrument.asset_class == EQUITY
    unit = instrument.unit_price(instrument.base_quote)
    issued = product(Decimal(shares), unit if not instrument.is_debt else Decimal(1))
    step = on_grid(units(1_000 if instrument.is_debt else 1, 0), _QUANTITY)
    return {
        "issue_price": _PAR if instrument.is_debt else product(unit, draw(chance, 0.1, 0.9, _QUANTITY), PRICE),
        "nominal_value": _PAR if instrument.is_debt else on_grid(units(1, 2), PRICE),
        "amount_issued": issued,
        "amount_outstanding": percentage(issued, draw(chance, 80, 100)),
        "shares_outstanding": None if instrument.is_debt else shares,
        "free_float_percent": draw(chance, 30, 99, PERCENT) if equity else None,
        "market_capitalization": product(Decimal(shares), market.quote(instrument).unit) if equity else None,
        "minimum_denomination": step,
        "minimum_increment": step,
        "current_factor": units(10**18, 18),
    }


def fixed_income_section(market: Market, instrument: Instrument) -> Section | None:
    if not instrument.is_debt:
        return None
    chance = stream(market.seed, "fixed income", instrument.number)
    coupons = instrument.coupon_dates(market.date)
    callable_ = instrument.asset_class == BOND and below(chance, 4) == 0
    first = business_day(instrument.issue_date, 0) + timedelta(days=182)
    return {
        "seniority": "SENIOR" if below(chance, 5) else "SUBORDINATED",
        "coupon_type": "ZERO" if instrument.asset_class == BILL else "FIXED",
        "first_coupon_date": first,
        "last_coupon_date": coupons[0] if coupons else None,
        "next_coupon_date": coupons[1] if coupons else None,
        "accrual_start_date": instrument.issue_date,
        "reference_index": None,
        "spread_basis_points": None,
        "is_callable": callable_,
        "next_call_date": business_day(market.date, between(chance, 100, 900)) if callable_ else None,
        "next_call_price": _PAR if callable_ else None,
        "is_putable": False,
        "is_convertible": False,
        "is_perpetual": False,
        "is_inflation_linked": False,
        "business_day_convention": pick(chance, ("FOLLOWING", "MODIFIED_FOLLOWING", "UNADJUSTED")),
        "redemption_price": _PAR,
    }


def equity_section(market: Market, instrument: Instrument) -> Section | None:
    if instrument.asset_class not in (EQUITY, FUND):
        return None
    chance = stream(market.seed, "equity", instrument.number)
    price = market.quote(instrument).unit
    dividend = product(price, draw(chance, 0.004, 0.05, _QUANTITY), PRICE)
    earnings = product(price, draw(chance, 0.02, 0.12, _QUANTITY), PRICE)
    return {
        "share_type": "UNIT" if instrument.asset_class == FUND else "COMMON",
        "votes_per_share": on_grid(units(0 if instrument.asset_class == FUND else 1, 0), _QUANTITY),
        "dividend_frequency": pick(chance, ("QUARTERLY", "SEMI_ANNUAL", "ANNUAL")),
        "last_dividend_date": business_day(market.date, -between(chance, 5, 60)),
        "last_dividend_rate": quotient(dividend, Decimal(4), PRICE),
        "indicated_annual_dividend": dividend,
        "dividend_yield_percent": percent_of(dividend, price),
        "earnings_per_share": earnings,
        "price_earnings_ratio": quotient(price, earnings, _QUANTITY),
        "book_value_per_share": product(price, draw(chance, 0.2, 0.9, _QUANTITY), PRICE),
        "depositary_ratio": None,
    }


def derivative_section(market: Market, instrument: Instrument) -> Section | None:
    if instrument.asset_class != FUTURE or instrument.maturity is None:
        return None
    chance = stream(market.seed, "derivative", instrument.number)
    return {
        "contract_type": "FUTURE",
        "underlying_id": f"IDX-{instrument.place.mic}",
        "underlying_name": f"{instrument.place.exchange} benchmark index",
        "contract_size": on_grid(instrument.unit_factor, _QUANTITY),
        "strike_price": None,
        "first_notice_date": None,
        "expiry_date": instrument.maturity,
        "settlement_type": "CASH",
        "exercise_style": "NONE",
        "initial_margin_rate": draw(chance, 4, 9, PERCENT),
        "clearing_house": pick(chance, CLEARERS)[1],
    }
