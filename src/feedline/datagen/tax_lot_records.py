"""Records of the tax lots feed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from random import Random

from feedline.datagen.calendar import business_day, moment
from feedline.datagen.chance import below, between, digits, pick, stream
from feedline.datagen.exact import NO_AMOUNT, PRICE, draw, on_grid, percentage, product, quotient, units
from feedline.datagen.funds import CUSTODIAN_BIC, Fund
from feedline.datagen.holdings import Holding, Lot, holdings
from feedline.datagen.instruments import FUTURE, Instrument
from feedline.datagen.market import Market, Section
from feedline.datagen.sections import audit_section
from feedline.datagen.vocabulary import BROKERS, RATE_SOURCE
from feedline.datagen.wording import basis_narrative

# US Internal Revenue Code section 1222: long-term is more than a year.
_LONG_TERM_DAYS = 365
_FACTOR = units(10**10, 10)
_ADJUSTMENTS = {
    "SPLIT": "Share split, cost carried over and spread on the new number of shares",
    "SPIN_OFF": "Demerger, cost apportioned by the first day's market values of both issuers",
    "RETURN_OF_CAPITAL": "Distribution from share premium, deducted from the cost for tax",
    "AMORTIZATION": "Straight line amortization of the difference between cost and par",
}


def tax_lot_records(market: Market, fund: Fund) -> Iterator[Section]:
    """One record a lot, in the order of the positions."""
    sequence = fund.number * 1_000
    for holding in holdings(market, fund):
        for lot in holding.lots:
            sequence += 1
            yield _record(market, holding, lot, sequence)


def _record(market: Market, holding: Holding, lot: Lot, sequence: int) -> Section:
    fund, instrument = holding.fund, holding.instrument
    chance = stream(market.seed, "lot", fund.number, holding.number, lot.number)
    days = (market.date - lot.acquired).days
    term = "LONG_TERM" if days > _LONG_TERM_DAYS else "SHORT_TERM"
    local = product(lot.quantity, holding.quote.unit)
    base = product(local, holding.rate)
    opening = f"TRN{lot.acquired:%Y%m%d}{fund.number + 1:05d}{digits(chance, 5)}"
    accrued = product(lot.quantity, instrument.accrued_for_unit(market.date))
    original = product(lot.original_quantity, lot.unit_cost)
    gain_base = base - lot.cost_base
    price_gain = product(local - lot.cost_local, lot.rate)
    opening_trade = _opening(holding, lot, chance)
    return {
        "lot_id": lot.lot_id,
        "fund_id": fund.fund_id,
        "account_id": holding.account.account_id,
        "instrument_id": instrument.instrument_id,
        "business_date": market.date,
        "lot_number": lot.number,
        "lot_status": "OPEN" if lot.quantity == lot.original_quantity else "PARTIAL",
        "long_short": "SHORT" if lot.quantity < 0 else "LONG",
        "opening_transaction_id": opening,
        "acquisition_date": lot.acquired,
        "acquisition_settlement_date": business_day(lot.acquired, 2),
        "acquired_at": _executed(lot.acquired, instrument, chance),
        "lot_relief_method": holding.relief_method,
        "holding_period": term,
        "holding_days": days,
        "quantity": lot.quantity,
        "original_quantity": lot.original_quantity,
        "cost_local": lot.cost_local,
        "cost_base": lot.cost_base,
        "market_value_local": local,
        "market_value_base": base,
        "security": market.section("security", instrument, _security),
        "unit_cost": _unit_cost(lot),
        "valuation": {
            "unit_price": holding.quote.unit,
            "local": {
                "original_cost": original,
                "amortized_cost": lot.cost_local,
                "accrued_income": accrued,
                "unrealized_gain": local - lot.cost_local,
            },
            "base": {
                "original_cost": product(original, lot.rate),
                "amortized_cost": lot.cost_base,
                "accrued_income": product(accrued, holding.rate),
                "unrealized_gain": gain_base,
                "unrealized_fx_gain": gain_base - price_gain,
            },
        },
        "fx": {
            "local_currency": instrument.currency,
            "base_currency": fund.base_currency,
            "acquisition_rate": lot.rate,
            "current_rate": holding.rate,
            "rate_source": RATE_SOURCE,
            "rate_timestamp": market.rate_timestamp,
        },
        "tax": {
            "tax_domicile": fund.domicile,
            "is_covered": lot.acquired.year >= 2011,  # the US cost basis rules cover shares bought since then
            "is_section_1256": instrument.asset_class == FUTURE,
            "is_inherited": False,
            "tax_cost_local": lot.cost_local,
            "tax_cost_base": lot.cost_base,
            "wash_sale_deferred_base": NO_AMOUNT,
            "wash_sale_date": None,
            "return_of_capital_base": NO_AMOUNT,
            "short_term_gain_base": gain_base if term == "SHORT_TERM" else NO_AMOUNT,
            "long_term_gain_base": gain_base if term == "LONG_TERM" else NO_AMOUNT,
            "basis_narrative": basis_narrative(
                acquired=lot.acquired,
                broker=opening_trade["broker_name"],
                currency=instrument.currency,
                base=fund.base_currency,
                rate=lot.rate,
                domicile=fund.domicile,
                method=holding.relief_method,
            ),
            "long_term_date": lot.acquired + timedelta(days=_LONG_TERM_DAYS + 1),
        },
        "amortization": _amortization(market, holding, lot, chance),
        "opening": opening_trade,
        "accounting": {
            "ledger_basis": "GAAP" if fund.base_currency == "USD" else "IFRS",
            "asset_account_code": "1100-01",
            "gain_account_code": "4200-01",
            "journal_id": f"JNL-{opening[3:]}",
            "posted_at": moment(lot.acquired, 22, 30),
        },
        "adjustments": list(_adjustments(market, holding, lot, chance)),
        "audit": audit_section(market, "IHUB-TAX-LOT-ENGINE", 3, sequence),
    }


def _security(_market: Market, instrument: Instrument) -> Section:
    return {
        "isin": instrument.isin,
        "cusip": instrument.cusip,
        "sedol": instrument.sedol,
        "ticker": instrument.ticker,
        "security_name": instrument.name,
        "asset_class": instrument.asset_class,
        "issue_currency": instrument.currency,
        "issue_country": instrument.place.country,
        "description": instrument.description,
    }


def _unit_cost(lot: Lot) -> Section:
    base = quotient(lot.cost_base, lot.quantity, PRICE)
    return {"local": lot.unit_cost, "base": base, "original_local": lot.unit_cost, "original_base": base}


def _executed(day: date, instrument: Instrument, chance: Random) -> object:
    place = instrument.place
    hour = place.opens + place.utc_offset + between(chance, 0, 5)
    return moment(day, hour, below(chance, 60), below(chance, 60), below(chance, 1_000_000), offset=place.utc_offset)


def _amortization(market: Market, holding: Holding, lot: Lot, chance: Random) -> Section | None:
    """Straight line from the acquisition to the maturity, on what the cost lies below or above par."""
    instrument = holding.instrument
    if not instrument.is_debt or instrument.maturity is None:
        return None
    discount = on_grid(lot.quantity - lot.cost_local, NO_AMOUNT)
    life = max((instrument.maturity - lot.acquired).days, 1)
    return {
        "method": "STRAIGHT_LINE",
        "premium_discount_local": discount,
        "amortized_today_local": quotient(discount, Decimal(life), NO_AMOUNT),
        "amortized_to_date_local": quotient(discount * (market.date - lot.acquired).days, Decimal(life), NO_AMOUNT),
        "book_yield_percent": draw(chance, 1.6, 8.2, PRICE),
        "maturity_date": instrument.maturity,
    }


def _opening(holding: Holding, lot: Lot, chance: Random) -> Section:
    _code, name, bic, _country = pick(chance, BROKERS)
    gross = product(lot.original_quantity, lot.unit_cost)
    place = holding.instrument.place
    return {
        "broker_name": name,
        "broker_bic": bic,
        "execution_id": f"EX-{place.mic}-{digits(chance, 12)}",
        "venue_mic": place.mic,
        "unit_price": lot.unit_cost,
        "gross_amount_local": gross,
        "commission_local": percentage(abs(gross), units(6, 2)),
        "taxes_local": NO_AMOUNT,
        "settlement_currency": place.currency,
        "custodian_reference": f"{CUSTODIAN_BIC[:6]}{digits(chance, 12)}",
    }


def _adjustments(market: Market, holding: Holding, lot: Lot, chance: Random) -> Iterator[Section]:
    """Events since the acquisition, the oldest first; what they changed is in the cost already."""
    span = max((market.date - lot.acquired).days, 2)
    kinds = ("AMORTIZATION",) if holding.instrument.is_debt else ("RETURN_OF_CAPITAL", "SPIN_OFF", "SPLIT")
    for index in range(between(chance, 2, 4)):
        day = lot.acquired + timedelta(days=span * (index + 1) // 6)
        kind = pick(chance, kinds)
        yield {
            "adjustment_type": kind,
            "effective_date": day,
            "event_reference": f"CA{day:%Y%m%d}{holding.instrument.number:06d}",
            "description": _ADJUSTMENTS[kind],
            "quantity_factor": _FACTOR,
            "cost_change_base": NO_AMOUNT
            if kind == "SPLIT"
            else -percentage(lot.cost_base, draw(chance, 0, 0.4, PRICE)),
        }
