"""The audit trail survives what cuts a line off: what is whole is read, what is torn is told, the next is whole."""

from __future__ import annotations

import os
import resource
import signal

import pytest

from feedline.provisioning.audit import entries, record


@pytest.mark.parametrize("left", [1, 20, 60])
def test_a_line_that_a_kill_cut_off_hides_neither_those_before_it_nor_those_after_it(tmp_path, left):
    file = tmp_path / "trail.jsonl"
    record(file, "anna", "planned", plan="one")
    record(file, "björn", "applied", plan="two")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + lines[1][:left])
    first, torn = entries(file)
    assert (first["who"], torn["what"], torn["text"]) == ("anna", "torn", lines[1][:left].decode())
    record(file, "carla", "failed")
    assert [one["who"] for one in entries(file)] == ["anna", None, "carla"]
    assert [one["what"] for one in entries(file)] == ["planned", "torn", "failed"]


def test_a_line_of_which_only_the_end_is_missing_is_whole(tmp_path):
    file = tmp_path / "trail.jsonl"
    record(file, "anna", "planned")
    file.write_bytes(file.read_bytes().removesuffix(b"\n"))
    record(file, "carla", "failed")
    assert [one["who"] for one in entries(file)] == ["anna", "carla"]


def test_what_does_not_fit_on_the_disk_is_an_error_and_the_trail_goes_on(tmp_path):
    file = tmp_path / "trail.jsonl"
    record(file, "anna", "planned")
    child = os.fork()
    if not child:
        # Files of this process may grow by 30 bytes yet.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 30,) * 2)
        try:
            record(file, "berta", "applied")
        except OSError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    record(file, "carla", "failed")
    assert [one["what"] for one in entries(file)] == ["planned", "torn", "failed"]
