"""Records of the net asset values feed: every share class on every basis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from feedline.datagen.calendar import moment
from feedline.datagen.chance import between, stream
from feedline.datagen.exact import (
    NO_AMOUNT,
    NO_QUANTITY,
    PERCENT,
    PRICE,
    draw,
    percent_of,
    percentage,
    product,
    quotient,
    split,
    units,
)
from feedline.datagen.fund_books import FundBooks, fund_books
from feedline.datagen.funds import CUSTODIAN, Fund, ShareClass
from feedline.datagen.market import Market, Section
from feedline.datagen.sections import audit_section
from feedline.datagen.share_class_records import shares_outstanding
from feedline.datagen.vocabulary import RATE_SOURCE
from feedline.datagen.wording import valuation_commentary

# What a basis makes of the investments: bid prices for dealing, an estimate before the close.
BASES = {
    "DEALING": units(9_996, 4),
    "GAAP": units(1, 0),
    "IFRS": units(1, 0),
    "ESTIMATED": units(10_007, 4),
    "PERFORMANCE": units(1, 0),
}
_FEES = {
    "MANAGEMENT": "management_fee_payable",
    "PERFORMANCE": "performance_fee_payable",
    "CUSTODY": "custody_fee_payable",
    "ADMINISTRATION": "administration_fee_payable",
    "AUDIT": "audit_fee_payable",
}


@dataclass(frozen=True, slots=True)
class _Value:
    """One class on one basis, in the currency of the class."""

    rate: Decimal
    assets: Section
    liabilities: Section
    total_assets: Decimal
    total_liabilities: Decimal
    shares: Decimal
    per_share: Decimal

    @property
    def net(self) -> Decimal:
        return self.total_assets - self.total_liabilities


def net_asset_value_records(market: Market, fund: Fund) -> Iterator[Section]:
    before = market.day_before()
    books, books_before = fund_books(market, fund), fund_books(before, fund)
    sequence = fund.number * 100
    for share_class in fund.share_classes:
        for basis in BASES:
            sequence += 1
            yield _record(
                market,
                fund,
                share_class,
                basis,
                now=_value(market, fund, share_class, basis, books),
                then=_value(before, fund, share_class, basis, books_before),
                sequence=sequence,
            )


def _value(market: Market, fund: Fund, share_class: ShareClass, basis: str, books: FundBooks) -> _Value:
    rate = market.rate(fund.base_currency, share_class.currency)

    def share(amount: Decimal) -> Decimal:
        return product(percentage(amount, share_class.weight), rate)

    assets = {name: share(amount) for name, amount in books.assets.items()}
    assets["investments_at_value"] = product(assets["investments_at_value"], BASES[basis])
    liabilities = {name: share(amount) for name, amount in books.liabilities.items()}
    total_assets = sum(assets.values(), NO_AMOUNT)
    total_liabilities = sum(liabilities.values(), NO_AMOUNT)
    shares = shares_outstanding(market, share_class, market.date)
    return _Value(
        rate=rate,
        assets=assets,
        liabilities=liabilities,
        total_assets=total_assets,
        total_liabilities=total_liabilities,
        shares=shares,
        per_share=quotient(total_assets - total_liabilities, shares, PRICE),
    )


def _record(
    market: Market, fund: Fund, share_class: ShareClass, basis: str, *, now: _Value, then: _Value, sequence: int
) -> Section:
    chance = stream(market.seed, "nav", share_class.share_class_id, basis, market.date)
    published = basis != "ESTIMATED"
    struck = market.struck_at
    per_share, stale = _per_share(now, then, chance), between(chance, 0, 3)
    return {
        "nav_id": f"NAV-{share_class.share_class_id}-{market.date:%Y%m%d}-{basis}",
        "fund_id": fund.fund_id,
        "share_class_id": share_class.share_class_id,
        "business_date": market.date,
        "nav_basis": basis,
        "nav_status": "PUBLISHED" if published else "APPROVED",
        "valuation_point": moment(market.date, 21),
        "published_at": struck if published else None,
        "currency": share_class.currency,
        "total_assets": now.total_assets,
        "total_liabilities": now.total_liabilities,
        "net_assets": now.net,
        "shares_outstanding": now.shares,
        "nav_per_share": now.per_share,
        "share_class": {
            "share_class_name": share_class.name,
            "isin": share_class.isin,
            "class_type": share_class.kind,
            "distribution_policy": share_class.policy,
            "is_hedged": share_class.is_hedged,
            "class_weight_percent": product(share_class.weight, Decimal(1), PERCENT),
        },
        "assets": now.assets,
        "liabilities": now.liabilities,
        **_movement(now, then, chance),
        "per_share": per_share,
        "performance": _performance(fund, now, then, chance),
        "controls": {
            "tolerance_status": "WITHIN",
            "tolerance_percent": units(5 * 10**7, 8),
            "checks_passed": between(chance, 38, 42),
            "checks_failed": 0,
            "stale_price_count": stale,
            "price_override_count": 0,
            "prepared_by": fund.accountant,
            "commentary": valuation_commentary(
                basis=basis,
                accountant=fund.accountant,
                change_percent=per_share["nav_change_percent"],
                benchmark=fund.strategy[3],
                stale=stale,
            ),
            "approved_by": fund.supervisor,
            "approved_at": struck,
        },
        "fee_accruals": [
            _fee(fund, share_class, kind, now.liabilities[payable], chance) for kind, payable in _FEES.items()
        ],
        "fx": {
            "base_currency": fund.base_currency,
            "base_to_class_rate": now.rate,
            "rate_source": RATE_SOURCE,
            "rate_timestamp": market.rate_timestamp,
        },
        "audit": audit_section(market, "IHUB-NAV-ENGINE", 4, sequence),
    }


def _movement(now: _Value, then: _Value, chance: Random) -> Section:
    """Capital and operations: from the previous net assets to today's, to the cent."""
    change = now.shares - then.shares
    redeemed = product(now.shares, draw(chance, 0, 0.001, units(1, 6)), units(1, 6)) + max(-change, NO_QUANTITY)
    subscribed = redeemed + change
    subscriptions, redemptions = product(subscribed, then.per_share), product(redeemed, then.per_share)
    flow = subscriptions - redemptions
    increase = now.net - then.net - flow
    expenses = percentage(now.net, units(4, 3))
    dividends = percentage(now.net, draw(chance, 0, 0.02, PERCENT))
    interest = percentage(now.net, draw(chance, 0, 0.01, PERCENT))
    other = percentage(now.net, draw(chance, 0, 0.001, PERCENT))
    result = increase - dividends - interest - other + expenses
    realized, realized_fx, unrealized = split(result, [units(20, 0), units(5, 0), units(75, 0)])
    return {
        "capital": {
            "opening_shares": then.shares,
            "subscribed_shares": subscribed,
            "redeemed_shares": redeemed,
            "subscriptions_amount": subscriptions,
            "redemptions_amount": redemptions,
            "distributions_amount": NO_AMOUNT,
            "net_capital_flow": flow,
            "pending_subscriptions": percentage(now.net, draw(chance, 0, 0.1, PERCENT)),
            "pending_redemptions": percentage(now.net, draw(chance, 0, 0.1, PERCENT)),
        },
        "operations": {
            "opening_net_assets": then.net,
            "dividend_income": dividends,
            "interest_income": interest,
            "other_income": other,
            "expenses": expenses,
            "realized_gain": realized,
            "realized_fx_gain": realized_fx,
            "unrealized_gain_change": unrealized,
            "net_increase": increase,
        },
    }


def _per_share(now: _Value, then: _Value, chance: Random) -> Section:
    nav = now.per_share
    swing = draw(chance, 0, 0.25, PERCENT)
    return {
        "previous_nav": then.per_share,
        "nav_change": nav - then.per_share,
        "nav_change_percent": percent_of(nav - then.per_share, then.per_share),
        "bid_price": nav,
        "offer_price": nav + percentage(nav, units(50, 2), PRICE),
        "swing_factor_percent": swing,
        "swung_nav": nav + percentage(nav, swing, PRICE),
        "high_water_mark": nav + percentage(nav, draw(chance, 0, 6, PERCENT), PRICE),
        "distribution_per_share": None,
        "accrued_income": percentage(nav, draw(chance, 0, 1, PERCENT), PRICE),
    }


def _performance(fund: Fund, now: _Value, then: _Value, chance: Random) -> Section:
    day = percent_of(now.per_share - then.per_share, then.per_share)
    year = draw(chance, -9, 17, PERCENT)
    return {
        "day_return": day,
        "month_return": draw(chance, -4, 4, PERCENT),
        "year_return": year,
        "one_year_return": draw(chance, -8, 21, PERCENT),
        "since_inception_return": draw(chance, 20, 240, PERCENT),
        "benchmark_code": fund.strategy[2],
        "benchmark_year_return": year + draw(chance, -2, 2, PERCENT),
        "total_expense_ratio": draw(chance, 0.3, 1.9, PERCENT),
    }


def _fee(fund: Fund, share_class: ShareClass, kind: str, outstanding: Decimal, chance: Random) -> Section:
    """What is accrued this year and not paid yet is what the liabilities show."""
    paid = percentage(outstanding, draw(chance, 200, 900, PERCENT))
    return {
        "fee_type": kind,
        "payee": {"MANAGEMENT": fund.manager, "PERFORMANCE": fund.manager, "AUDIT": "Ashdown Lyle Audit LLP"}.get(
            kind, CUSTODIAN
        ),
        "rate_percent": share_class.management_fee if kind == "MANAGEMENT" else draw(chance, 0.005, 0.1, PERCENT),
        "accrued_today": quotient(outstanding, Decimal(30), NO_AMOUNT),
        "accrued_year": paid + outstanding,
        "paid_year": paid,
        "outstanding": outstanding,
    }
