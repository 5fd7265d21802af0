"""The chart of accounts of a fund's general ledger: a hundred accounts in their classes."""

from __future__ import annotations

from dataclasses import dataclass

from feedline.datagen.vocabulary import USD_VALUES


@dataclass(frozen=True, slots=True)
class LedgerAccount:
    """`currency` is None for accounts kept in the fund's base currency."""

    code: str
    name: str
    account_class: str
    category: str
    statement_line: str
    is_control: bool
    currency: str | None = None

    @property
    def normal_side(self) -> str:
        return "DEBIT" if self.account_class in ("ASSET", "EXPENSE") else "CREDIT"

    @property
    def parent(self) -> str:
        return f"{self.code[:4]}-00"


# Group: first four digits of the codes, class, category, line of the statements, accounts in it.
_GROUPS = (
    ("1100", "ASSET", "Investments at cost", "Investments in securities", (
        "Equities - Developed Markets", "Equities - Emerging Markets", "Government Bonds", "Corporate Bonds",
        "Asset Backed Securities", "Treasury Bills", "Investment Funds", "Depositary Receipts", "Preferred Shares",
        "Warrants and Rights")),
    ("1200", "ASSET", "Unrealized results", "Investments in securities", (
        "Unrealized Price Result - Equities", "Unrealized Price Result - Bonds", "Unrealized Price Result - Funds",
        "Unrealized Currency Result - Investments", "Unrealized Result - Futures",
        "Unrealized Result - Currency Forwards")),
    ("1300", "ASSET", "Receivables", "Receivables", (
        "Receivable for Investments Sold", "Receivable for Fund Shares Sold", "Dividends Receivable",
        "Bond Interest Receivable",
        "Bank Interest Receivable", "Withholding Tax Reclaims", "Securities Lending Income Receivable",
        "Fee Rebates Receivable")),
    ("1400", "ASSET", "Margin and collateral", "Due from brokers", (
        "Initial Margin - Futures", "Variation Margin - Futures", "Cash Collateral Posted", "Prepaid Expenses")),
    ("2100", "LIABILITY", "Payables", "Payables", (
        "Payable for Investments Purchased", "Payable for Fund Shares Redeemed", "Distributions Payable",
        "Bank Overdraft",
        "Cash Collateral Received", "Variation Margin Payable")),
    ("2200", "LIABILITY", "Accrued expenses", "Accrued expenses", (
        "Management Fee Payable", "Performance Fee Payable", "Custody Fee Payable", "Administration Fee Payable",
        "Audit Fee Payable", "Transfer Agency Fee Payable", "Directors Fee Payable", "Legal Fee Payable",
        "Subscription Tax Payable",
        "Capital Gains Tax Payable")),
    ("3100", "EQUITY", "Capital", "Net assets", (
        "Paid-in Capital - Institutional", "Paid-in Capital - Retail", "Paid-in Capital - Clean",
        "Paid-in Capital - Founder",
        "Retained Earnings", "Distributions to Shareholders")),
    ("4000", "INCOME", "Dividend income", "Investment income", (
        "Dividend Income - Domestic", "Dividend Income - Foreign", "Dividend Income - Funds", "Stock Dividends",
        "Tax Reclaim Income")),
    ("4100", "INCOME", "Interest income", "Investment income", (
        "Interest Income - Government Bonds", "Interest Income - Corporate Bonds", "Interest Income - Bills",
        "Bank Interest Income", "Amortization of Discount", "Securities Lending Income")),
    ("4200", "INCOME", "Realized results", "Net realized gain", (
        "Realized Gain - Equities Short Term", "Realized Gain - Equities Long Term", "Realized Gain - Bonds",
        "Realized Gain - Funds", "Realized Gain - Futures", "Realized Currency Gain - Investments",
        "Realized Currency Gain - Forwards",
        "Realized Currency Gain - Cash")),
    ("4300", "INCOME", "Change of unrealized results", "Net change in unrealized appreciation", (
        "Change in Unrealized - Equities", "Change in Unrealized - Bonds", "Change in Unrealized - Funds",
        "Change in Unrealized - Futures", "Change in Unrealized - Currency")),
    ("5100", "EXPENSE", "Operating expenses", "Expenses", (
        "Management Fee", "Performance Fee", "Custody Fee", "Administration Fee", "Audit Fee", "Transfer Agency Fee",
        "Directors Fee", "Legal Fee", "Printing and Publication", "Regulatory Fees", "Bank Charges")),
    ("5200", "EXPENSE", "Taxes", "Taxes", (
        "Withholding Tax on Dividends", "Withholding Tax on Interest", "Financial Transaction Tax",
        "Capital Gains Tax")),
)  # fmt: skip
_CONTROLLED = frozenset({"1100", "1200", "1300", "2100", "3100"})


def chart() -> tuple[LedgerAccount, ...]:
    """Cash in each currency first, then the groups, and last the account that closes the day's result to equity."""
    cash = [
        LedgerAccount(
            f"1000-{index + 1:02d}",
            f"Cash at Custodian - {currency}",
            "ASSET",
            "Cash",
            "Cash at bank",
            is_control=True,
            currency=currency,
        )
        for index, currency in enumerate(USD_VALUES)
    ]
    grouped = [
        LedgerAccount(f"{code}-{index + 1:02d}", name, kind, category, line, code in _CONTROLLED)
        for code, kind, category, line, names in _GROUPS
        for index, name in enumerate(names)
    ]
    clearing = LedgerAccount(
        "3900-01", "Result of the Day, Closed Daily", "EQUITY", "Clearing", "Net assets", is_control=False
    )
    return (*cash, *grouped, clearing)


CHART = chart()
