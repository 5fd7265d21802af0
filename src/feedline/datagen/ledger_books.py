"""A fund's general ledger of one business date: a ledger that balances.

Every posting has two sides, so a fund's debits equal its credits in base currency. An account's closing balance
depends on the date alone and its opening balance is that of the business day before; a chain of transfers from each
account to the next carries the movements, and the last account, which is closed daily, takes what is left over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import pairwise

from feedline.datagen.chance import below, pick, stream
from feedline.datagen.chart_of_accounts import CHART, LedgerAccount
from feedline.datagen.exact import NO_AMOUNT, draw, percentage, product, units
from feedline.datagen.funds import Fund
from feedline.datagen.market import Market

# Pairs of postings beside the chain, for each fund and date, and postings of a foreign currency account.
_JOURNALS = 242
_FOREIGN_POSTINGS = 6
_SOURCES = ("TRADE", "TRADE", "INCOME", "FEE", "CAPITAL", "VALUATION")


@dataclass(frozen=True, slots=True)
class Entry:
    """One side of a posting; amounts are positive, in the account's and in the base currency."""

    journal: int
    side: str
    amount: Decimal
    amount_base: Decimal
    counter: LedgerAccount
    source: str


@dataclass(slots=True)
class AccountDay:
    """One account's day; balances are debit-positive."""

    account: LedgerAccount
    currency: str
    rate: Decimal
    opening: Decimal
    closing: Decimal
    opening_base: Decimal
    closing_base: Decimal
    entries: list[Entry] = field(default_factory=list)

    def total(self, side: str) -> Decimal:
        return sum((entry.amount for entry in self.entries if entry.side == side), NO_AMOUNT)

    def total_base(self, side: str) -> Decimal:
        return sum((entry.amount_base for entry in self.entries if entry.side == side), NO_AMOUNT)

    def movement_base(self) -> Decimal:
        return self.total_base("DEBIT") - self.total_base("CREDIT")


def ledger_days(market: Market, fund: Fund) -> list[AccountDay]:
    """One day for each account of the chart, in its order."""
    days = [_account_day(market, fund, account) for account in CHART]
    in_base = [day for day in days if day.currency == fund.base_currency]
    chance = stream(market.seed, "journals", fund.number, market.date)
    journal = 0
    for day in days:
        if day.currency != fund.base_currency:
            left = day.closing - day.opening
            for posting in range(_FOREIGN_POSTINGS):
                amount = percentage(left, draw(chance, -40, 140)) if posting < _FOREIGN_POSTINGS - 1 else left
                left -= amount
                journal += 1
                counter, source = pick(chance, in_base[:-1]), pick(chance, _SOURCES)
                _post(journal, day, amount, product(amount, day.rate), counter, source=source)
    for _ in range(_JOURNALS):
        journal += 1
        debited = below(chance, len(in_base) - 1)
        credited = (debited + 1 + below(chance, len(in_base) - 2)) % (len(in_base) - 1)
        amount = draw(chance, 150, 480_000)
        _post(journal, in_base[debited], amount, amount, in_base[credited], source=pick(chance, _SOURCES))
    for day, following in pairwise(in_base):
        journal += 1
        amount = day.closing_base - day.opening_base - day.movement_base()
        _post(journal, day, amount, amount, following, source="CAPITAL")
    last = in_base[-1]
    last.closing = last.closing_base = last.movement_base()
    return days


def _post(journal: int, day: AccountDay, amount: Decimal, base: Decimal, counter: AccountDay, *, source: str) -> None:
    """Debit `day` with a positive amount and credit the counter account, kept in base currency; or the reverse."""
    side, other = ("DEBIT", "CREDIT") if amount >= 0 else ("CREDIT", "DEBIT")
    day.entries.append(Entry(journal, side, abs(amount), abs(base), counter.account, source))
    counter.entries.append(Entry(journal, other, abs(base), abs(base), day.account, source))


def _account_day(market: Market, fund: Fund, account: LedgerAccount) -> AccountDay:
    currency = account.currency or fund.base_currency
    rate = market.rate(currency, fund.base_currency)
    if account is CHART[-1]:  # closed daily: opens at nothing, and closes at what the day leaves
        return AccountDay(account, currency, rate, NO_AMOUNT, NO_AMOUNT, NO_AMOUNT, NO_AMOUNT)
    opening = _balance(market.seed, fund, account, market.previous_date)
    closing = _balance(market.seed, fund, account, market.date)
    previous_rate = market.rate(currency, fund.base_currency, market.previous_date)
    return AccountDay(
        account, currency, rate, opening, closing, product(opening, previous_rate), product(closing, rate)
    )


def _balance(seed: int, fund: Fund, account: LedgerAccount, day: date) -> Decimal:
    """A standing balance on the account's normal side, moved by at most 0.3 percent on a day."""
    standing = draw(stream(seed, "balance", fund.number, account.code), 40_000, 90_000_000)
    moved = draw(stream(seed, "turnover", fund.number, account.code, day), -0.3, 0.3, units(1, 6))
    balance = standing + percentage(standing, moved)
    return balance if account.normal_side == "DEBIT" else -balance
