"""Sections of the security master that every instrument has."""

from __future__ import annotations

from datetime import timedelta

from feedline.datagen.calendar import business_day, moment
from feedline.datagen.chance import below, between, digits, letters, pick, stream
from feedline.datagen.exact import NO_PERCENT, ONE, PERCENT, PRICE, draw, on_grid, product, units
from feedline.datagen.identifiers import lei
from feedline.datagen.instruments import BILL, BOND, FUTURE, Instrument
from feedline.datagen.market import Market, Section
from feedline.datagen.vocabulary import PRICE_SOURCES

_SIZES = ("LARGE", "LARGE", "MID", "SMALL")
_STYLES = ("Value", "Growth", "Blend")
_ESG = ("AAA", "AA", "A", "BBB", "BB", "B")
_LOT_SIZES = {BOND: 1_000, BILL: 1_000, FUTURE: 1, "FUND": 1}


def names_section(market: Market, instrument: Instrument) -> Section:
    parent = f"{instrument.issuer.split(' ', 1)[0]} Group Holdings {instrument.place.legal_form}"
    return {
        "long_name": f"{instrument.name}, issued by {instrument.issuer}, {instrument.place.country}",
        "issuer_short_name": instrument.issuer[:30].upper(),
        "ultimate_parent_name": parent,
        "ultimate_parent_lei": lei(stream(market.seed, "parent", parent)),
        "guarantor_name": parent if instrument.asset_class == BOND else None,
        "vendor_description": " ".join(
            (instrument.ticker, instrument.place.country, instrument.security_type, instrument.name)
        ).upper(),
    }


def identifiers_section(market: Market, instrument: Instrument) -> Section:
    chance = stream(market.seed, "identifiers", instrument.number)
    country = instrument.place.country
    return {
        "common_code": digits(chance, 9),
        "wertpapier": letters(chance, 1) + digits(chance, 5) if country in ("DE", "CH", "FR", "NL") else None,
        "valor": digits(chance, 8) if country in ("CH", "DE") else None,
        "ric": f"{instrument.ticker}.{instrument.place.mic[1:3]}",
        "bloomberg_ticker": f"{instrument.ticker} {country} {'Corp' if instrument.is_debt else 'Equity'}",
        "bloomberg_unique_id": f"EQ00{digits(chance, 14)}",
        "markit_red_code": None,
        "custodian_security_id": f"BNY{digits(chance, 9)}",
        "accounting_security_id": f"GOLD-{instrument.place.country}-{digits(chance, 10)}",
        "internal_client_id": f"ALDN-{digits(chance, 8)}",
    }


def classification_section(market: Market, instrument: Instrument) -> Section:
    chance = stream(market.seed, "classification", instrument.number)
    shares = not instrument.is_debt and instrument.asset_class != FUTURE
    rated = instrument.rating
    return {
        "bics_code": digits(chance, 10),
        "icb_code": digits(chance, 8),
        "naics_code": digits(chance, 6),
        "cic_code": instrument.cic,
        "barclays_class": "Corporate - Industrial" if instrument.asset_class == BOND else None,
        "msci_country_class": "EMERGING" if instrument.place.is_emerging else "DEVELOPED",
        "market_cap_class": pick(chance, _SIZES) if shares else "NONE",
        "investment_grade": "NOT_RATED"
        if rated is None
        else "HIGH_YIELD"
        if rated[0][:2] in ("BB", "B+") and rated[0][:3] != "BBB"
        else "INVESTMENT_GRADE",
        "liquidity_class": "LIQUID MARKET - MiFIR RTS 1" if shares else "LIQUID MARKET - MiFIR RTS 2",
        "style": pick(chance, _STYLES) if shares else None,
    }


def trading_section(market: Market, instrument: Instrument) -> Section:
    chance = stream(market.seed, "trading", instrument.number)
    place = instrument.place
    return {
        "primary_exchange_name": place.exchange,
        "primary_mic": place.mic,
        "trading_currency": place.currency,
        "lot_size": on_grid(units(_LOT_SIZES.get(instrument.asset_class, 100), 0), units(1, 6)),
        "tick_size": on_grid(units(1, 2), PRICE),
        "price_quotation": instrument.quotation,
        "settlement_cycle_days": 1 if place.country in ("US", "CA") else 2,
        "settlement_location": place.depository,
        "settlement_location_bic": place.depository_bic,
        "calendar_code": f"{place.country}-{place.mic}",
        "trading_opens_at": moment(market.date, place.opens),
        "trading_closes_at": moment(market.date, place.closes),
        "average_volume_30d": between(chance, 40_000, 60_000_000),
        "is_short_sale_restricted": False,
        "is_lendable": below(chance, 4) > 0,
    }


def pricing_section(market: Market, instrument: Instrument) -> Section:
    chance = stream(market.seed, "pricing", instrument.number)
    quote = market.quote(instrument)
    middle = product(instrument.base_quote, ONE, PRICE)
    return {
        "pricing_method": "VENDOR",
        "primary_source": quote.source,
        "secondary_source": pick(chance, PRICE_SOURCES),
        "price_type": "EVALUATED" if instrument.is_debt else "CLOSE",
        "last_price": quote.quoted,
        "last_unit_price": quote.unit,
        "price_timestamp": quote.taken_at,
        "previous_price": quote.previous_quoted,
        "high_52_weeks": product(middle, draw(chance, 1.04, 1.6, units(1, 6)), PRICE),
        "low_52_weeks": product(middle, draw(chance, 0.5, 0.96, units(1, 6)), PRICE),
        "tolerance_percent": on_grid(units(5, 0), PERCENT),
        "stale_limit_days": 5,
        "fair_value_level": "LEVEL_2" if instrument.is_debt else "LEVEL_1",
    }


def ratings_section(market: Market, instrument: Instrument) -> Section:
    chance = stream(market.seed, "ratings", instrument.number)
    rated = business_day(instrument.issue_date, between(chance, 2, 800))
    sp, moodys, fitch, default = instrument.rating or (None,) * 4
    has = instrument.rating is not None
    return {
        "sp_rating": sp,
        "sp_date": rated if has else None,
        "sp_outlook": pick(chance, ("POSITIVE", "STABLE", "STABLE", "NEGATIVE")) if has else None,
        "moodys_rating": moodys,
        "moodys_date": rated + timedelta(days=7) if has else None,
        "fitch_rating": fitch,
        "fitch_date": rated + timedelta(days=12) if has else None,
        "composite_rating": sp,
        "default_probability_percent": None
        if default is None
        else on_grid(units(int(default.replace(".", "")), 10), units(1, 10)),
        "esg_rating": pick(chance, _ESG),
    }


def tax_section(_market: Market, instrument: Instrument) -> Section:
    place = instrument.place
    return {
        "income_country": place.country,
        "statutory_rate": place.statutory_rate,
        "treaty_rate": place.treaty_rate,
        "relief_at_source": place.country in ("US", "GB", "JP"),
        "reclaim_deadline_years": 2 + instrument.number % 4,
        "is_us_source_income": place.country == "US",
        "is_fatca_grandfathered": instrument.is_debt and instrument.issue_date.year < 2014,
        "is_transaction_tax_due": place.country in ("GB", "FR", "HK", "CH") and not instrument.is_debt,
        "qualified_dividend_share_percent": on_grid(units(100, 0), PERCENT) if place.country == "US" else None,
        "tax_classification": "Portfolio interest, no permanent establishment"
        if instrument.is_debt
        else "Ordinary dividend, portfolio holding",
    }


def eligibility_section(market: Market, instrument: Instrument) -> Section:
    chance = stream(market.seed, "eligibility", instrument.number)
    government, debt = instrument.asset_class == BILL, instrument.is_debt
    return {
        "ucits_eligible": instrument.asset_class != FUTURE,
        "rule_2a7_eligible": government,
        "repo_eligible": debt,
        "ecb_eligible": debt and instrument.currency == "EUR",
        "fed_eligible": debt and instrument.currency == "USD",
        "hqla_level": "LEVEL_1" if government else "LEVEL_2B" if debt else "NONE",
        "collateral_haircut_percent": draw(chance, 0.5, 15, PERCENT) if debt else NO_PERCENT,
        "is_rule_144a": instrument.asset_class == BOND and below(chance, 5) == 0,
        "is_regulation_s": instrument.asset_class == BOND and below(chance, 5) == 0,
        "is_sanctioned": False,
        "is_sharia_compliant": below(chance, 6) == 0,
    }
