"""Records of the accounts and account dimensions feeds."""

from __future__ import annotations

from collections.abc import Iterator

from feedline.datagen.calendar import moment
from feedline.datagen.chance import pick, stream
from feedline.datagen.exact import PERCENT, draw, units
from feedline.datagen.funds import ACCOUNTS, CUSTODIAN_BIC, Fund
from feedline.datagen.market import Market, Section
from feedline.datagen.vocabulary import PEOPLE

_REGIONS = {"US": "AMERICAS", "CA": "AMERICAS", "BR": "AMERICAS", "JP": "APAC", "HK": "APAC", "AU": "APAC"}


def account_records(market: Market, fund: Fund) -> Iterator[Section]:
    for account in fund.accounts:
        chance = stream(market.seed, "account", account.account_id)
        yield {
            "account_id": account.account_id,
            "fund_id": fund.fund_id,
            "business_date": market.date,
            "account_name": account.name,
            "account_type": account.kind,
            "status": "OPEN",
            "base_currency": fund.base_currency,
            "legal_entity_name": fund.legal_entity,
            "legal_entity_identifier": fund.lei,
            "tax_domicile": fund.domicile,
            "opened_date": account.opened,
            "closed_date": None,
            "custodian_bic": CUSTODIAN_BIC,
            "sub_custodian_name": account.place.agent,
            "sub_custodian_bic": account.place.agent_bic,
            "safekeeping_account": account.safekeeping_account,
            "safekeeping_country": account.place.country,
            "segregation": account.segregation,
            "cash_account_iban": account.iban,
            "credit_line": units(25_000_000_00, 2) if account.kind == "CUSTODY" else None,
            "portfolio_code": fund.portfolio_code,
            "portfolio_manager": fund.portfolio_manager,
            "is_lending_enabled": account.is_lending,
            "custody_agreement": account.agreement,
            "contact": {
                "relationship_manager": pick(chance, PEOPLE),
                "service_desk": f"Asset Servicing {account.place.country} Desk {fund.number % 9 + 1}",
                "email": f"desk{fund.number % 9 + 1}.{account.place.country.lower()}@asset-servicing.example",
            },
            "updated_at": moment(account.opened, 9, 30, 0, 125_000),
        }


def account_dimension_records(market: Market, fund: Fund) -> Iterator[Section]:
    strategy, part, benchmark, benchmark_name = fund.strategy
    for account in fund.accounts:
        chance = stream(market.seed, "dimension", account.account_id)
        yield {
            "account_id": account.account_id,
            "fund_id": fund.fund_id,
            "business_date": market.date,
            "effective_from": account.opened,
            "effective_to": None,
            "region": _REGIONS.get(account.place.country, "EMEA"),
            "business_line": "Asset Servicing - Fund Accounting and Custody",
            "client_segment": pick(
                chance, ("Asset Manager", "Insurance Company", "Pension Fund", "Sovereign Wealth Fund")
            ),
            "legal_entity_name": fund.legal_entity,
            "cost_centre": f"CC-{4100 + fund.number % 40}-{account.place.country}",
            "base_currency": fund.base_currency,
            "tax_domicile": fund.domicile,
            "strategy": strategy,
            "sub_strategy": part,
            "benchmark_code": benchmark,
            "benchmark_name": benchmark_name,
            "management_style": "ACTIVE",
            "risk_profile": pick(chance, ("LOW", "MEDIUM", "HIGH")),
            "risk_budget_percent": draw(chance, 0.5, 6, PERCENT),
            "is_discretionary": True,
            "is_esg_screened": fund.number % 2 == 0,
            "hierarchy": {
                "client_group": fund.manager,
                "umbrella": f"{fund.name.split(' ', 1)[0]} Investment Company",
                "sub_fund": fund.name,
                "sleeve": f"{strategy} / {part} / {account.place.country} sleeve {account.number + 1} of {ACCOUNTS}",
            },
            "reporting_note": (
                f"Report {account.place.country} assets in {fund.base_currency}, gross of tax, by trade date, "
                "with look-through"
            ),
            "report_sequence": fund.number * ACCOUNTS + account.number + 1,
            "updated_at": moment(account.opened, 9, 45, 0, 250_000),
        }
