"""`feedline stack status` tells what died from what was stopped."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from feedline.cli.output import INCOMPLETE
from feedline.cli.stack import stack
from feedline.local.process import Process
from feedline.local.state import State, write_state

GONE = 2**22 + 1


@pytest.fixture
def home(tmp_path):
    write_state(tmp_path, State({"airflow": Process("airflow", GONE, 1, str(tmp_path / "airflow.log"))}))
    return tmp_path


def status(home, *options):
    return CliRunner().invoke(stack, ["status", "--home", str(home), *options])


def test_a_service_that_died_is_told_with_its_log(home):
    result = status(home)
    assert result.exit_code == INCOMPLETE
    [line] = [line for line in result.output.splitlines() if "Apache Airflow" in line]
    assert "died" in line
    assert "airflow.log" in line
    assert "start it again: feedline stack up" in result.output


def test_a_service_that_was_stopped_is_not_called_dead(home):
    write_state(home, State())
    found = {s["name"]: s["died"] for s in json.loads(status(home, "--format", "json").output)["services"]}
    assert found == dict.fromkeys(("kafka", "registry", "warehouse", "airflow"), False)
