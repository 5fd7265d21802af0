"""The feeds of a day tell one story: references resolve and amounts add up, to the cent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any

from feedline.datagen import DaySummary
from feedline.datagen.calendar import business_day
from feedline.datagen.funds import make_fund
from feedline.datagen.ledger_books import ledger_days
from feedline.datagen.market import Market

Records = Callable[[str], list[dict[str, Any]]]
Keyed = dict[tuple[Any, ...], dict[str, Any]]


def rounded(value: Decimal, step: str = "0.01") -> Decimal:
    return value.quantize(Decimal(step), rounding=ROUND_HALF_EVEN)


def keyed(found: list[dict[str, Any]], *names: str) -> Keyed:
    return {tuple(record[name] for name in names): record for record in found}


def test_every_reference_resolves(records: Records) -> None:
    accounts = keyed(records("accounts"), "account_id")
    instruments = keyed(records("fund_instruments"), "fund_id", "instrument_id")
    positions = keyed(records("positions"), "account_id", "instrument_id")
    classes = keyed(records("account_share_classes"), "fund_id", "share_class_id")
    funds = keyed(records("snapshots"), "fund_id")
    for feed in ("positions", "transactions", "tax_lots"):
        for record in records(feed):
            assert accounts[record["account_id"],]["fund_id"] == record["fund_id"]
            assert (record["fund_id"], record["instrument_id"]) in instruments
            assert (record["account_id"], record["instrument_id"]) in positions
    for record in records("net_asset_values"):
        assert (record["fund_id"], record["share_class_id"]) in classes
    for record in records("ledger_balances"):
        assert accounts[record["entity"]["custody_account_id"],]["fund_id"] == record["fund_id"]
    assert {key[0] for key in keyed(records("account_dimensions"), "account_id")} == {key[0] for key in accounts}
    assert {record["fund_id"] for record in accounts.values()} == {key[0] for key in funds}


def test_market_value_is_quantity_times_price_and_base_is_local_times_rate(records: Records) -> None:
    for record in records("positions"):
        local = rounded(record["quantity"] * record["price"]["unit_price"])
        assert record["market_value_local"] == local
        assert record["market_value_base"] == rounded(local * record["fx"]["local_to_base_rate"])
        assert (record["quantity"] < 0) == (record["long_short"] == "SHORT")


def test_a_positions_amounts_agree_with_each_other(records: Records) -> None:
    for record in records("positions"):
        base = record["valuation"]["base"]
        assert base["total_value"] == base["clean_value"] + base["accrued_income"]
        assert base["unrealized_gain"] == base["clean_value"] - base["book_cost"]
        assert base["unrealized_gain"] == base["unrealized_price_gain"] + base["unrealized_fx_gain"]
        holding = record["holding"]
        assert holding["quantity_change"] == record["quantity"] - holding["previous_quantity"]
        assert (record["derivative"] is None) == (record["instrument"]["asset_class"] != "DERIVATIVE")
        parts: defaultdict[str, list[Decimal]] = defaultdict(lambda: [Decimal(), Decimal()])
        for exposure in record["exposures"]:
            parts[exposure["dimension"]][0] += exposure["market_value_base"]
            parts[exposure["dimension"]][1] += exposure["weight_percent"]
        assert all(sums == [record["market_value_base"], 100] for sums in parts.values())


def test_tax_lots_add_up_to_their_position(records: Records) -> None:
    lots: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for lot in records("tax_lots"):
        lots[lot["account_id"], lot["instrument_id"]].append(lot)
        assert lot["market_value_local"] == rounded(lot["quantity"] * lot["valuation"]["unit_price"])
        assert lot["cost_base"] == rounded(lot["cost_local"] * lot["fx"]["acquisition_rate"])
        assert lot["acquisition_date"] < lot["business_date"]
        assert (lot["amortization"] is None) == (lot["security"]["asset_class"] not in ("FIXED_INCOME", "MONEY_MARKET"))
    for position in records("positions"):
        held = lots.pop((position["account_id"], position["instrument_id"]), [])
        assert len(held) == position["holding"]["tax_lot_count"]
        if held:
            assert sum(lot["quantity"] for lot in held) == position["quantity"]
            assert sum(lot["cost_base"] for lot in held) == position["valuation"]["base"]["book_cost"]
            assert all((lot["quantity"] < 0) == (position["quantity"] < 0) for lot in held)
    assert not lots


def test_what_a_trade_moves_is_its_gross_with_its_charges(records: Records) -> None:
    kinds = set()
    for record in records("transactions"):
        local, kind = record["amounts"]["local"], record["transaction_type"]
        kinds.add(kind)
        assert local["gross_amount"] == rounded(record["quantity"] * record["price"]["unit_price"])
        assert sum(charge["amount_local"] for charge in record["charges"]) == local["charge_total"]
        assert local["charge_total"] == local["commission"] + local["fees"] + local["taxes"]
        owed = local["gross_amount"] + local["accrued_interest"]
        expected = -owed - local["charge_total"] if kind == "BUY" else owed - local["charge_total"]
        assert record["net_amount_local"] == expected
        assert sum(flow["amount_local"] for flow in record["cash_flows"]) == expected
        assert record["net_amount_base"] == rounded(expected * record["fx"]["trade_to_base_rate"])
        assert (record["income"] is None) == (kind in ("BUY", "SELL"))
    assert kinds == {"BUY", "SELL", "DIVIDEND", "INTEREST"}


def test_net_assets_are_assets_less_liabilities_and_follow_from_the_day_before(records: Records) -> None:
    for record in records("net_asset_values"):
        assert sum(record["assets"].values()) == record["total_assets"]
        assert sum(record["liabilities"].values()) == record["total_liabilities"]
        assert record["net_assets"] == record["total_assets"] - record["total_liabilities"]
        with localcontext(prec=60):
            assert record["nav_per_share"] == rounded(record["net_assets"] / record["shares_outstanding"], "0.00000001")
        capital, operations = record["capital"], record["operations"]
        assert (
            operations["opening_net_assets"] + capital["net_capital_flow"] + operations["net_increase"]
            == record["net_assets"]
        )
        earned = [operations[name] for name in ("dividend_income", "interest_income", "other_income", "realized_gain")]
        earned += [operations["realized_fx_gain"], operations["unrealized_gain_change"], -operations["expenses"]]
        assert sum(earned) == operations["net_increase"]
        shares = capital["opening_shares"] + capital["subscribed_shares"] - capital["redeemed_shares"]
        assert shares == record["shares_outstanding"]
        for fee in record["fee_accruals"]:
            assert fee["accrued_year"] - fee["paid_year"] == fee["outstanding"]


def test_share_classes_have_the_shares_their_valuation_counts(records: Records) -> None:
    classes = keyed(records("account_share_classes"), "share_class_id")
    for record in records("net_asset_values"):
        assert classes[record["share_class_id"],]["shares_outstanding"] == record["shares_outstanding"]


def test_every_ledger_account_adds_up_and_its_entries_are_its_movement(records: Records) -> None:
    for record in records("ledger_balances"):
        debits = sum((e["amount"] for e in record["entries"] if e["side"] == "DEBIT"), Decimal())
        credits_ = sum((e["amount"] for e in record["entries"] if e["side"] == "CREDIT"), Decimal())
        assert (debits, credits_) == (record["debit_total"], record["credit_total"])
        assert record["opening_balance"] + debits - credits_ == record["closing_balance"]
        base = record["base"]
        assert (
            base["opening_balance"] + base["debit_total"] - base["credit_total"] + base["revaluation"]
            == base["closing_balance"]
        )
        if record["currency"] == record["base_currency"]:
            assert base["revaluation"] == 0


def test_a_funds_ledger_balances_in_base_currency(records: Records) -> None:
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    journals: defaultdict[str, Decimal] = defaultdict(Decimal)
    for record in records("ledger_balances"):
        sums[record["fund_id"]] += record["base"]["debit_total"] - record["base"]["credit_total"]
        for entry in record["entries"]:
            journals[entry["journal_id"]] += entry["amount_base"] * (1 if entry["side"] == "DEBIT" else -1)
    assert set(sums.values()) == {Decimal()}
    assert set(journals.values()) == {Decimal()}


def test_a_ledger_opens_with_the_closing_balances_of_the_business_day_before() -> None:
    friday, monday = date(2026, 11, 20), date(2026, 11, 23)
    assert business_day(monday, -1) == friday
    fund = make_fund(7, 3)
    closed = [day.closing for day in ledger_days(Market(7, friday), fund)]
    opened = [day.opening for day in ledger_days(Market(7, monday), fund)]
    assert opened[:-1] == closed[:-1]
    assert opened[-1] == 0  # the account that is closed daily


def test_a_snapshot_counts_and_adds_up_its_funds_records(records: Records) -> None:
    for snapshot in records("snapshots"):
        fund = snapshot["fund_id"]
        held = [record for record in records("positions") if record["fund_id"] == fund]
        assert snapshot["position_count"] == len(held)
        assert snapshot["tax_lot_count"] == sum(record["fund_id"] == fund for record in records("tax_lots"))
        assert snapshot["transaction_count"] == sum(record["fund_id"] == fund for record in records("transactions"))
        assert snapshot["total_market_value_base"] == sum(record["market_value_base"] for record in held)
        assert snapshot["total_cost_base"] == sum(record["valuation"]["base"]["book_cost"] for record in held)


def test_every_declared_total_can_be_told_from_zero(day: DaySummary) -> None:
    for feed in day.feeds:
        for file in feed.files:
            assert all(total != 0 for total in file.control_totals.values()), feed.feed
