"""A whole day: every feed's files and control files for a number of funds."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from feedline.batch.control_file import control_path, delivery_folder
from feedline.catalog import Catalog, Feed
from feedline.datagen.account_records import account_dimension_records, account_records
from feedline.datagen.feed_files import WrittenFile, file_name, publish, staging_folder, write_file
from feedline.datagen.funds import Fund, make_fund
from feedline.datagen.instrument_records import fund_instrument_records
from feedline.datagen.intraday import IntradayFiles, IntradayShare
from feedline.datagen.ledger_records import ledger_balance_records
from feedline.datagen.market import Market, Section
from feedline.datagen.net_asset_value_records import net_asset_value_records
from feedline.datagen.position_records import position_records
from feedline.datagen.render import Dump, dump_numbers, dump_strings
from feedline.datagen.share_class_records import share_class_records
from feedline.datagen.snapshot_records import snapshot_records
from feedline.datagen.tax_lot_records import tax_lot_records
from feedline.datagen.transaction_records import transaction_records
from feedline.errors import ConfigurationError

# The catalogue's volumes are those of so many funds.
VOLUME_FUNDS = 50
# A feed is cut into files of about this size before compression, so that several can be read at once.
FILE_BYTES = 48_000_000

RecordsOf = Callable[[Market, Fund], Iterator[Section]]
Progress = Callable[[str, int, int], None]

_RECORDS: dict[str, tuple[RecordsOf, Dump]] = {
    "positions": (position_records, dump_numbers),
    "transactions": (transaction_records, dump_numbers),
    "tax_lots": (tax_lot_records, dump_numbers),
    # Two systems of the custodian write decimals as strings; readers meet both forms.
    "net_asset_values": (net_asset_value_records, dump_strings),
    "ledger_balances": (ledger_balance_records, dump_strings),
    "account_dimensions": (account_dimension_records, dump_numbers),
    "account_share_classes": (share_class_records, dump_numbers),
    "fund_instruments": (fund_instrument_records, dump_numbers),
    "snapshots": (snapshot_records, dump_numbers),
    "accounts": (account_records, dump_numbers),
}


@dataclass(frozen=True, slots=True)
class FeedSummary:
    """What was written of one feed: `files` of the end of day, and the small deliveries of the day."""

    feed: str
    folder: Path
    files: tuple[WrittenFile, ...]
    intraday: tuple[WrittenFile, ...] = ()

    @property
    def records(self) -> int:
        return sum(file.records for file in self.files)

    @property
    def intraday_records(self) -> int:
        """Records that arrive in small deliveries before the end of the day."""
        return sum(file.records for file in self.intraday)

    @property
    def raw_bytes(self) -> int:
        return sum(file.raw_bytes for file in self.files)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class DaySummary:
    """What was written of one business date."""

    business_date: date
    funds: int
    feeds: tuple[FeedSummary, ...]


def feed_records(feed: str, market: Market, fund: Fund) -> Iterator[Section]:
    """The records of one fund in a feed, as dictionaries of exact values.

    Raises ConfigurationError for a feed that no test data are made for.
    """
    return _maker(feed)[0](market, fund)


def generate_day(
    catalog: Catalog,
    *,
    business_date: date,
    funds: int,
    seed: int,
    out: Path,
    feeds: Sequence[str] | None = None,
    gzip: bool = False,
    files_per_feed: int | None = None,
    intraday: IntradayShare | None = None,
    progress: Progress | None = None,
) -> DaySummary:
    """Write the files of a business date under `out`, feed by feed, a fund at a time.

    The same arguments give the same bytes, and a fund's records do not depend on the number of funds. `progress` is
    called with the feed, the funds done and the funds in all.
    Raises UnknownFeedError for a feed the catalogue does not have, ConfigurationError for one no data are made for.
    """
    if funds < 1 or (files_per_feed is not None and files_per_feed < 1):
        raise ConfigurationError("test data need at least one fund, and one file a feed")
    chosen = [catalog.feed(name) for name in (feeds if feeds is not None else catalog.feeds)]
    for feed in chosen:
        _maker(feed.name)
    market = Market(seed, business_date)
    early = intraday or IntradayShare()
    written = []
    for feed in chosen:
        wanted = files_per_feed or -(-feed.volume.kilobytes * 1000 * funds // VOLUME_FUNDS // FILE_BYTES)
        shares = _shares(funds, min(max(wanted, 1), funds))
        written.append(_generate_feed(feed, market, shares, out=out, gzipped=gzip, intraday=early, progress=progress))
    return DaySummary(business_date, funds, tuple(written))


def _maker(feed: str) -> tuple[RecordsOf, Dump]:
    try:
        return _RECORDS[feed]
    except KeyError:
        raise ConfigurationError(
            f"no test data are made for this feed, only for {', '.join(_RECORDS)}", feed=feed
        ) from None


def _shares(funds: int, files: int) -> list[range]:
    """Funds of each file: consecutive, as even as can be."""
    return [range(funds * index // files, funds * (index + 1) // files) for index in range(files)]


def _generate_feed(
    feed: Feed,
    market: Market,
    shares: Sequence[range],
    *,
    out: Path,
    gzipped: bool,
    intraday: IntradayShare,
    progress: Progress | None,
) -> FeedSummary:
    staged = staging_folder(out, feed, market.date)
    dump = _maker(feed.name)[1]
    total = shares[-1].stop
    early = IntradayFiles(staged, feed, market.date, intraday, dump)
    files = []
    for number, share in enumerate(shares, 1):
        path = staged / file_name(feed.name, market.date, number, gzipped=gzipped)
        records = early.left(_records(feed, market, share, total, progress))
        files.append(write_file(path, feed, records, dump))
    small = early.publish(out)
    control = control_path(out, feed.name, market.date)
    publish(control, feed, market.date, staged, files, replaces=f"{feed.name}_{market.date:%Y%m%d}_*.jsonl*")
    shutil.rmtree(staged)
    return FeedSummary(feed.name, delivery_folder(out, feed.name, market.date), tuple(files), small)


def _records(
    feed: Feed, market: Market, share: Iterable[int], total: int, progress: Progress | None
) -> Iterator[dict[str, Any]]:
    records_of = _maker(feed.name)[0]
    for number in share:
        yield from records_of(market, make_fund(market.seed, number))
        if progress is not None:
            progress(feed.name, number + 1, total)
