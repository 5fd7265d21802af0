"""Records of the snapshots feed: one a fund."""

from __future__ import annotations

from collections.abc import Iterator

from feedline.datagen.events import TRANSACTIONS
from feedline.datagen.fund_books import fund_books
from feedline.datagen.funds import Fund
from feedline.datagen.holdings import HOLDINGS
from feedline.datagen.market import Market, Section
from feedline.datagen.vocabulary import RATE_SOURCE


def snapshot_records(market: Market, fund: Fund) -> Iterator[Section]:
    books = fund_books(market, fund)
    yield {
        "snapshot_id": f"SNP-{fund.fund_id}-{market.date:%Y%m%d}-EOD",
        "fund_id": fund.fund_id,
        "business_date": market.date,
        "snapshot_type": "EOD",
        "book_status": "CLOSED",
        "knowledge_timestamp": market.struck_at,
        "sequence_number": (market.date - fund.launched).days,
        "base_currency": fund.base_currency,
        "position_count": HOLDINGS,
        "tax_lot_count": books.tax_lots,
        "transaction_count": TRANSACTIONS,
        "total_market_value_base": books.market_value,
        "total_cost_base": books.cost,
        "net_assets_base": books.net_assets,
        "fx": {"rate_source": RATE_SOURCE, "rate_timestamp": market.rate_timestamp},
        "remarks": "Books closed after the final price and rate run; no open breaks.",
        "approved_by": fund.supervisor,
    }
