"""What a sender puts into the landing folder is read only when it is the file itself: a link leads nowhere, and a
named pipe keeps nobody waiting."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from datetime import date
from pathlib import Path

import pytest

from feedline.archive import keep
from feedline.batch.control_file import control_path, intraday_control_path, read_control_file
from feedline.batch.identity import Cycle
from feedline.errors import ControlMismatchError
from feedline.monitoring.arrival import arrived_at
from feedline.producer.intraday_files import landed_deliveries
from feedline.producer.source_files import find_source, open_source, source_at

DAY = date(2026, 11, 20)
CONTENT = b'{"a": 1}\n'
NAME = "positions_001.jsonl"


def _socket(path, _):
    # A socket's name may not be as long as a test's folder.
    here = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(f"/proc/self/fd/{here}/{path.name}")
    os.close(here)


# The second argument is a file of somebody else, with the very content that the control file announces.
SPECIAL = {
    "symbolic link": lambda path, elsewhere: path.symlink_to(elsewhere),
    "named pipe": lambda path, _: os.mkfifo(path),
    "folder": lambda path, _: path.mkdir(),
    "socket": _socket,
}


@pytest.fixture(params=SPECIAL)
def special(request, tmp_path):
    """A kind of file by name, and what puts one of it at a path."""

    def put(path, content):
        elsewhere = tmp_path / "elsewhere"
        elsewhere.write_bytes(content)
        path.unlink(missing_ok=True)
        SPECIAL[request.param](path, elsewhere)

    return request.param, put


def _land(control, cycle):
    control.parent.mkdir(parents=True)
    (control.parent / NAME).write_bytes(CONTENT)
    entry = {"name": NAME, "bytes": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest(), "records": 1}
    document = {"feed": "positions", "businessDate": f"{DAY}", "cycle": cycle, "files": [entry], "records": 1}
    control.write_text(json.dumps(document))


def test_a_file_that_is_none_is_not_produced_from_and_has_not_arrived(tmp_path, special):
    kind, put = special
    control = control_path(tmp_path, "positions", DAY)
    _land(control, Cycle.EOD)
    assert arrived_at(tmp_path, "positions", DAY)
    source = find_source(tmp_path, "positions", DAY)
    put(control.parent / NAME, CONTENT)
    [said] = source.control.files
    with (
        pytest.raises(ControlMismatchError, match=f"it is a {kind}, not a plain file"),
        open_source(source.path(said), said, "positions"),
    ):
        pass
    with pytest.raises(ControlMismatchError, match=f"it is a {kind}, not a plain file"):
        keep(tmp_path / "archive", source)
    assert not list((tmp_path / "archive").rglob("*.jsonl"))
    assert arrived_at(tmp_path, "positions", DAY) is None


def test_a_control_file_that_is_none_is_refused(tmp_path, special):
    kind, put = special
    control = control_path(tmp_path, "positions", DAY)
    _land(control, Cycle.EOD)
    put(control, control.read_bytes())
    with pytest.raises(ControlMismatchError, match=f"it is a {kind}, not a plain file"):
        read_control_file(control)
    assert arrived_at(tmp_path, "positions", DAY) is None


def test_a_small_delivery_that_is_no_file_is_told_with_the_reason_and_holds_no_other_up(tmp_path, special):
    kind, put = special
    good, bad = (intraday_control_path(tmp_path / of, "positions", DAY, 1) for of in ("good", "bad"))
    _land(good, Cycle.INTRADAY)
    _land(bad, Cycle.INTRADAY)
    wanted = good.with_name("other.control.json")
    put(wanted, good.read_bytes())
    refused, usable = sorted(landed_deliveries(tmp_path / "good", "positions", DAY), key=lambda one: not one.refused)
    assert f"it is a {kind}, not a plain file" in refused.refused
    assert refused.control == wanted
    assert usable.source
    assert refused.fingerprint != usable.fingerprint
    # Of its files: it is not waited for, as producing it says why.
    put(bad.with_name(NAME), CONTENT)
    [one] = landed_deliveries(tmp_path / "bad", "positions", DAY)
    assert one.source == source_at(bad, "positions", DAY, Cycle.INTRADAY)


def test_a_device_is_not_read():
    with pytest.raises(ControlMismatchError, match="it is a device, not a plain file"):
        read_control_file(Path("/dev/zero"))
