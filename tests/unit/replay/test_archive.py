"""The file archive: what goes in comes out, whole, once, and still right when the landed file is gone or changed."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import date
from pathlib import Path

import pytest

from feedline.archive import archived, archived_deliveries, keep
from feedline.batch.control_file import control_path
from feedline.batch.identity import Cycle
from feedline.errors import ControlMismatchError
from feedline.producer.source_files import DeliverySource, find_source, open_source

DAY = date(2026, 11, 20)


def land(landing: Path, content: bytes) -> DeliverySource:
    control = control_path(landing, "positions", DAY)
    control.parent.mkdir(parents=True, exist_ok=True)
    (control.parent / "positions_001.jsonl").write_bytes(content)
    entry = {
        "name": "positions_001.jsonl",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "records": 1,
        "controlTotals": {"quantity": "1.5000000000"},
    }
    document = {
        "feed": "positions",
        "businessDate": DAY.isoformat(),
        "cycle": "EOD",
        "files": [entry],
        "records": 1,
        "controlTotals": {"quantity": "1.5000000000"},
    }
    control.write_text(json.dumps(document))
    return find_source(landing, "positions", DAY)


def text_of(source: DeliverySource) -> bytes:
    [said] = source.control.files
    with open_source(source.path(said), said, "positions") as file:
        return b"".join(file.text(1 << 16))


def test_a_delivery_that_landed_again_is_the_last_of_its_date(tmp_path):
    landing, archive = tmp_path / "landing", tmp_path / "archive"
    for number, content in enumerate((b'{"a": 1}\n', b'{"a": 2}\n'), 1):
        keep(archive, land(landing, content))
        # Archived at moments that differ, however fast this is.
        last = archived(archive, "positions", DAY)
        os.utime(next(last.folder.glob("*.control.json")), (number, number))
    assert text_of(archived(archive, "positions", DAY)) == b'{"a": 2}\n'
    assert not keep(archive, land(landing, b'{"a": 1}\n'))
    assert text_of(archived(archive, "positions", DAY)) == b'{"a": 1}\n'
    # Producing the other one from the archive itself changes nothing.
    [other] = [one for one in archived_deliveries(archive, "positions", DAY) if text_of(one) == b'{"a": 2}\n']
    assert not keep(archive, other)
    assert text_of(archived(archive, "positions", DAY)) == b'{"a": 1}\n'


def test_an_archived_delivery_is_the_landed_one_though_the_landed_file_was_written_over(tmp_path):
    source = land(tmp_path / "landing", b'{"a": 1}\n')
    assert keep(tmp_path / "archive", source)
    landed = source.path(source.control.files[0])
    with landed.open("r+b") as file:
        file.write(b"X")
    back = archived(tmp_path / "archive", "positions", DAY)
    assert back.control == source.control
    assert text_of(back) == b'{"a": 1}\n'


def test_keeping_a_delivery_again_changes_nothing(tmp_path):
    source = land(tmp_path / "landing", b"{}\n")
    assert [keep(tmp_path / "archive", source) for _ in range(3)] == [True, False, False]
    assert len(archived_deliveries(tmp_path / "archive", "positions", DAY)) == 1


def test_a_corrected_delivery_stands_beside_the_first_and_is_the_one_taken(tmp_path):
    first = land(tmp_path / "landing", b'{"a": 1}\n')
    keep(tmp_path / "archive", first)
    second = land(tmp_path / "landing", b'{"a": 2}\n')
    keep(tmp_path / "archive", second)
    assert text_of(archived(tmp_path / "archive", "positions", DAY)) == b'{"a": 2}\n'
    named = archived(tmp_path / "archive", "positions", DAY, delivery_id=first.control.delivery.delivery_id)
    assert text_of(named) == b'{"a": 1}\n'


def test_a_file_that_changed_since_it_was_produced_is_not_archived(tmp_path):
    source = land(tmp_path / "landing", b"{}\n")
    source.path(source.control.files[0]).write_bytes(b"[]\n")
    with pytest.raises(ControlMismatchError, match="no longer the one"):
        keep(tmp_path / "archive", source)
    assert archived_deliveries(tmp_path / "archive", "positions", DAY) == []
    assert list((tmp_path / "archive").rglob("*.jsonl")) == []


def test_what_a_killed_copy_left_is_no_delivery(tmp_path):
    source = land(tmp_path / "landing", b"{}\n")
    keep(tmp_path / "archive", source)
    [kept] = archived_deliveries(tmp_path / "archive", "positions", DAY)
    kept.folder.rename(kept.folder.with_name(".unfinished-1"))
    assert archived_deliveries(tmp_path / "archive", "positions", DAY) == []
    assert keep(tmp_path / "archive", source)


def test_an_archived_file_that_was_damaged_is_refused_when_it_is_taken_back(tmp_path):
    keep(tmp_path / "archive", land(tmp_path / "landing", b"{}\n"))
    back = archived(tmp_path / "archive", "positions", DAY)
    back.path(back.control.files[0]).write_bytes(b"[]\n")
    with pytest.raises(ControlMismatchError, match="SHA-256"):
        text_of(back)


def test_a_date_that_was_never_produced_is_told(tmp_path):
    with pytest.raises(ControlMismatchError, match=r"has no INTRADAY delivery of 2026-11-20"):
        archived(tmp_path / "archive", "positions", DAY, Cycle.INTRADAY)
