"""A day that arrives in two parts: small deliveries first, the rest at its end."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pytest

from feedline.batch.control_file import control_path, intraday_control_paths, intraday_folder, read_control_file
from feedline.batch.identity import Cycle
from feedline.catalog import load_catalog
from feedline.datagen import IntradayShare, generate_day

DAY = date(2026, 11, 20)
FEED = "positions"


def generate(out, **intraday):
    share = IntradayShare(**intraday)
    return generate_day(
        load_catalog(), business_date=DAY, funds=2, seed=3, out=out, feeds=[FEED, "snapshots"], intraday=share
    )


def lines(control):
    """The records of the files that a control file names, after holding them against what it says."""
    said = read_control_file(control)
    found = [line for file in said.files for line in (control.parent / file.name).read_bytes().splitlines()]
    assert len(found) == said.records
    return found


def whole_day(tmp_path):
    generate(tmp_path / "whole")
    return Counter(lines(control_path(tmp_path / "whole", FEED, DAY)))


@pytest.mark.parametrize("share", [0.2, 0.25, 0.3])
def test_the_small_deliveries_and_the_end_of_day_are_exactly_the_day(tmp_path, share):
    day = whole_day(tmp_path)
    generate(tmp_path, share=share, deliveries=3)
    early = [lines(control) for control in intraday_control_paths(tmp_path, FEED, DAY)]
    rest = lines(control_path(tmp_path, FEED, DAY))
    assert sum(map(Counter, early), Counter(rest)) == day
    assert sum(map(len, early)) == int(day.total() * share)
    assert len(early) == 3


def test_each_small_delivery_is_an_intraday_delivery_of_its_own(tmp_path):
    generate(tmp_path, share=0.25, deliveries=3)
    said = [read_control_file(control) for control in intraday_control_paths(tmp_path, FEED, DAY)]
    assert {control.cycle for control in said} == {Cycle.INTRADAY}
    eod = read_control_file(control_path(tmp_path, FEED, DAY))
    assert eod.cycle is Cycle.EOD
    assert len({control.delivery.delivery_id for control in (*said, eod)}) == 4


def test_the_end_of_day_may_have_the_whole_day_again(tmp_path):
    day = whole_day(tmp_path)
    generate(tmp_path, share=0.25, full_eod=True)
    assert Counter(lines(control_path(tmp_path, FEED, DAY))) == day
    assert len(intraday_control_paths(tmp_path, FEED, DAY)) == 4


def test_the_same_arguments_give_the_same_deliveries_and_touch_nothing(tmp_path):
    generate(tmp_path, share=0.25)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    generate(tmp_path, share=0.25)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_day_without_an_intraday_part_withdraws_that_of_an_earlier_one(tmp_path):
    generate(tmp_path, share=0.25)
    generate(tmp_path)
    assert not any(intraday_folder(tmp_path, FEED, DAY).iterdir())


def test_a_feed_too_small_for_the_share_sends_no_empty_delivery(tmp_path):
    generate(tmp_path, share=0.25)
    assert all(read_control_file(path).records for path in intraday_control_paths(tmp_path, "snapshots", DAY))
