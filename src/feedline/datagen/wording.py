"""The free texts that custody feeds carry: legal descriptions, statement narratives, notes of the desks."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from feedline.datagen.vocabulary import MarketPlace


def instrument_wording(
    kind: str, issuer: str, place: MarketPlace, coupon: Decimal | None, maturity: date | None
) -> tuple[str, str]:
    """Name, and the legal description that statements print under it."""
    due = "" if maturity is None else f"{maturity:%d %b %Y}"
    name, terms = {
        "FIXED_INCOME": (
            f"{issuer} {coupon}% Senior Unsecured Notes due {due}",
            f"{coupon}% Senior Unsecured Notes due {due}, fixed rate, ranking pari passu with other senior debt",
        ),
        "MONEY_MARKET": (
            f"{issuer} Bill {due}",
            f"Discount bill of the {issuer} due {due}, zero coupon, redeemed at par",
        ),
        "FUND": (
            f"{issuer} UCITS Fund Class I",
            "Open-ended investment company with variable capital, institutional shares, accumulating, dealt daily",
        ),
        "DERIVATIVE": (
            f"{place.mic} Index Future {due}",
            f"Cash settled index future, 50 {place.currency} a point, last trading day {due}, daily variation margin",
        ),
    }.get(
        kind,
        (
            f"{issuer} Registered Ordinary Shares",
            f"Registered ordinary shares of {issuer}, one vote a share, fully paid",
        ),
    )
    return name, (
        f"{terms}; denominated in {place.currency}, in dematerialized form, traded on {place.exchange} ({place.mic}) "
        "and "
        f"settled through {place.depository} ({place.depository_bic}); governed by the laws of {place.country}; "
        "income is "
        f"paid by {place.agent} net of {place.statutory_rate.normalize():f} percent tax at source unless a treaty "
        "applies"
    )


def holding_narrative(
    *,
    place: MarketPlace,
    market_place: MarketPlace,
    day: date,
    safekeeping: str,
    segregation: str,
    entity: str,
    manager: str,
) -> str:
    """ISO 15022 statement narratives: holding, sub-balance and registration, upper case as SWIFT's character set "
    "has it."""
    return (
        f":70E::HOLD//HELD WITH {place.agent} {place.agent_bic}/SAFE/{safekeeping}"
        f"/PLACE OF SETTLEMENT {market_place.depository} {market_place.depository_bic}"
        f"/STATEMENT {day:%d%b%Y}/{segregation} NOMINEE REGISTRATION"
        f":70C::SUBB//AVAILABLE BALANCE NET OF LOANED, PLEDGED AND BLOCKED QUANTITY/TRADE DATE BASIS WITH CONTRACTUAL "
        f"SETTLEMENT/PRICED AT OFFICIAL CLOSE OF {market_place.exchange}/ACCRUALS INCLUDE BUSINESS DATE"
        f":70D::REGI//REGISTERED FOR {entity}/VOTING RIGHTS EXERCISED ON INSTRUCTION OF {manager}/PROXY CUT-OFF FIVE "
        f"BUSINESS DAYS BEFORE MEETING/CORPORATE ACTIONS NOTIFIED BY MT564 TO {place.agent_bic}"
        f"/NO LIEN OTHER THAN CUSTODIAN FEES"
        f":70E::ACCT//ACCOUNT REPORTED DAILY BY MT535 AND MT536 AT CLOSE OF {place.country} BUSINESS/CLAIMS WITHIN "
        "TEN BUSINESS "
        f"DAYS/FRACTIONS CARRIED TO SIX DECIMALS/TAX STATUS AS DOCUMENTED WITH {place.agent}/INCOME CREDITED ON "
        "PAYABLE DATE "
        f"WITH CONTRACTUAL VALUE"
    ).upper()


def order_instruction(
    *, quantity: Decimal, ticker: str, percent: int, place: MarketPlace, account: str, manager: str, firm: str
) -> str:
    return (
        f"Work {quantity.to_integral_value():f} {ticker} at no more than {percent} percent of volume from the "
        f"{place.exchange} "
        f"open and finish in the closing auction; allocate pro rata to {account} and the other accounts of the "
        "strategy; "
        "step out of crosses below 10 lots, no dark liquidity without a price improvement of half the spread; "
        "confirm fills to "
        f"{manager} at {firm} by MT515 before the cut-off of {place.depository}; commission as in the schedule "
        "agreed with "
        f"the broker, research unbundled under MiFID II; report any partial fill before the end of the trading day; "
        f"do not cross with other accounts of {firm}; residual quantity lapses at the close and is re-entered on the "
        "next "
        f"business day after review by the portfolio manager."
    )


def settlement_narrative(
    *,
    method: str,
    kind: str,
    security_type: str,
    identifier: str,
    settles: date,
    place: MarketPlace,
    agent: str,
    safekeeping: str,
    cash_account: str,
    entity: str,
    lei: str,
) -> str:
    """ISO 15022 settlement processing narrative, upper case as SWIFT's character set has it."""
    return (
        f":70E::SPRO//{method} {kind} {security_type}/{identifier}"
        f"/SETTLE {settles:%d%b%Y} AT {place.depository} {place.depository_bic}"
        f"/SAFE {safekeeping} WITH {agent}/CASH {cash_account} {place.currency}/FOR {entity} LEI {lei}"
        f"/MATCH ON CONTRACTUAL DATE WITH TOLERANCE OF 25 {place.currency} PER CSDR ARTICLE 6"
        f"/PARTIAL SETTLEMENT ALLOWED ABOVE ONE ROUND LOT/AUTO-BORROW NOT AUTHORISED"
        f"/HOLD AND RELEASE PER STANDING INSTRUCTION OF THE INVESTMENT MANAGER"
        f"/FAILS CHASED FROM CONTRACTUAL DATE PLUS ONE BY {agent}/BUY-IN AS MARKET RULES OF {place.exchange}"
        f"/MARKET CLAIMS AND TRANSFORMATIONS DETECTED BY THE DEPOSITORY"
    ).upper()


def basis_narrative(
    *, acquired: date, broker: str, currency: str, base: str, rate: Decimal, domicile: str, method: str
) -> str:
    return (
        f"Acquired {acquired:%d %B %Y} through {broker} with commission and stamp duty capitalized; cost in {currency} "
        f"translated to {base} at {rate:f}, the closing rate of the trade date; adjusted since for the events listed "
        "below; "
        f"relieved {method.replace('_', ' ').lower()} under the election of the fund's tax agent in {domicile}; "
        "holding period counted from the day after the trade date; no constructive sale, no straddle, no short "
        "against the box; "
        f"cost reported on the year-end statement to the tax authority of {domicile} where the lot is covered."
    )


def valuation_commentary(*, basis: str, accountant: str, change_percent: Decimal, benchmark: str, stale: int) -> str:
    return (
        f"{basis} valuation prepared by {accountant}: move of {change_percent:f} percent on the day against "
        f"{benchmark} "
        f"explained by closing prices and the 16:00 London rates; {stale} unchanged prices confirmed with the second "
        "vendor; "
        f"cash and positions reconciled to the custodian; accruals, dealing and swing checks complete."
    )


def compliance_note(*, issuer: str, limit: Decimal, fund: str, domicile: str) -> str:
    return (
        f"Holdings in {issuer} and its group count towards the {limit.normalize():f} percent issuer limit in the "
        "prospectus of "
        f"{fund}; checked after trade and at the close under the rules of {domicile}; passive breaches are reported "
        "to the "
        f"depositary within one business day and cured in the interest of the shareholders."
    )
