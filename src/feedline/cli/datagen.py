"""`feedline datagen`: test data."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import click

from feedline.catalog import load_catalog
from feedline.cli.datagen_orders import orders_command
from feedline.cli.output import format_option, print_json, print_table, progress
from feedline.datagen import DaySummary, IntradayShare, generate_day


@click.group()
def datagen() -> None:
    """Make test data."""


datagen.add_command(orders_command)


@datagen.command(
    "feeds",
    epilog="""\b
Examples:
  feedline datagen feeds --business-date 2026-11-20 --out landing
  feedline datagen feeds --business-date 2026-11-20 --funds 500 --gzip --out landing
  feedline datagen feeds --business-date 2026-11-20 --intraday 0.25 --out landing
  feedline datagen feeds --business-date 2026-11-20 --feeds positions,tax_lots --out landing --format json""",
)
@click.option(
    "--business-date",
    type=click.DateTime(["%Y-%m-%d"]),
    required=True,
    help="Date of the books, YYYY-MM-DD; another date has other prices and movements.",
)
@click.option("--funds", type=click.IntRange(1, 100_000), default=50, show_default=True, help="Funds of the day.")
@click.option("--seed", type=int, default=7, show_default=True, help="Another seed makes other funds and securities.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Landing folder; files go to OUT/<date>/<feed>/.",
)
@click.option("--feeds", metavar="A,B", help="Only these feeds, separated by commas.  [default: all]")
@click.option("--gzip", is_flag=True, help="Compress the files.")
@click.option(
    "--files-per-feed",
    type=click.IntRange(1, 999),
    help="Files each feed is cut into, at most one a fund.  [default: by size]",
)
@click.option(
    "--intraday",
    "share",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="Share of each feed's records that arrive before, in small deliveries of OUT/<date>/<feed>/intraday/.",
)
@click.option(
    "--intraday-deliveries",
    type=click.IntRange(1, 999),
    default=4,
    show_default=True,
    help="Small deliveries of a feed, a file with its control file each.",
)
@click.option(
    "--eod",
    type=click.Choice(["rest", "full"]),
    default="rest",
    show_default=True,
    help="Whether the end of day has what is left, or the whole day again.",
)
@click.option(
    "--catalog",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Another feed catalogue than the one that comes with Feedline.",
)
@format_option
def feeds_command(
    *,
    business_date: datetime,
    funds: int,
    seed: int,
    out: Path,
    feeds: str | None,
    gzip: bool,
    files_per_feed: int | None,
    share: float,
    intraday_deliveries: int,
    eod: str,
    catalog: Path | None,
    output_format: str,
) -> None:
    """Write one business date's feed files with their control files.

    Equal arguments give equal bytes. Values hang together: a position's account, fund and instrument exist, market
    value is quantity times price, tax lots add up to their position, ledgers balance. A delivery that is there
    already is replaced when it differs.
    """
    loaded = load_catalog(catalog)
    chosen = [name.strip() for name in feeds.split(",") if name.strip()] if feeds else list(loaded.feeds)
    started = time.monotonic()
    with progress("Generating", total=funds * len(chosen), unit="funds of feeds") as advance:
        summary = generate_day(
            loaded,
            business_date=business_date.date(),
            funds=funds,
            seed=seed,
            out=out,
            feeds=chosen,
            gzip=gzip,
            files_per_feed=files_per_feed,
            intraday=IntradayShare(share, intraday_deliveries, full_eod=eod == "full"),
            progress=lambda _feed, _done, _total: advance(1),
        )
    report(summary, seconds=time.monotonic() - started, output_format=output_format)


def report(summary: DaySummary, *, seconds: float, output_format: str) -> None:
    """The day as one JSON document, or as a table with a row a feed."""
    if output_format == "json":
        feeds = [
            {
                "feed": feed.feed,
                "files": len(feed.files),
                "records": feed.records,
                "intraday_deliveries": len(feed.intraday),
                "intraday_records": feed.intraday_records,
                "raw_bytes": feed.raw_bytes,
                "bytes": feed.size,
                "folder": feed.folder,
            }
            for feed in summary.feeds
        ]
        day = {"business_date": summary.business_date, "funds": summary.funds, "seconds": round(seconds, 3)}
        print_json({**day, "feeds": feeds})
        return
    print_table(
        ["Feed", "Files", "Records", "Intraday records", "Raw MB", "On disk MB", "Folder"],
        [
            [
                feed.feed,
                len(feed.files),
                feed.records,
                feed.intraday_records,
                feed.raw_bytes / 1e6,
                feed.size / 1e6,
                str(feed.folder),
            ]
            for feed in summary.feeds
        ],
        title=f"{summary.business_date}, {summary.funds} funds, {seconds:.1f} s",
    )
