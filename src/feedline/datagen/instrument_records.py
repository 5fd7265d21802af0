"""Records of the fund instruments feed: the security master, once for each fund that holds the instrument."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from feedline.datagen.calendar import business_day
from feedline.datagen.chance import below, between, stream
from feedline.datagen.exact import PERCENT, draw, on_grid, units
from feedline.datagen.funds import Fund
from feedline.datagen.holdings import HOLDINGS, account_of, instrument_number, relief_method
from feedline.datagen.instrument_events import listing_items, schedule_items
from feedline.datagen.instrument_master import (
    classification_section,
    eligibility_section,
    identifiers_section,
    names_section,
    pricing_section,
    ratings_section,
    tax_section,
    trading_section,
)
from feedline.datagen.instrument_terms import capital_section, derivative_section, equity_section, fixed_income_section
from feedline.datagen.instruments import BOND, FUTURE, Instrument
from feedline.datagen.market import Market, Section
from feedline.datagen.sections import audit_section, instrument_section
from feedline.datagen.wording import compliance_note

_ASSET_ACCOUNTS = {
    "EQUITY": "1100-01",
    BOND: "1100-04",
    "FUND": "1100-07",
    "MONEY_MARKET": "1100-06",
    FUTURE: "1400-01",
}
_INCOME_ACCOUNTS = {
    "EQUITY": "4000-02",
    BOND: "4100-02",
    "FUND": "4000-03",
    "MONEY_MARKET": "4100-03",
    FUTURE: "4200-05",
}


def fund_instrument_records(market: Market, fund: Fund) -> Iterator[Section]:
    """One record a holding of the fund: each is in another instrument."""
    for number in range(HOLDINGS):
        instrument = market.instrument(instrument_number(fund, number))
        yield {
            "instrument_id": instrument.instrument_id,
            "fund_id": fund.fund_id,
            "business_date": market.date,
            "effective_from": instrument.issue_date,
            "instrument_status": "ACTIVE",
            "master_version": 100_000 + instrument.number,
            "last_verified_at": market.struck_at - timedelta(hours=2, milliseconds=instrument.number),
            "instrument": market.section("instrument", instrument, instrument_section),
            "names": market.section("names", instrument, names_section),
            "identifiers": market.section("identifiers", instrument, identifiers_section),
            "classification": market.section("classification", instrument, classification_section),
            "trading": market.section("trading", instrument, trading_section),
            "capital": capital_section(market, instrument),
            "fixed_income": market.section("fixed_income", instrument, fixed_income_section),
            "equity": market.section("equity", instrument, equity_section),
            "derivative": market.section("derivative", instrument, derivative_section),
            "pricing": pricing_section(market, instrument),
            "ratings": market.section("ratings", instrument, ratings_section),
            "tax": market.section("tax", instrument, tax_section),
            "eligibility": market.section("eligibility", instrument, eligibility_section),
            "fund_terms": _fund_terms(market, fund, instrument, number),
            "listings": market.section("listings", instrument, listing_items),
            "schedule": market.section("schedule", instrument, schedule_items),
            "audit": audit_section(market, "IHUB-SECURITY-MASTER", 6, fund.number * 1_000 + number + 1),
        }


def _fund_terms(market: Market, fund: Fund, instrument: Instrument, number: int) -> Section:
    chance = stream(market.seed, "terms", fund.number, number)
    member = below(chance, 3) > 0
    limit = on_grid(units(10 if fund.domicile != "US" else 25, 0), PERCENT)
    return {
        "held_account_id": account_of(fund, number).account_id,
        "base_currency": fund.base_currency,
        "asset_account_code": _ASSET_ACCOUNTS[instrument.asset_class],
        "income_account_code": _INCOME_ACCOUNTS[instrument.asset_class],
        "lot_relief_method": relief_method(fund, number),
        "amortization_method": "STRAIGHT_LINE" if instrument.is_debt else "NONE",
        "tax_treatment": f"{fund.domicile} regulated investment company, income gross of treaty relief",
        "limit_percent": limit,
        "is_restricted": False,
        "benchmark_member": member,
        "benchmark_weight_percent": draw(chance, 0.01, 2.4, PERCENT) if member else None,
        "compliance_note": compliance_note(
            issuer=instrument.issuer, limit=limit, fund=fund.name, domicile=fund.domicile
        ),
        "first_held_date": business_day(max(instrument.issue_date, fund.launched), between(chance, 1, 200)),
    }
