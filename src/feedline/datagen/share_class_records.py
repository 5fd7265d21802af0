"""Records of the account share classes feed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

from feedline.datagen.calendar import moment
from feedline.datagen.chance import digits, pick, stream
from feedline.datagen.exact import NO_PERCENT, PERCENT, QUANTITY, draw, on_grid, percentage, product, quotient, units
from feedline.datagen.funds import Fund, ShareClass
from feedline.datagen.market import Market, Section
from feedline.datagen.sections import audit_section
from feedline.datagen.vocabulary import BROKERS

# Size about which the funds are, so that a share costs about what the class was launched at.
_TYPICAL_FUND = Decimal(700_000_000)


def share_class_records(market: Market, fund: Fund) -> Iterator[Section]:
    for index, share_class in enumerate(fund.share_classes):
        yield _record(market, fund, share_class, fund.number * 10 + index + 1)


def shares_outstanding(market: Market, share_class: ShareClass, day: date) -> Decimal:
    """Shares of a class at the close of a day: what was sold over the years, moved a little by the day's dealing."""
    standing = quotient(percentage(_TYPICAL_FUND, share_class.weight), share_class.base_nav, units(1, 3))
    dealt = draw(stream(market.seed, "dealing", share_class.share_class_id, day), -0.2, 0.2, units(1, 4))
    return product(standing + percentage(standing, dealt, units(1, 3)), Decimal(1), QUANTITY)


def _record(market: Market, fund: Fund, share_class: ShareClass, sequence: int) -> Section:
    chance = stream(market.seed, "terms", share_class.share_class_id)
    distributes = share_class.policy == "DISTRIBUTING"
    other_fees = draw(chance, 0.02, 0.2, PERCENT)
    agent_code, agent, agent_bic, _country = pick(chance, BROKERS)
    retail = share_class.kind == "RETAIL"
    return {
        "share_class_id": share_class.share_class_id,
        "fund_id": fund.fund_id,
        "account_id": fund.accounts[0].account_id,
        "business_date": market.date,
        "share_class_name": share_class.name,
        "share_class_code": share_class.code,
        "isin": share_class.isin,
        "sedol": share_class.sedol,
        "cusip": share_class.cusip,
        "currency": share_class.currency,
        "investment_objective": _objective(fund, share_class),
        "class_type": share_class.kind,
        "distribution_policy": share_class.policy,
        "distribution_frequency": pick(chance, ("MONTHLY", "QUARTERLY", "ANNUAL")) if distributes else "NONE",
        "status": "OPEN",
        "launch_date": share_class.launched,
        "closing_date": None,
        "shares_outstanding": shares_outstanding(market, share_class, market.date),
        "is_hedged": share_class.is_hedged,
        "hedge_ratio_percent": draw(chance, 96, 104, PERCENT) if share_class.is_hedged else None,
        "fees": {
            "management_fee_percent": share_class.management_fee,
            "performance_fee_percent": on_grid(units(20, 0), PERCENT) if share_class.kind == "FOUNDER" else None,
            "custody_fee_percent": on_grid(units(15, 3), PERCENT),
            "administration_fee_percent": on_grid(units(40, 3), PERCENT),
            "distribution_fee_percent": on_grid(units(25, 2), PERCENT) if retail else NO_PERCENT,
            "total_expense_ratio_percent": share_class.management_fee + other_fees,
            "subscription_fee_percent": on_grid(units(3, 0), PERCENT) if retail else NO_PERCENT,
            "redemption_fee_percent": NO_PERCENT,
            "swing_threshold_percent": on_grid(units(15, 1), PERCENT),
        },
        "dealing": {
            "dealing_frequency": "DAILY",
            "cut_off_at": moment(market.date, 14),
            "notice_days": 0 if retail else 1,
            "settlement_days": 3,
            "price_decimals": 4,
            "share_decimals": 3,
            "minimum_initial": units(1_000_00, 2) if retail else units(1_000_000_00, 2),
            "minimum_subsequent": units(100_00, 2) if retail else units(10_000_00, 2),
            "minimum_holding": units(1_000_00, 2) if retail else units(500_000_00, 2),
            "transfer_agent": f"{agent} Transfer Agency ({agent_code})",
            "transfer_agent_bic": agent_bic,
        },
        "tax": {
            "tax_domicile": fund.domicile,
            "has_uk_reporting_status": share_class.currency == "GBP",
            "has_german_equity_status": "Equity" in fund.strategy[0],
            "is_pfic": fund.domicile != "US",
            "fatca_status": "Reporting Model 1 FFI" if fund.domicile != "US" else "US Person, not a specified person",
            "giin": f"{digits(chance, 6)}.99999.SL.{digits(chance, 3)}",
        },
        "hedging": _hedging(fund, share_class, agent) if share_class.is_hedged else None,
        "audit": audit_section(market, "IHUB-TRANSFER-AGENCY", 7, sequence),
    }


def _objective(fund: Fund, share_class: ShareClass) -> str:
    strategy, part, _code, benchmark = fund.strategy
    income = "distributes its income" if share_class.policy == "DISTRIBUTING" else "retains and reinvests its income"
    return (
        f"The class seeks long-term total return above the {benchmark} through the {strategy} strategy ({part}) of "
        f"{fund.manager}, within the risk limits of the prospectus; it {income}, deals daily in "
        f"{share_class.currency} and may use "
        "derivatives for efficient portfolio management and, where the class is hedged, to reduce its currency "
        "risk. There is no assurance that the objective is reached; the "
        f"prospectus and the key information document describe risks, costs and the dealing procedure."
    )


def _hedging(fund: Fund, share_class: ShareClass, counterparty: str) -> Section:
    return {
        "programme": f"Portfolio hedge {fund.base_currency}/{share_class.currency}",
        "counterparty_name": counterparty,
        "hedge_currency": share_class.currency,
        "forward_tenor_days": 30,
        "tolerance_percent": on_grid(units(5, 0), PERCENT),
    }
