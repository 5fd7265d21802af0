"""Parts of records that several feeds carry."""

from __future__ import annotations

from datetime import timedelta

from feedline.datagen.funds import CUSTODIAN, CUSTODIAN_BIC, Account, Fund
from feedline.datagen.instruments import Instrument
from feedline.datagen.market import Market, Section


def account_section(fund: Fund, account: Account) -> Section:
    return {
        "account_name": account.name,
        "account_type": account.kind,
        "legal_entity_name": fund.legal_entity,
        "legal_entity_identifier": fund.lei,
        "custodian_bic": CUSTODIAN_BIC,
        "sub_custodian_name": account.place.agent,
        "sub_custodian_bic": account.place.agent_bic,
        "safekeeping_account": account.safekeeping_account,
        "safekeeping_country": account.place.country,
        "segregation": account.segregation,
        "account_base_currency": fund.base_currency,
        "tax_domicile": fund.domicile,
        "portfolio_code": fund.portfolio_code,
        "portfolio_manager": fund.portfolio_manager,
        "registration_name": f"{account.place.agent} Nominees, account {CUSTODIAN} re {fund.name}".upper(),
        "beneficial_owner_name": f"{fund.legal_entity} ({fund.domicile})",
        "custody_agreement": account.agreement,
    }


def instrument_section(_market: Market, instrument: Instrument) -> Section:
    sector, sector_name, industry, sub_industry, sub_industry_name = instrument.industry or (None,) * 5
    sp, moodys, _fitch, _default = instrument.rating or (None,) * 4
    return {
        "isin": instrument.isin,
        "cusip": instrument.cusip,
        "sedol": instrument.sedol,
        "figi": instrument.figi,
        "ticker": instrument.ticker,
        "security_name": instrument.name,
        "short_name": instrument.name[:35].upper(),
        "issuer_name": instrument.issuer,
        "issuer_lei": instrument.issuer_lei,
        "asset_class": instrument.asset_class,
        "security_type": instrument.security_type,
        "cfi_code": instrument.cfi,
        "issue_country": instrument.place.country,
        "risk_country": instrument.place.country,
        "issue_currency": instrument.currency,
        "listing_mic": instrument.place.mic,
        "gics_sector_code": sector,
        "gics_sector_name": sector_name,
        "gics_industry_code": industry,
        "gics_sub_industry_code": sub_industry,
        "gics_sub_industry_name": sub_industry_name,
        "issue_date": instrument.issue_date,
        "maturity_date": instrument.maturity,
        "coupon_rate": instrument.coupon,
        "coupon_frequency": instrument.frequency,
        "day_count": instrument.day_count,
        "rating_sp": sp,
        "rating_moodys": moodys,
        "is_listed": True,
        "paying_agent": instrument.place.agent,
        "registrar": f"{instrument.place.depository} Registrar Services",
        "description": instrument.description,
    }


def audit_section(market: Market, system: str, batch: int, sequence: int) -> Section:
    """`batch`: the feed's place in the nightly run; `sequence`: the record's in the feed."""
    created = market.struck_at + timedelta(milliseconds=37 * (sequence % 50_000))
    return {
        "source_system": system,
        "batch_number": market.date.toordinal() * 100 + batch,
        "source_sequence": sequence,
        "record_version": 1,
        "created_at": created,
        "updated_at": created + timedelta(milliseconds=812),
    }
