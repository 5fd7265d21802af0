"""The state folder of the local stack."""

from __future__ import annotations

import stat

import pytest

from feedline.local.process import Process
from feedline.local.state import StackBusyError, State, locked, read_state, write_json, write_state

STATE = State({"kafka": Process("kafka", 12, 9092, "kafka.log")}, {"kafka": 9092})


def test_two_commands_do_not_change_one_stack_at_once(tmp_path):
    busy = pytest.raises(StackBusyError, match=r"another command \(process \d+\) is starting or stopping")
    with locked(tmp_path), busy, locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_the_state_is_read_as_it_was_written(tmp_path):
    write_state(tmp_path, STATE)
    assert read_state(tmp_path) == STATE


@pytest.mark.parametrize("left", ["", "{", "[]", '{"processes": {"kafka": {}}}', '{"processes": 1, "ports": {}}'])
def test_a_state_that_a_killed_run_left_unreadable_counts_as_none(tmp_path, left):
    (tmp_path / "state.json").write_text(left)
    assert read_state(tmp_path) == State()


def test_no_other_user_can_read_the_settings(tmp_path):
    file = tmp_path / "settings.json"
    file.write_text("old")
    file.chmod(0o644)
    write_json(file, {"secret": "x"})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
