"""`feedline feeds`: the catalogue for people and for scripts."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from feedline.cli.main import main


def test_list_names_every_feed_in_catalogue_order() -> None:
    answer = CliRunner().invoke(main, ["feeds", "list", "--format", "json"])
    feeds = json.loads(answer.stdout)
    assert answer.exit_code == 0
    assert [feed["name"] for feed in feeds][:2] == ["positions", "transactions"]
    assert len(feeds) == 10


def test_show_tells_the_type_and_meaning_of_a_nested_field() -> None:
    shown = json.loads(CliRunner().invoke(main, ["feeds", "show", "positions", "--format", "json"]).stdout)
    (cost,) = [leaf for leaf in shown["leaves"] if leaf["path"] == "valuation.base.book_cost"]
    assert cost == {"path": "valuation.base.book_cost", "type": "decimal(24,2)", "doc": "Cost of the open quantity."}
    assert shown["batch"]["max_records"] > 0


@pytest.mark.parametrize("command", [["feeds", "list"], ["feeds", "show", "transactions"]])
def test_tables_are_for_people(command: list[str]) -> None:
    answer = CliRunner().invoke(main, command)
    assert answer.exit_code == 0
    assert "ransactions" in answer.stdout


def test_an_unknown_feed_is_one_line_and_a_failure() -> None:
    answer = CliRunner().invoke(main, ["feeds", "show", "nothing"])
    assert answer.exit_code == 1
    assert "no feed 'nothing'" in answer.stderr
    assert answer.stderr.count("\n") == 1
