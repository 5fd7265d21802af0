"""Records of the positions feed."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from random import Random

from feedline.datagen.calendar import business_day
from feedline.datagen.chance import below, between, pick, stream
from feedline.datagen.exact import (
    HUNDRED,
    NO_AMOUNT,
    NO_PERCENT,
    NO_QUANTITY,
    PERCENT,
    PRICE,
    draw,
    on_grid,
    percent_of,
    percentage,
    product,
    quotient,
    split,
    units,
)
from feedline.datagen.funds import Fund
from feedline.datagen.holdings import Holding, holdings
from feedline.datagen.instruments import BILL, BOND, FUND, FUTURE, Instrument
from feedline.datagen.market import Market, Section
from feedline.datagen.sections import account_section, audit_section, instrument_section
from feedline.datagen.vocabulary import CLEARERS, INDUSTRIES, RATE_SOURCE
from feedline.datagen.wording import holding_narrative

_BUCKETS = ("ONE_DAY", "ONE_DAY", "ONE_DAY", "ONE_WEEK", "ONE_MONTH", "LONGER")
_FORM_PF = {BOND: "CORPORATE_BONDS", BILL: "SOVEREIGN_BONDS", FUND: "FUND_SHARES", FUTURE: "LISTED_FUTURES"}
_UNITS = {BOND: "NOMINAL", BILL: "NOMINAL", FUTURE: "CONTRACTS"}
_POOL_FACTOR = units(10**12, 12)


def position_records(market: Market, fund: Fund) -> Iterator[Section]:
    """One record a holding of the fund."""
    held = list(holdings(market, fund))
    fund_value = sum((holding.market_value_base for holding in held), Decimal())
    accounts = [account_section(fund, account) for account in fund.accounts]
    for holding in held:
        chance = stream(market.seed, "position", fund.number, holding.number, market.date)
        yield _record(market, holding, chance, fund_value, accounts[holding.account.number])


def _record(market: Market, holding: Holding, chance: Random, fund_value: Decimal, account: Section) -> Section:
    fund, instrument = holding.fund, holding.instrument
    risk = _risk(holding, chance)
    return {
        "position_id": holding.position_id,
        "fund_id": fund.fund_id,
        "account_id": holding.account.account_id,
        "instrument_id": instrument.instrument_id,
        "business_date": market.date,
        "knowledge_timestamp": market.struck_at,
        "position_type": "TRADED",
        "long_short": "SHORT" if holding.quantity < 0 else "LONG",
        "accounting_basis": "GAAP" if fund.base_currency == "USD" else "IFRS",
        "position_status": "FINAL",
        "is_restated": False,
        "quantity": holding.quantity,
        "market_value_local": holding.market_value_local,
        "market_value_base": holding.market_value_base,
        "account": account,
        "instrument": market.section("instrument", instrument, instrument_section),
        "holding": _holding(market, holding, chance),
        "price": market.section("price", instrument, _price),
        "fx": _fx(market, holding),
        "valuation": _valuation(holding, fund_value),
        "income": _income(market, holding, chance),
        "gain_loss": _gain_loss(holding, chance),
        "risk": risk,
        "settlement": _settlement(market, holding, chance),
        "lending": _lending(market, holding, chance),
        "derivative": _derivative(holding, chance) if instrument.asset_class == FUTURE else None,
        "regulatory": {
            "ucits_eligible": instrument.asset_class != FUTURE,
            "sfdr_article": ("ARTICLE_6", "ARTICLE_8", "ARTICLE_9")[fund.number % 3],
            "solvency_cic": instrument.cic,
            "form_pf_class": _FORM_PF.get(instrument.asset_class, "LISTED_EQUITY"),
            "is_emir_reportable": instrument.asset_class == FUTURE,
            "issuer_group": instrument.issuer,
            "issuer_concentration_percent": percent_of(holding.market_value_base, fund_value),
        },
        "exposures": list(_exposures(holding, risk["liquidity_bucket"])),
        "audit": audit_section(market, "IHUB-ACCOUNTING-GOLD", 1, fund.number * 1_000 + holding.number + 1),
    }


def _holding(market: Market, holding: Holding, chance: Random) -> Section:
    quantity, change = holding.quantity, holding.quantity - holding.previous_quantity
    lent = on_grid(quantity / 10, PRICE) if holding.account.is_lending and below(chance, 6) == 0 else Decimal()
    lent = lent - lent % 1
    settled = quantity - change
    last_traded = market.date if change else business_day(market.date, -between(chance, 1, 60))
    return {
        "traded_quantity": quantity,
        "settled_quantity": settled,
        "pending_receipt_quantity": max(change, NO_QUANTITY),
        "pending_delivery_quantity": max(-change, NO_QUANTITY),
        "on_loan_quantity": product(lent, Decimal(1), units(1, 6)),
        "collateral_quantity": NO_QUANTITY,
        "blocked_quantity": NO_QUANTITY,
        "available_quantity": product(settled - lent, Decimal(1), units(1, 6)),
        "previous_quantity": holding.previous_quantity,
        "quantity_change": change,
        "current_factor": _POOL_FACTOR if holding.instrument.is_debt else None,
        "unit_of_measure": _UNITS.get(holding.instrument.asset_class, "UNITS"),
        "tax_lot_count": len(holding.lots),
        "lot_relief_method": holding.relief_method,
        "first_acquired_date": holding.first_acquired,
        "last_traded_date": max(last_traded, holding.first_acquired),
        "narrative": holding_narrative(
            place=holding.account.place,
            market_place=holding.instrument.place,
            day=market.date,
            safekeeping=holding.account.safekeeping_account,
            segregation=holding.account.segregation,
            entity=holding.fund.legal_entity,
            manager=holding.fund.manager,
        ),
    }


def _price(market: Market, instrument: Instrument) -> Section:
    quote = market.quote(instrument)
    evaluated = instrument.is_debt
    return {
        "unit_price": quote.unit,
        "quoted_price": quote.quoted,
        "quotation": instrument.quotation,
        "price_currency": instrument.currency,
        "price_type": "EVALUATED" if evaluated else "CLOSE",
        "price_source": quote.source,
        "price_timestamp": quote.taken_at,
        "previous_unit_price": quote.previous_unit,
        "price_change_percent": quote.change_percent,
        "bid_price": quote.bid,
        "ask_price": quote.ask,
        "second_source": quote.second_source,
        "second_source_price": quote.second_price,
        "fair_value_level": "LEVEL_2" if evaluated else "LEVEL_1",
        "stale_days": quote.stale_days,
        "is_overridden": False,
    }


def _fx(market: Market, holding: Holding) -> Section:
    return {
        "local_currency": holding.instrument.currency,
        "base_currency": holding.fund.base_currency,
        "local_to_base_rate": holding.rate,
        "previous_rate": holding.previous_rate,
        "cost_rate": holding.cost_rate,
        "rate_type": "SPOT",
        "rate_source": RATE_SOURCE,
        "rate_timestamp": market.rate_timestamp,
    }


def _valuation(holding: Holding, fund_value: Decimal) -> Section:
    value, base = holding.market_value_local, holding.market_value_base
    previous = product(holding.previous_quantity, holding.quote.previous_unit)
    gain_local, gain_base = value - holding.cost_local, base - holding.cost_base
    price_gain = product(gain_local, holding.cost_rate)
    return {
        "local": {
            "book_cost": holding.cost_local,
            "amortized_cost": holding.cost_local,
            "average_unit_cost": holding.unit_cost,
            "clean_value": value,
            "accrued_income": holding.accrued_local,
            "total_value": value + holding.accrued_local,
            "previous_value": previous,
            "unrealized_gain": gain_local,
        },
        "base": {
            "book_cost": holding.cost_base,
            "amortized_cost": holding.cost_base,
            "average_unit_cost": quotient(holding.cost_base, holding.quantity, PRICE),
            "clean_value": base,
            "accrued_income": holding.accrued_base,
            "total_value": base + holding.accrued_base,
            "previous_value": product(previous, holding.previous_rate),
            "unrealized_gain": gain_base,
            "unrealized_price_gain": price_gain,
            "unrealized_fx_gain": gain_base - price_gain,
        },
        "fund_weight_percent": percent_of(base, fund_value),
    }


def _income(market: Market, holding: Holding, chance: Random) -> Section:
    instrument, place = holding.instrument, holding.instrument.place
    coupons = instrument.coupon_dates(market.date)
    pays_dividend = not instrument.is_debt and instrument.asset_class != FUTURE
    ex_date = business_day(market.date, -between(chance, 1, 40)) if pays_dividend else None
    dividend = percentage(holding.market_value_local, draw(chance, 0, 0.9, PERCENT)) if pays_dividend else NO_AMOUNT
    reclaimable = place.statutory_rate - place.treaty_rate
    reclaim = percentage(dividend, reclaimable)
    return {
        "accrued_interest_local": holding.accrued_local,
        "accrued_interest_base": holding.accrued_base,
        "days_accrued": (market.date - coupons[0]).days if coupons else 0,
        "last_coupon_date": coupons[0] if coupons else None,
        "next_coupon_date": coupons[1] if coupons else None,
        "dividend_receivable_local": dividend,
        "dividend_receivable_base": product(dividend, holding.rate),
        "ex_date": ex_date,
        "pay_date": None if ex_date is None else business_day(ex_date, 45),
        "tax_reclaim_local": reclaim,
        "tax_reclaim_base": product(reclaim, holding.rate),
        "withholding": {
            "statutory_rate": place.statutory_rate,
            "treaty_rate": place.treaty_rate,
            "reclaimable_rate": reclaimable,
            "treaty_country": holding.fund.domicile,
            "certificate_reference": f"TRC-{holding.fund.domicile}-{market.date.year}-{holding.fund.fund_id}",
        },
    }


def _gain_loss(holding: Holding, chance: Random) -> Section:
    scale = abs(holding.cost_base)
    month = percentage(scale, draw(chance, -1.5, 2, PERCENT))
    short = percentage(scale, draw(chance, -2, 3, PERCENT))
    long = percentage(scale, draw(chance, -3, 6, PERCENT))
    day = holding.quote.change_percent
    return {
        "realized_today_base": percentage(month, Decimal(5))
        if holding.quantity != holding.previous_quantity
        else NO_AMOUNT,
        "realized_month_base": month,
        "realized_year_base": short + long,
        "short_term_year_base": short,
        "long_term_year_base": long,
        "fx_realized_year_base": percentage(scale, draw(chance, -0.5, 0.5, PERCENT)),
        "income_year_base": percentage(scale, draw(chance, 0, 3.5, PERCENT)),
        "wash_sale_deferred_base": NO_AMOUNT,
        "day_return_percent": day,
        "month_return_percent": day + draw(chance, -4, 5, PERCENT),
        "year_return_percent": day + draw(chance, -14, 19, PERCENT),
    }


def _risk(holding: Holding, chance: Random) -> Section:
    instrument = holding.instrument
    millionths = units(1, 6)
    duration = draw(chance, 0.1, 11, millionths) if instrument.is_debt else None
    shares = not instrument.is_debt
    debt_yield = draw(chance, 1.8, 8.5, PERCENT) if instrument.is_debt else None
    return {
        "modified_duration": duration,
        "effective_duration": None if duration is None else product(duration, units(98, 2), millionths),
        "convexity": draw(chance, 0.05, 1.8, millionths) if instrument.is_debt else None,
        "yield_to_maturity": debt_yield,
        "yield_to_worst": debt_yield,
        "option_adjusted_spread": draw(chance, 4, 420, units(1, 4)) if instrument.asset_class == BOND else None,
        "average_life": None if duration is None else product(duration, units(112, 2), millionths),
        "beta": draw(chance, 0.4, 1.8, millionths) if shares else None,
        "delta": None,
        "volatility_30d": draw(chance, 6, 55, PERCENT) if shares else None,
        "value_at_risk_base": percentage(abs(holding.market_value_base), draw(chance, 0.3, 3.9, PERCENT)),
        "liquidity_bucket": pick(chance, _BUCKETS),
        "days_to_liquidate": between(chance, 1, 9),
        "esg_score": draw(chance, 12, 96, units(1, 4)),
        "carbon_intensity": draw(chance, 3, 900, units(1, 4)) if instrument.industry else None,
    }


def _settlement(market: Market, holding: Holding, chance: Random) -> Section:
    change = abs(holding.quantity - holding.previous_quantity)
    pending = product(change, holding.quote.unit)
    fails = 1 if change and below(chance, 20) == 0 else 0
    cycle = 1 if holding.instrument.place.country in ("US", "CA") else 2
    return {
        "settlement_location": holding.instrument.place.depository_bic,
        "settlement_cycle_days": cycle,
        "failed_receipts": fails,
        "failed_deliveries": 0,
        "oldest_fail_date": business_day(market.date, -2) if fails else None,
        "pending_amount_local": pending,
        "pending_amount_base": product(pending, holding.rate),
        "next_settlement_date": business_day(market.date, cycle) if change else None,
    }


def _lending(market: Market, holding: Holding, chance: Random) -> Section:
    lendable = holding.account.is_lending and holding.quantity > 0
    open_loans = below(chance, 4) if lendable else 0
    lent = percentage(holding.market_value_base, Decimal(4 * open_loans))
    return {
        "is_lendable": lendable,
        "open_loans": open_loans,
        "lent_value_base": lent,
        "collateral_value_base": percentage(lent, units(102, 0)),
        "collateral_type": "GOVERNMENT_BOND" if open_loans else "NONE",
        "fee_rate_percent": draw(chance, 0.05, 1.2, PERCENT) if open_loans else None,
        "fee_income_year_base": percentage(lent, units(3, 1)),
        "recall_due_date": business_day(market.date, 3) if open_loans == 3 else None,
    }


def _derivative(holding: Holding, chance: Random) -> Section:
    instrument = holding.instrument
    assert instrument.maturity is not None
    margin = percentage(abs(holding.market_value_base), units(65, 1))
    return {
        "underlying_id": f"IDX-{instrument.place.mic}",
        "contract_size": product(instrument.unit_factor, Decimal(1), units(1, 6)),
        "strike_price": None,
        "expiry_date": instrument.maturity,
        "notional_local": holding.market_value_local,
        "notional_base": holding.market_value_base,
        "initial_margin_base": margin,
        "variation_margin_base": percentage(holding.market_value_base, holding.quote.change_percent),
        "clearing_house": pick(chance, CLEARERS)[1],
    }


def _exposures(holding: Holding, bucket: str) -> Iterator[Section]:
    """The whole holding on each side, but that a fund's is spread over two countries and several sectors."""
    value, place = holding.market_value_base, holding.instrument.place
    yield from _shares("ASSET_CLASS", (holding.instrument.asset_class,), [HUNDRED], value)
    yield from _shares("LIQUIDITY", (bucket,), [HUNDRED], value)
    yield from _shares("CURRENCY", (place.currency,), [HUNDRED], value)
    if holding.instrument.industry is None:
        sectors = tuple(dict.fromkeys(INDUSTRIES[(holding.number + step) % len(INDUSTRIES)][0] for step in (0, 6, 12)))
        first = units(50, 0)
        rest = on_grid((HUNDRED - first) / (len(sectors) - 1), PERCENT)
        weights = [first, *[rest] * (len(sectors) - 1)]
        yield from _shares(
            "COUNTRY", (place.country, "US" if place.country != "US" else "GB"), [units(80, 0), units(20, 0)], value
        )
        yield from _shares("SECTOR", sectors, weights, value)
    else:
        yield from _shares("COUNTRY", (place.country,), [HUNDRED], value)
        yield from _shares("SECTOR", (holding.instrument.industry[0],), [HUNDRED], value)


def _shares(dimension: str, codes: tuple[str, ...], weights: list[Decimal], value: Decimal) -> Iterator[Section]:
    for code, weight, share in zip(codes, weights, split(value, weights), strict=True):
        yield {
            "dimension": dimension,
            "code": code,
            "weight_percent": on_grid(weight, PERCENT) or NO_PERCENT,
            "market_value_base": share,
        }
