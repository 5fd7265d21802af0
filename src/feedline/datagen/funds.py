"""Funds, their custody accounts and share classes: they depend on the seed and their number alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from random import Random

from feedline.datagen.chance import below, between, digits, pick, stream
from feedline.datagen.exact import PERCENT, draw, units
from feedline.datagen.identifiers import cusip, iban, isin, lei, sedol
from feedline.datagen.vocabulary import FUND_FIRST, FUND_STRATEGIES, MANAGERS, MARKET_PLACES, PEOPLE, MarketPlace

ACCOUNTS = 3
SHARE_CLASSES = 4

CUSTODIAN_BIC = "IRVTUS3NIBK"
CUSTODIAN = "The Bank of New York Mellon"
_CURRENCIES = ("USD", "USD", "USD", "EUR", "EUR", "GBP", "CHF")
_DOMICILES = {"USD": "US", "EUR": "LU", "GBP": "IE", "CHF": "CH"}
_CLASS_WEIGHTS = (units(41_2500, 4), units(32_5000, 4), units(18_7500, 4), units(7_5000, 4))
_CLASS_TYPES = ("INSTITUTIONAL", "RETAIL", "CLEAN", "FOUNDER")


@dataclass(frozen=True, slots=True)
class Account:
    number: int
    account_id: str
    name: str
    kind: str
    place: MarketPlace
    safekeeping_account: str
    cash_account: str
    iban: str
    segregation: str
    opened: date
    is_lending: bool
    agreement: str


@dataclass(frozen=True, slots=True)
class ShareClass:
    """`weight`: percent of the fund's net assets; the weights of a fund's classes add up to 100."""

    share_class_id: str
    code: str
    name: str
    isin: str
    sedol: str
    cusip: str | None
    currency: str
    kind: str
    policy: str
    is_hedged: bool
    weight: Decimal
    launched: date
    base_nav: Decimal
    management_fee: Decimal


@dataclass(frozen=True, slots=True)
class Fund:
    number: int
    fund_id: str
    name: str
    legal_entity: str
    lei: str
    base_currency: str
    domicile: str
    strategy: tuple[str, str, str, str]
    manager: str
    portfolio_manager: str
    accountant: str
    supervisor: str
    launched: date
    portfolio_code: str
    accounts: tuple[Account, ...]
    share_classes: tuple[ShareClass, ...]


def make_fund(seed: int, number: int) -> Fund:
    """Fund `number` (from 0): the same one whatever the number of funds."""
    chance = stream(seed, "fund", number)
    fund_id = f"BNYF{number + 1:06d}"
    base = pick(chance, _CURRENCIES)
    strategy = pick(chance, FUND_STRATEGIES)
    name = f"{pick(chance, FUND_FIRST)} {strategy[0]} Fund {number + 1}"
    launched = date(between(chance, 2001, 2018), between(chance, 1, 12), between(chance, 1, 28))
    domicile = _DOMICILES[base]
    return Fund(
        number=number,
        fund_id=fund_id,
        name=name,
        legal_entity=f"{name}, a sub-fund of {name.split(' ', 1)[0]} Investment Company",
        lei=lei(chance),
        base_currency=base,
        domicile=domicile,
        strategy=strategy,
        manager=pick(chance, MANAGERS),
        portfolio_manager=pick(chance, PEOPLE),
        accountant=pick(chance, PEOPLE),
        supervisor=pick(chance, PEOPLE),
        launched=launched,
        portfolio_code=f"PF-{digits(chance, 7)}",
        accounts=tuple(_account(chance, fund_id, name, launched, index) for index in range(ACCOUNTS)),
        share_classes=tuple(
            _share_class(chance, fund_id, name, base=base, domicile=domicile, launched=launched, index=index)
            for index in range(SHARE_CLASSES)
        ),
    )


def _account(chance: Random, fund_id: str, fund_name: str, launched: date, index: int) -> Account:
    place = pick(chance, MARKET_PLACES)
    number = digits(chance, 10)
    return Account(
        number=index,
        account_id=f"CA{fund_id[4:]}{index + 1:02d}",
        name=f"{fund_name} - {place.country} Custody Account {index + 1}",
        kind=("CUSTODY", "CUSTODY", "COLLATERAL")[index],
        place=place,
        safekeeping_account=f"{place.agent_bic[:4]}-{number}-{index + 1:02d}",
        cash_account=f"CSH{fund_id[4:]}{index + 1:02d}{place.currency}",
        iban=iban("DE", f"50330200{number}"),
        segregation=pick(chance, ("SEGREGATED", "SEGREGATED", "OMNIBUS")),
        opened=launched,
        is_lending=below(chance, 2) == 0,
        agreement=f"Global Custody Agreement of {launched:%d %B %Y}, schedule {index + 1}",
    )


def _share_class(
    chance: Random, fund_id: str, fund_name: str, *, base: str, domicile: str, launched: date, index: int
) -> ShareClass:
    code = "IRCF"[index]
    currency = base if index < 2 else pick(chance, ("EUR", "USD", "GBP"))
    hedged = currency != base
    policy = pick(chance, ("ACCUMULATING", "DISTRIBUTING"))
    wording = f"{'Acc' if policy == 'ACCUMULATING' else 'Dist'}{' Hedged' if hedged else ''}"
    own_cusip = cusip(chance) if domicile == "US" else None
    return ShareClass(
        share_class_id=f"{fund_id}-{code}{index + 1}",
        code=code,
        name=f"{fund_name} Class {code} {currency} {wording}",
        isin=isin(domicile, own_cusip or digits(chance, 9)),
        sedol=sedol(chance),
        cusip=own_cusip,
        currency=currency,
        kind=_CLASS_TYPES[index],
        policy=policy,
        is_hedged=hedged,
        weight=_CLASS_WEIGHTS[index],
        launched=launched,
        base_nav=draw(chance, 10, 240, units(1, 4)),
        management_fee=draw(chance, 0.2, 1.5, PERCENT),
    )
