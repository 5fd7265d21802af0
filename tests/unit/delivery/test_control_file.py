"""The control file: refused when it contradicts itself or reaches outside its folder."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from feedline.batch.control_file import control_path, read_control_file
from feedline.batch.identity import Cycle
from feedline.errors import ControlMismatchError

SHA = "0" * 63


def _document(**changes: Any) -> dict[str, Any]:
    return {
        "feed": "positions",
        "businessDate": "2026-11-20",
        "cycle": "EOD",
        "files": [
            {"name": "a.jsonl", "bytes": 10, "sha256": SHA + "1", "records": 3, "controlTotals": {"quantity": "1.10"}},
            {"name": "b.jsonl", "bytes": 20, "sha256": SHA + "2", "records": 4, "controlTotals": {"quantity": "2.2"}},
        ],
        "records": 7,
        "controlTotals": {"quantity": "3.3"},
        **changes,
    }


def _read(folder: Path, document: Any) -> Any:
    path = folder / "positions_20261120.control.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return read_control_file(path)


def test_a_control_file_is_read_exactly(tmp_path):
    control = _read(tmp_path, _document())
    assert (control.feed, control.business_date, control.cycle) == ("positions", date(2026, 11, 20), Cycle.EOD)
    assert [(f.name, f.size, f.records) for f in control.files] == [("a.jsonl", 10, 3), ("b.jsonl", 20, 4)]
    assert control.control_totals == {"quantity": Decimal("3.3")}


def test_the_delivery_is_named_by_its_content_and_not_by_the_order_of_its_files(tmp_path):
    document = _document()
    first = _read(tmp_path, document).delivery
    document["files"].reverse()
    assert _read(tmp_path, document).delivery == first
    document["files"][0]["sha256"] = SHA + "3"
    assert _read(tmp_path, document).delivery != first


def test_two_files_of_one_content_are_refused_unless_they_are_empty(tmp_path):
    first, second = _document()["files"]
    with pytest.raises(ControlMismatchError, match=r"one and the same content: a.jsonl, b.jsonl"):
        _read(tmp_path, _document(files=[first, {**second, "sha256": first["sha256"]}]))
    empty = {"bytes": 0, "sha256": SHA + "e", "records": 0, "controlTotals": {}}
    files = [first, second, {**empty, "name": "c.jsonl"}, {**empty, "name": "d.jsonl"}]
    assert len(_read(tmp_path, _document(files=files)).files) == 4


def test_totals_of_any_size_add_up_without_rounding(tmp_path):
    large = "99999999999999999999999999999999999.99"
    files = [{**f, "controlTotals": {"quantity": large}} for f in _document()["files"]]
    total = "199999999999999999999999999999999999.98"
    assert _read(tmp_path, _document(files=files, controlTotals={"quantity": total})).records == 7
    with pytest.raises(ControlMismatchError, match="add up to"):
        _read(tmp_path, _document(files=files, controlTotals={"quantity": total[:-1] + "9"}))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"records": 8}, "says 8 records, and its files add up to 7"),
        ({"records": -1}, "not a count"),
        ({"records": "7"}, "not a count"),
        ({"records": True}, "not a count"),
        ({"businessDate": "20-11-2026"}, "wrong"),
        ({"cycle": "WEEKLY"}, "wrong"),
        ({"files": [], "records": 0}, "names no file"),
        ({"controlTotals": {"quantity": "3.4"}}, "says quantity totals 3.4, and its files add up to 3.30"),
        ({"controlTotals": {"quantity": "NaN"}}, "wrong"),
        ({"controlTotals": {"quantity": "a lot"}}, "wrong"),
        ({"files": 3}, "wrong"),
    ],
)
def test_a_control_file_that_cannot_be_right_is_refused(tmp_path, changes, reason):
    with pytest.raises(ControlMismatchError, match=reason) as caught:
        _read(tmp_path, _document(**changes))
    assert caught.value.where.file.endswith("positions_20261120.control.json")


@pytest.mark.parametrize("missing", ["feed", "businessDate", "cycle", "files", "records"])
def test_a_missing_entry_is_named(tmp_path, missing):
    document = _document()
    del document[missing]
    with pytest.raises(ControlMismatchError, match=f"no entry '{missing}'"):
        _read(tmp_path, document)


@pytest.mark.parametrize("name", ["../a.jsonl", "/etc/passwd", "sub/a.jsonl", "..", "", "."])
def test_a_file_outside_the_folder_is_refused(tmp_path, name):
    files = [{**_document()["files"][0], "name": name}]
    with pytest.raises(ControlMismatchError, match="not a plain file name"):
        _read(tmp_path, _document(files=files, records=3, controlTotals={}))


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "\x00"])
def test_what_is_no_control_file_is_refused(tmp_path, text):
    with pytest.raises(ControlMismatchError):
        _read(tmp_path, text)


def test_a_missing_control_file_means_that_the_delivery_has_not_arrived(tmp_path):
    path = control_path(tmp_path, "positions", date(2026, 11, 20))
    assert path == tmp_path / "2026-11-20" / "positions" / "positions_20261120.control.json"
    with pytest.raises(ControlMismatchError, match="has not arrived"):
        read_control_file(path)
