"""Records of the transactions feed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from random import Random

from feedline.datagen.calendar import business_day, moment
from feedline.datagen.chance import below, between, digits, letters, pick, stream
from feedline.datagen.events import BUY, DIVIDEND, INTEREST, SELL, TRANSACTIONS, Event, make_event
from feedline.datagen.exact import (
    NO_AMOUNT,
    NO_QUANTITY,
    PERCENT,
    draw,
    percentage,
    units,
)
from feedline.datagen.funds import CUSTODIAN_BIC, Fund
from feedline.datagen.identifiers import lei
from feedline.datagen.instruments import BOND, FUTURE
from feedline.datagen.market import Market, Section
from feedline.datagen.sections import account_section, audit_section, instrument_section
from feedline.datagen.vocabulary import BROKERS, CLEARERS, PEOPLE, RATE_SOURCE
from feedline.datagen.wording import order_instruction, settlement_narrative

_ORDER_TYPES = ("MARKET", "LIMIT", "LIMIT", "CLOSE")
_CAPACITIES = ("AGENCY", "AGENCY", "PRINCIPAL", "RISKLESS_PRINCIPAL")
_STRATEGIES = ("REBALANCE", "CASH-FLOW", "ALPHA-TILT", "HEDGE-ADJUST", "INDEX-EVENT")


def transaction_records(market: Market, fund: Fund) -> Iterator[Section]:
    """Trades and income events of one fund, in instruments and accounts of its holdings."""
    accounts = [account_section(fund, account) for account in fund.accounts]
    for number in range(TRANSACTIONS):
        chance = stream(market.seed, "transaction", fund.number, number, market.date)
        event = make_event(market, fund, number, chance)
        yield _record(market, event, chance, accounts[event.account.number])


def _record(market: Market, event: Event, chance: Random, account: Section) -> Section:
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
            "limit_price": event.quote.ask if event.kind == BUY else None,
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


def _order(event: Event, chance: Random) -> Section:
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


def _counterparty(event: Event, chance: Random) -> Section:
    code, name, bic, country = pick(chance, BROKERS)
    clearer, clearer_bic = pick(chance, CLEARERS)
    place = event.instrument.place
    delivers = event.kind == SELL
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


def _amounts(event: Event) -> Section:
    commission = sum((c.amount for c in event.charges if c.kind == "COMMISSION"), NO_AMOUNT)
    fees = sum((c.amount for c in event.charges if c.kind.endswith("_FEE")), NO_AMOUNT)
    taxes = event.charge_total - commission - fees
    gain = event.gross - event.cost_relieved if event.kind == SELL else NO_AMOUNT
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


def _settlement(market: Market, event: Event, chance: Random) -> Section:
    place = event.instrument.place
    matched = event.is_trade and below(chance, 3) > 0
    method = ("DVP" if event.kind == SELL else "RVP") if event.is_trade else "CASH"
    status = "SETTLED" if event.is_settled else "MATCHED" if matched else "PENDING"
    return {
        "settlement_status": status,
        "settlement_method": method,
        "instruction_reference": f"MT54{1 if event.kind == BUY else 3}-{event.reference}",
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


def _lot_impact(event: Event) -> Section:
    gain = event.base(event.gross - event.cost_relieved) if event.kind == SELL else NO_AMOUNT
    return {
        "lot_relief_method": "FIFO",
        "lots_touched": 1 if event.is_trade else 0,
        "holding_period": "LONG_TERM" if event.kind == SELL else "NONE",
        "short_term_gain_base": NO_AMOUNT,
        "long_term_gain_base": gain,
        "wash_sale_adjustment_base": NO_AMOUNT,
    }


def _income(market: Market, event: Event) -> Section:
    place = event.instrument.place
    return {
        "event_id": f"CA{market.date:%Y%m%d}{event.instrument.number:06d}",
        "event_type": "INTR" if event.kind == INTEREST else "DVCA",
        "ex_date": business_day(market.date, -12),
        "record_date": business_day(market.date, -11),
        "payment_date": market.date,
        "rate_per_unit": event.unit_price,
        "eligible_quantity": event.quantity,
        "withholding_rate": place.statutory_rate,
        "withheld_local": event.charge_total,
        "reclaimable_local": percentage(event.gross, place.statutory_rate - place.treaty_rate),
    }


def _posting(market: Market, event: Event) -> Section:
    debit, credit = {
        BUY: ("1100-01", "2100-01"),
        SELL: ("1300-01", "1100-01"),
        DIVIDEND: ("1000-01", "4000-01"),
        INTEREST: ("1000-01", "4100-01"),
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


def _cash_flows(event: Event) -> Iterator[Section]:
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
