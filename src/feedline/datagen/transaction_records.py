"""Records of the transactions feed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random

from feedline.datagen.calendar import business_day, moment
from feedline.datagen.chance import below, between, digits, letters, pick, stream
from feedline.datagen.exact import (
    NO_AMOUNT,
    NO_QUANTITY,
    PERCENT,
    PRICE,
    draw,
    on_grid,
    percentage,
    product,
    units,
)
from feedline.datagen.funds import CUSTODIAN_BIC, Account, Fund
from feedline.datagen.holdings import Holding, account_of, instrument_number, make_holding
from feedline.datagen.identifiers import lei
from feedline.datagen.instruments import BILL, BOND, FUND, FUTURE, Instrument
from feedline.datagen.market import Market, Quote, Section
from feedline.datagen.sections import account_section, audit_section, instrument_section
from feedline.datagen.vocabulary import BROKERS, CLEARERS, PEOPLE, RATE_SOURCE
from feedline.datagen.wording import order_instruction, settlement_narrative

TRANSACTIONS = 200
_BUY, _SELL, _DIVIDEND, _INTEREST = "BUY", "SELL", "DIVIDEND", "INTEREST"
_ORDER_TYPES = ("MARKET", "LIMIT", "LIMIT", "CLOSE")
_CAPACITIES = ("AGENCY", "AGENCY", "PRINCIPAL", "RISKLESS_PRINCIPAL")
_LOT_SIZES = {BOND: 1_000, BILL: 1_000, FUND: 10, FUTURE: 1}
_STRATEGIES = ("REBALANCE", "CASH-FLOW", "ALPHA-TILT", "HEDGE-ADJUST", "INDEX-EVENT")


@dataclass(frozen=True, slots=True)
class _Charge:
    kind: str
    payee: str
    basis: str
    rate: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class _Event:
    """The numbers of one transaction, in the trade currency unless said otherwise.

    sign: +1 when cash comes in, -1 when it goes out.
    """

    number: int
    kind: str
    reference: str
    fund: Fund
    account: Account
    instrument: Instrument
    quote: Quote
    unit_price: Decimal
    quantity: Decimal
    gross: Decimal
    accrued: Decimal
    charges: tuple[_Charge, ...]
    charge_total: Decimal
    net: Decimal
    cost_relieved: Decimal
    rate: Decimal
    executed_at: datetime
    settles: date
    is_settled: bool

    @property
    def is_trade(self) -> bool:
        return self.kind in (_BUY, _SELL)

    @property
    def sign(self) -> int:
        return -1 if self.kind == _BUY else 1

    def base(self, amount: Decimal) -> Decimal:
        return product(amount, self.rate)


def transaction_records(market: Market, fund: Fund) -> Iterator[Section]:
    """Trades and income events of one fund, in instruments and accounts of its holdings."""
    accounts = [account_section(fund, account) for account in fund.accounts]
    for number in range(TRANSACTIONS):
        chance = stream(market.seed, "transaction", fund.number, number, market.date)
        event = _event(market, fund, number, chance)
        yield _record(market, event, chance, accounts[event.account.number])


def _event(market: Market, fund: Fund, number: int, chance: Random) -> _Event:
    held = below(chance, TRANSACTIONS)
    instrument = market.instrument(instrument_number(fund, held))
    quote = market.quote(instrument)
    kind = _kind(chance, instrument)
    quantity = on_grid(Decimal(between(chance, 5, 400) * _LOT_SIZES.get(instrument.asset_class, 10)), units(1, 6))
    holding: Holding | None = None
    if kind in (_DIVIDEND, _INTEREST, _SELL):
        holding = make_holding(market, fund, held)
    if kind in (_DIVIDEND, _INTEREST):
        assert holding is not None
        quantity, unit_price = abs(holding.quantity), _income_for_unit(chance, instrument, quote)
    else:
        unit_price = on_grid(product(quote.unit, draw(chance, 0.995, 1.005, units(1, 6)), units(1, 6)), PRICE)
    gross = product(quantity, unit_price)
    accrued = product(quantity, instrument.accrued_for_unit(market.date)) if kind in (_BUY, _SELL) else NO_AMOUNT
    charges = tuple(_charges(chance, kind, instrument, gross))
    total = sum((charge.amount for charge in charges), NO_AMOUNT)
    place = instrument.place
    cycle = 1 if place.country in ("US", "CA") else 2
    settles = business_day(market.date, cycle) if kind in (_BUY, _SELL) else market.date
    return _Event(
        number=number,
        kind=kind,
        reference=f"TRN{market.date:%Y%m%d}{fund.number + 1:05d}{number + 1:05d}",
        fund=fund,
        account=account_of(fund, held),
        instrument=instrument,
        quote=quote,
        unit_price=unit_price,
        quantity=quantity,
        gross=gross,
        accrued=accrued,
        charges=charges,
        charge_total=total,
        net=-(gross + accrued + total) if kind == _BUY else gross + accrued - total,
        cost_relieved=product(quantity, holding.unit_cost) if holding is not None and kind == _SELL else NO_AMOUNT,
        rate=market.rate(instrument.currency, fund.base_currency),
        executed_at=moment(
            market.date + timedelta(days=0),
            (place.opens + place.utc_offset + between(chance, 0, 5)) % 24,
            below(chance, 60),
            below(chance, 60),
            below(chance, 1_000_000),
            offset=place.utc_offset,
        ),
        settles=settles,
        is_settled=kind in (_DIVIDEND, _INTEREST),
    )


def _kind(chance: Random, instrument: Instrument) -> str:
    """Four events of five are trades; the rest is the income that the instrument can pay."""
    if below(chance, 5) == 0 and instrument.asset_class not in (BILL, FUTURE):
        return _INTEREST if instrument.is_debt else _DIVIDEND
    return pick(chance, (_BUY, _BUY, _SELL))


def _income_for_unit(chance: Random, instrument: Instrument, quote: Quote) -> Decimal:
    if instrument.coupon is not None:
        return percentage(units(1, 0), instrument.coupon / 2, PRICE)
    return product(quote.unit, draw(chance, 0.002, 0.012, units(1, 6)), units(1, 4))


def _charges(chance: Random, kind: str, instrument: Instrument, gross: Decimal) -> Iterator[_Charge]:
    place = instrument.place
    if kind in (_DIVIDEND, _INTEREST):
        rate = place.statutory_rate
        yield _Charge("WITHHOLDING_TAX", f"Tax authority of {place.country}", "PERCENT", rate, percentage(gross, rate))
        return
    commission = draw(chance, 0.01, 0.12, units(1, 4))
    for charge_kind, payee, rate in (
        ("COMMISSION", "Executing broker", commission),
        ("EXCHANGE_FEE", place.exchange, units(325, 5)),
        ("CLEARING_FEE", pick(chance, CLEARERS)[0], units(150, 5)),
        ("REGULATORY_FEE", f"Securities regulator of {place.country}", units(278, 6)),
    ):
        percent = on_grid(rate, PRICE)
        yield _Charge(charge_kind, payee, "PERCENT", percent, percentage(gross, percent))
    if place.country in ("GB", "FR", "HK", "CH") and kind == _BUY and not instrument.is_debt:
        percent = on_grid(
            {"GB": units(5, 1), "FR": units(3, 1), "HK": units(1, 1), "CH": units(75, 3)}[place.country], PRICE
        )
        tax = "TRANSACTION_TAX" if place.country == "FR" else "STAMP_DUTY"
        yield _Charge(tax, f"Treasury of {place.country}", "PERCENT", percent, percentage(gross, percent))


def _record(market: Market, event: _Event, chance: Random, account: Section) -> Section:
    fund, instrument = event.fund, event.instrument
    return {
        "transaction_id": event.reference,
        "fund_id": fund.fund_id,
        "account_id": event.account.account_id,
        "instrument_id": instrument.instrument_id,
        "business_date": market.date,
        "transaction_type": event.kind,
        "transaction_status": "SETTLED" if event.is_settled else "NEW",
        "event_sequence": event.number + 1,
        "trade_timestamp": event.executed_at,
        "trade_date": market.date,
        "contractual_settlement_date": event.settles,
        "actual_settlement_date": event.settles if event.is_settled else None,
        "reversal_of_id": None,
        "quantity": event.quantity,
        "net_amount_local": event.net,
        "net_amount_base": event.base(event.net),
        "account": account,
        "instrument": market.section("instrument", instrument, instrument_section),
        "order": _order(event, chance),
        "counterparty": _counterparty(event, chance),
        "price": {
            "unit_price": event.unit_price,
            "quoted_price": event.quote.quoted,
            "quotation": instrument.quotation,
            "price_currency": instrument.currency,
            "limit_price": event.quote.ask if event.kind == _BUY else None,
            "benchmark_price": event.quote.previous_unit if event.is_trade else None,
            "traded_yield": draw(chance, 1.8, 8.5, PERCENT) if instrument.is_debt else None,
        },
        "amounts": _amounts(event),
        "fx": {
            "trade_currency": instrument.currency,
            "settlement_currency": instrument.currency,
            "base_currency": fund.base_currency,
            "trade_to_base_rate": event.rate,
            "trade_to_settlement_rate": units(10**10, 10),
            "rate_source": RATE_SOURCE,
            "rate_timestamp": market.rate_timestamp,
            "fx_deal_reference": f"FX{digits(chance, 10)}" if instrument.currency != fund.base_currency else None,
        },
        "settlement": _settlement(market, event, chance),
        "lot_impact": _lot_impact(event),
        "income": None if event.is_trade else _income(market, event),
        "posting": _posting(market, event),
        "regulatory": {
            "mifir_reference": f"MIFIR{digits(chance, 12)}{letters(chance, 4)}" if event.is_trade else None,
            "unique_transaction_id": f"{fund.lei}{digits(chance, 16)}" if instrument.asset_class == FUTURE else None,
            "report_status": "PENDING" if event.is_trade else "NOT_REPORTABLE",
            "is_short_sale": False,
            "is_sftr_reportable": False,
            "best_execution_code": "RTS28-A-I" if instrument.asset_class != BOND else "RTS28-B-I",
        },
        "charges": [
            {
                "charge_type": charge.kind,
                "payee": charge.payee,
                "basis": charge.basis,
                "rate": charge.rate,
                "currency": instrument.currency,
                "amount_local": charge.amount,
                "amount_base": event.base(charge.amount),
            }
            for charge in event.charges
        ],
        "cash_flows": list(_cash_flows(event)),
        "audit": audit_section(market, "IHUB-TRADE-PROCESSING", 2, fund.number * 1_000 + event.number + 1),
    }


def _order(event: _Event, chance: Random) -> Section:
    placed = event.executed_at - timedelta(minutes=between(chance, 3, 55))
    trade = event.is_trade
    return {
        "client_order_id": f"ORD-{event.reference[3:11]}-{digits(chance, 9)}",
        "broker_order_id": f"{letters(chance, 4)}{digits(chance, 10)}" if trade else None,
        "execution_id": f"EX-{event.instrument.place.mic}-{digits(chance, 12)}",
        "allocation_id": f"AL-{event.account.account_id}-{digits(chance, 8)}",
        "block_trade_id": f"BLK-{digits(chance, 10)}" if trade and below(chance, 2) else None,
        "side": event.kind if trade else "NONE",
        "order_type": pick(chance, _ORDER_TYPES) if trade else "NONE",
        "time_in_force": "DAY" if trade else "NONE",
        "trader": pick(chance, PEOPLE),
        "placed_at": placed,
        "executed_at": event.executed_at,
        "allocated_at": event.executed_at + timedelta(minutes=between(chance, 5, 90)),
        "venue_mic": event.instrument.place.mic if trade else None,
        "capacity": pick(chance, _CAPACITIES),
        "strategy_code": f"{pick(chance, _STRATEGIES)}/{event.fund.strategy[2]}",
        "instruction_text": order_instruction(
            quantity=event.quantity,
            ticker=event.instrument.ticker,
            percent=between(chance, 8, 25),
            place=event.instrument.place,
            account=event.account.name,
            manager=event.fund.portfolio_manager,
            firm=event.fund.manager,
        )
        if trade
        else None,
    }


def _counterparty(event: _Event, chance: Random) -> Section:
    code, name, bic, country = pick(chance, BROKERS)
    clearer, clearer_bic = pick(chance, CLEARERS)
    place = event.instrument.place
    delivers = event.kind == _SELL
    return {
        "broker_code": code,
        "broker_name": name,
        "broker_bic": bic,
        "broker_lei": lei(stream("broker", code)),
        "clearing_broker_name": clearer,
        "clearing_broker_bic": clearer_bic,
        "settlement_instruction_id": f"SSI-{bic[:8]}-{place.country}-{digits(chance, 6)}",
        "place_of_settlement_bic": place.depository_bic,
        "delivering_agent_bic": place.agent_bic if delivers else clearer_bic,
        "receiving_agent_bic": clearer_bic if delivers else place.agent_bic,
        "counterparty_account": f"{bic[:4]}{digits(chance, 11)}",
        "counterparty_country": country,
    }


def _amounts(event: _Event) -> Section:
    commission = sum((c.amount for c in event.charges if c.kind == "COMMISSION"), NO_AMOUNT)
    fees = sum((c.amount for c in event.charges if c.kind.endswith("_FEE")), NO_AMOUNT)
    taxes = event.charge_total - commission - fees
    gain = event.gross - event.cost_relieved if event.kind == _SELL else NO_AMOUNT
    local = {
        "gross_amount": event.gross,
        "accrued_interest": event.accrued,
        "commission": commission,
        "fees": fees,
        "taxes": taxes,
        "charge_total": event.charge_total,
        "cost_relieved": event.cost_relieved,
        "realized_gain": gain,
    }
    return {
        "local": local,
        "base": {name: event.base(amount) for name, amount in local.items()},
        "settlement": {"gross_amount": event.gross, "charge_total": event.charge_total, "net_amount": event.net},
    }


def _settlement(market: Market, event: _Event, chance: Random) -> Section:
    place = event.instrument.place
    matched = event.is_trade and below(chance, 3) > 0
    method = ("DVP" if event.kind == _SELL else "RVP") if event.is_trade else "CASH"
    status = "SETTLED" if event.is_settled else "MATCHED" if matched else "PENDING"
    return {
        "settlement_status": status,
        "settlement_method": method,
        "instruction_reference": f"MT54{1 if event.kind == _BUY else 3}-{event.reference}",
        "custodian_reference": f"{CUSTODIAN_BIC[:6]}{digits(chance, 12)}",
        "market_reference": f"{place.depository_bic[:4]}{digits(chance, 14)}" if matched else None,
        "matched_at": moment(market.date, 21, below(chance, 60), below(chance, 60)) if matched else None,
        "fail_reason": None,
        "fail_days": 0,
        "settlement_location": place.depository_bic,
        "sub_custodian_bic": event.account.place.agent_bic,
        "cash_account": event.account.cash_account,
        "is_partial_allowed": event.is_trade,
        "settled_quantity": event.quantity if event.is_settled else NO_QUANTITY,
        "settled_amount_local": event.net if event.is_settled else NO_AMOUNT,
        "penalty_amount_base": NO_AMOUNT,
        "narrative": settlement_narrative(
            method=method,
            kind=event.kind,
            security_type=event.instrument.security_type,
            identifier=event.instrument.isin or event.instrument.ticker,
            settles=event.settles,
            place=place,
            agent=event.account.place.agent,
            safekeeping=event.account.safekeeping_account,
            cash_account=event.account.cash_account,
            entity=event.fund.legal_entity,
            lei=event.fund.lei,
        ),
    }


def _lot_impact(event: _Event) -> Section:
    gain = event.base(event.gross - event.cost_relieved) if event.kind == _SELL else NO_AMOUNT
    return {
        "lot_relief_method": "FIFO",
        "lots_touched": 1 if event.is_trade else 0,
        "holding_period": "LONG_TERM" if event.kind == _SELL else "NONE",
        "short_term_gain_base": NO_AMOUNT,
        "long_term_gain_base": gain,
        "wash_sale_adjustment_base": NO_AMOUNT,
    }


def _income(market: Market, event: _Event) -> Section:
    place = event.instrument.place
    return {
        "event_id": f"CA{market.date:%Y%m%d}{event.instrument.number:06d}",
        "event_type": "INTR" if event.kind == _INTEREST else "DVCA",
        "ex_date": business_day(market.date, -12),
        "record_date": business_day(market.date, -11),
        "payment_date": market.date,
        "rate_per_unit": event.unit_price,
        "eligible_quantity": event.quantity,
        "withholding_rate": place.statutory_rate,
        "withheld_local": event.charge_total,
        "reclaimable_local": percentage(event.gross, place.statutory_rate - place.treaty_rate),
    }


def _posting(market: Market, event: _Event) -> Section:
    debit, credit = {
        _BUY: ("1100-01", "2100-01"),
        _SELL: ("1300-01", "1100-01"),
        _DIVIDEND: ("1000-01", "4000-01"),
        _INTEREST: ("1000-01", "4100-01"),
    }[event.kind]
    return {
        "ledger_basis": "GAAP" if event.fund.base_currency == "USD" else "IFRS",
        "fiscal_period": f"{market.date:%Y-%m}",
        "journal_id": f"JNL-{event.reference[3:]}",
        "debit_account_code": debit,
        "credit_account_code": credit,
        "posted_at": market.struck_at,
        "is_prior_period": False,
    }


def _cash_flows(event: _Event) -> Iterator[Section]:
    """What is bought or earned, its interest and its charges, each as the cash it moves."""
    taxes = sum(
        (c.amount for c in event.charges if c.kind in ("WITHHOLDING_TAX", "STAMP_DUTY", "TRANSACTION_TAX")), NO_AMOUNT
    )
    flows = (
        ("PRINCIPAL", event.gross * event.sign),
        ("INTEREST", event.accrued * event.sign),
        ("CHARGES", -(event.charge_total - taxes)),
        ("TAX", -taxes),
    )
    for kind, amount in flows:
        if amount:
            yield {
                "flow_type": kind,
                "currency": event.instrument.currency,
                "amount_local": amount,
                "value_date": event.settles,
                "cash_account": event.account.cash_account,
                "flow_status": "SETTLED" if event.is_settled else "EXPECTED",
            }
