"""A fund's statement of assets and liabilities on a business date, from its holdings."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from feedline.datagen.chance import stream
from feedline.datagen.exact import NO_AMOUNT, PRICE, draw, percentage
from feedline.datagen.funds import Fund
from feedline.datagen.holdings import HOLDINGS, make_holding
from feedline.datagen.instruments import FUTURE
from feedline.datagen.market import Market

# Percent of the holdings' value, at most: what a fund carries beside its holdings.
_ASSETS = {
    "cash_at_bank": 4.5,
    "receivable_investments_sold": 1.2,
    "receivable_shares_sold": 0.8,
    "dividends_receivable": 0.3,
    "interest_receivable": 0.0,  # what the holdings have accrued
    "tax_reclaims_receivable": 0.1,
    "forward_contract_gain": 0.4,
    "margin_deposits": 0.3,
    "other_assets": 0.05,
}
_LIABILITIES = {
    "payable_investments_purchased": 1.4,
    "payable_shares_redeemed": 0.7,
    "management_fee_payable": 0.12,
    "performance_fee_payable": 0.05,
    "custody_fee_payable": 0.01,
    "administration_fee_payable": 0.01,
    "audit_fee_payable": 0.005,
    "distributions_payable": 0.4,
    "forward_contract_loss": 0.3,
    "taxes_payable": 0.06,
    "bank_overdraft": 0.2,
    "other_liabilities": 0.03,
}


@dataclass(frozen=True, slots=True)
class FundBooks:
    """Amounts in the fund's base currency; assets and liabilities by the names of the net asset values feed."""

    market_value: Decimal
    cost: Decimal
    tax_lots: int
    assets: dict[str, Decimal]
    liabilities: dict[str, Decimal]

    @property
    def net_assets(self) -> Decimal:
        return sum(self.assets.values(), NO_AMOUNT) - sum(self.liabilities.values(), NO_AMOUNT)


def fund_books(market: Market, fund: Fund) -> FundBooks:
    value = cost = securities = accrued = NO_AMOUNT
    lots = 0
    for number in range(HOLDINGS):
        holding = make_holding(market, fund, number)
        value += holding.market_value_base
        cost += holding.cost_base
        accrued += holding.accrued_base
        lots += len(holding.lots)
        if holding.instrument.asset_class != FUTURE:  # a future is worth its daily margin, not its notional
            securities += holding.market_value_base
    chance = stream(market.seed, "books", fund.number, market.date)
    size = abs(securities)
    assets = {"investments_at_value": securities}
    for name, most in _ASSETS.items():
        assets[name] = percentage(size, draw(chance, most / 4, most, PRICE))
    assets["interest_receivable"] = accrued
    liabilities = {name: percentage(size, draw(chance, most / 4, most, PRICE)) for name, most in _LIABILITIES.items()}
    return FundBooks(market_value=value, cost=cost, tax_lots=lots, assets=assets, liabilities=liabilities)
