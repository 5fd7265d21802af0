"""Records of the ledger balances feed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from random import Random

from feedline.datagen.calendar import business_day, moment
from feedline.datagen.chance import below, between, stream
from feedline.datagen.exact import NO_AMOUNT, draw, percentage, quotient, units
from feedline.datagen.funds import Fund
from feedline.datagen.ledger_books import AccountDay, Entry, ledger_days
from feedline.datagen.market import Market, Section
from feedline.datagen.sections import audit_section

_TEXTS = {
    "TRADE": "Contractual settlement of trade against",
    "INCOME": "Income event net of withholding tax against",
    "FEE": "Daily accrual per fee agreement against",
    "CAPITAL": "Shareholder dealing and transfers against",
    "VALUATION": "Daily valuation and currency result against",
}


def ledger_balance_records(market: Market, fund: Fund) -> Iterator[Section]:
    """One record an account of the fund's ledger, in the order of the chart."""
    for index, day in enumerate(ledger_days(market, fund)):
        yield _record(market, fund, day, index)


def _record(market: Market, fund: Fund, day: AccountDay, index: int) -> Section:
    account = day.account
    chance = stream(market.seed, "ledger", fund.number, account.code, market.date)
    debit, credit = day.total("DEBIT"), day.total("CREDIT")
    debit_base, credit_base = day.total_base("DEBIT"), day.total_base("CREDIT")
    month = units(between(chance, 300, 900), 0)
    return {
        "balance_id": f"GLB-{fund.fund_id}-{account.code}-{market.date:%Y%m%d}",
        "fund_id": fund.fund_id,
        "gl_account_code": account.code,
        "business_date": market.date,
        "fiscal_year": market.date.year,
        "fiscal_period": market.date.month,
        "ledger_basis": "GAAP" if fund.base_currency == "USD" else "IFRS",
        "balance_status": "SOFT_CLOSED",
        "currency": day.currency,
        "base_currency": fund.base_currency,
        "normal_balance": account.normal_side,
        "opening_balance": day.opening,
        "debit_total": debit,
        "credit_total": credit,
        "closing_balance": day.closing,
        "gl_account": {
            "account_name": account.name,
            "account_class": account.account_class,
            "category": account.category,
            "statement_line": account.statement_line,
            "parent_code": account.parent,
            "reporting_code": f"N-PORT-{account.code[:2]}.{account.code[-2:]}",
            "is_control_account": account.is_control,
        },
        "base": {
            "fx_rate": day.rate,
            "rate_timestamp": market.rate_timestamp,
            "opening_balance": day.opening_base,
            "debit_total": debit_base,
            "credit_total": credit_base,
            "closing_balance": day.closing_base,
            "revaluation": day.closing_base - day.opening_base - debit_base + credit_base,
        },
        "period": {
            "month_debit": percentage(debit, month),
            "month_credit": percentage(credit, month),
            "quarter_debit": percentage(debit, month * 3),
            "quarter_credit": percentage(credit, month * 3),
            "year_debit": percentage(debit, month * 10),
            "year_credit": percentage(credit, month * 10),
            "year_opening_balance": percentage(day.closing, draw(chance, 80, 110)),
            "prior_year_balance": percentage(day.closing, draw(chance, 70, 120)),
            "average_month_balance": quotient(day.opening + day.closing, units(2, 0), NO_AMOUNT),
        },
        "entity": {
            "legal_entity_name": fund.legal_entity,
            "legal_entity_identifier": fund.lei,
            "custody_account_id": fund.accounts[index % len(fund.accounts)].account_id,
            "cost_centre": f"CC-{4100 + fund.number % 40}-GL",
            "tax_domicile": fund.domicile,
        },
        "reconciliation": _reconciliation(market, fund, day, chance),
        "entries": [_entry(market, fund, day, entry, number) for number, entry in enumerate(day.entries, 1)],
        "audit": audit_section(market, "IHUB-GENERAL-LEDGER", 5, fund.number * 1_000 + index + 1),
    }


def _reconciliation(market: Market, fund: Fund, day: AccountDay, chance: Random) -> Section:
    """Accounts with a sub-ledger are reconciled; now and then an item is open."""
    required = day.account.is_control
    open_items = 1 if required and below(chance, 15) == 0 else 0
    difference = draw(chance, 1, 9_000) if open_items else NO_AMOUNT
    return {
        "status": ("UNMATCHED" if open_items else "MATCHED") if required else "NOT_REQUIRED",
        "statement_balance": day.closing - difference if required else None,
        "difference": difference,
        "unmatched_items": open_items,
        "oldest_item_date": business_day(market.date, -between(chance, 1, 5)) if open_items else None,
        "reconciled_at": market.struck_at if required else None,
        "prepared_by": fund.accountant,
        "reviewed_by": fund.supervisor if required else None,
    }


def _entry(market: Market, fund: Fund, day: AccountDay, entry: Entry, number: int) -> Section:
    trade = entry.source == "TRADE"
    return {
        "entry_id": f"GLE-{market.date:%Y%m%d}-{fund.number + 1:05d}-{day.account.code}-{number:04d}",
        "journal_id": f"JNL-{market.date:%Y%m%d}-{fund.number + 1:05d}-{entry.journal:05d}",
        "side": entry.side,
        "amount": entry.amount,
        "amount_base": entry.amount_base,
        "value_date": market.date,
        "posted_at": moment(market.date, 21) + timedelta(milliseconds=4_321 * entry.journal),
        "source": entry.source,
        "transaction_id": f"TRN{market.date:%Y%m%d}{fund.number + 1:05d}{entry.journal % 200 + 1:05d}"
        if trade
        else None,
        "counter_account_code": entry.counter.code,
        "description": f"{_TEXTS[entry.source]} {entry.counter.name}",
    }
