"""Files and control files: repeatable to the byte, whole or absent, and true."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from feedline.batch.control_file import control_path, read_control_file
from feedline.catalog import Catalog
from feedline.datagen import DaySummary, generate_day
from feedline.errors import ConfigurationError, UnknownFeedError

DAY = date(2026, 11, 20)
SMALL = ["positions", "ledger_balances", "accounts"]

Generate = Callable[..., DaySummary]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("compressed", [False, True])
def test_equal_arguments_give_equal_bytes(generate: Generate, tmp_path: Path, compressed: bool) -> None:
    for name in ("one", "two"):
        generate(tmp_path / name, feeds=SMALL, gzip=compressed)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_the_order_in_which_feeds_are_asked_for_changes_nothing(generate: Generate, tmp_path: Path) -> None:
    generate(tmp_path / "one", feeds=SMALL)
    generate(tmp_path / "two", feeds=SMALL[::-1])
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.parametrize("change", [{"seed": 8}, {"business_date": date(2026, 11, 19)}])
def test_another_seed_or_date_gives_other_prices(generate: Generate, tmp_path: Path, change: dict[str, Any]) -> None:
    prices = []
    for out, arguments in ((tmp_path / "one", {}), (tmp_path / "two", change)):
        (feed,) = generate(out, feeds=["positions"], **arguments).feeds
        lines = (feed.folder / feed.files[0].name).read_text(encoding="utf-8").splitlines()
        prices.append([json.loads(line, parse_float=str)["price"]["unit_price"] for line in lines])
    assert len(prices[0]) == len(prices[1])
    assert sum(one == two for one, two in zip(*prices, strict=True)) < len(prices[0]) / 20


def test_more_funds_leave_the_records_of_the_first_ones_as_they_are(
    generate: Generate, landing: Path, tmp_path: Path
) -> None:
    for feed in generate(tmp_path, funds=1).feeds:
        alone = (feed.folder / feed.files[0].name).read_bytes()
        together = (landing / f"{DAY}" / feed.feed / feed.files[0].name).read_bytes()
        assert together.startswith(alone)


def test_cutting_a_feed_into_files_or_packing_them_keeps_its_records(generate: Generate, tmp_path: Path) -> None:
    (whole,) = generate(tmp_path / "whole", funds=3, feeds=["accounts"]).feeds
    (cut,) = generate(tmp_path / "cut", funds=3, feeds=["accounts"], files_per_feed=2, gzip=True).feeds
    assert [file.name for file in cut.files] == ["accounts_20261120_001.jsonl.gz", "accounts_20261120_002.jsonl.gz"]
    unpacked = b"".join(gzip.decompress((cut.folder / file.name).read_bytes()) for file in cut.files)
    assert unpacked == (whole.folder / whole.files[0].name).read_bytes()
    assert cut.raw_bytes == whole.raw_bytes == len(unpacked)


def test_no_file_is_empty_when_more_files_than_funds_are_asked_for(generate: Generate, tmp_path: Path) -> None:
    (feed,) = generate(tmp_path, funds=2, feeds=["snapshots"], files_per_feed=9).feeds
    assert [file.records for file in feed.files] == [1, 1]


def test_control_files_say_what_the_files_hold(catalog: Catalog, day: DaySummary, landing: Path) -> None:
    for feed in day.feeds:
        control = read_control_file(control_path(landing, feed.feed, DAY))
        assert (control.feed, control.business_date, control.cycle.value) == (feed.feed, DAY, "EOD")
        whole = dict.fromkeys(catalog.feed(feed.feed).control_totals, Decimal())
        for file in control.files:
            raw = (feed.folder / file.name).read_bytes()
            assert (file.size, file.sha256) == (len(raw), hashlib.sha256(raw).hexdigest())
            lines = [json.loads(line, parse_float=Decimal) for line in raw.splitlines()]
            assert file.records == len(lines)
            for path in whole:
                total = sum((Decimal(at(line, path)) for line in lines), Decimal())
                assert file.control_totals[path] == total
                whole[path] += total
        assert control.control_totals == whole
        assert control.records == feed.records


def at(record: Any, path: str) -> Any:
    for name in path.split("."):
        record = record[name]
    return record


def test_generating_a_day_again_leaves_its_files_untouched(generate: Generate, tmp_path: Path) -> None:
    times = []
    for _ in range(2):
        generate(tmp_path, feeds=SMALL)
        times.append({path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()})
    assert times[0] == times[1]


def test_another_delivery_replaces_the_one_that_was_there(generate: Generate, tmp_path: Path) -> None:
    generate(tmp_path, funds=3, feeds=["accounts"], files_per_feed=3)
    (feed,) = generate(tmp_path, funds=3, feeds=["accounts"], gzip=True).feeds
    assert sorted(contents(feed.folder)) == ["accounts_20261120.control.json", "accounts_20261120_001.jsonl.gz"]


def test_a_damaged_file_is_written_again(generate: Generate, tmp_path: Path) -> None:
    (feed,) = generate(tmp_path, feeds=["accounts"]).feeds
    before = contents(tmp_path)
    file = feed.folder / feed.files[0].name
    file.write_bytes(file.read_bytes().replace(b"OPEN", b"SHUT", 1))
    generate(tmp_path, feeds=["accounts"])
    assert contents(tmp_path) == before


def test_a_run_cut_off_leaves_nothing_that_a_reader_would_take(generate: Generate, tmp_path: Path) -> None:
    def cut_off(feed: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path, feeds=["accounts"], progress=cut_off)
    folder = tmp_path / f"{DAY}" / "accounts"
    assert not control_path(tmp_path, "accounts", DAY).exists()
    assert list(folder.glob("*.jsonl*")) == []
    (feed,) = generate(tmp_path, feeds=["accounts"]).feeds
    assert sorted(contents(folder)) == ["accounts_20261120.control.json", feed.files[0].name]


def test_progress_counts_the_funds_of_each_feed(generate: Generate, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    generate(tmp_path, funds=2, feeds=["accounts", "snapshots"], progress=lambda *step: seen.append(step))
    assert seen == [("accounts", 1, 2), ("accounts", 2, 2), ("snapshots", 1, 2), ("snapshots", 2, 2)]


def test_a_feed_that_nobody_knows_is_refused_before_anything_is_written(generate: Generate, tmp_path: Path) -> None:
    with pytest.raises(UnknownFeedError):
        generate(tmp_path, feeds=["accounts", "payments"])
    assert contents(tmp_path) == {}


def test_a_feed_of_another_catalogue_has_no_test_data(catalog: Catalog, tmp_path: Path) -> None:
    stranger = replace(catalog.feed("accounts"), name="strangers")
    with pytest.raises(ConfigurationError, match="no test data"):
        generate_day(Catalog({"strangers": stranger}), business_date=DAY, funds=1, seed=7, out=tmp_path)


@pytest.mark.parametrize("wrong", [{"funds": 0}, {"files_per_feed": 0}])
def test_a_day_of_nothing_is_refused(generate: Generate, tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError):
        generate(tmp_path, **wrong)


@pytest.mark.parametrize("business_date", [date(2015, 1, 5), date(2024, 2, 29), date(2026, 11, 22), date(2030, 12, 31)])
def test_any_date_can_be_made(generate: Generate, tmp_path: Path, business_date: date) -> None:
    """Before a fund's launch, on a leap day, on a Sunday and years ahead."""
    (lots, _) = generate(tmp_path, business_date=business_date, feeds=["tax_lots", "fund_instruments"]).feeds
    lines = [json.loads(line) for line in (lots.folder / lots.files[0].name).read_text(encoding="utf-8").splitlines()]
    assert all(line["acquisition_date"] < business_date.isoformat() == line["business_date"] for line in lines)
