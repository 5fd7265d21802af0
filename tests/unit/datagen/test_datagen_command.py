"""`feedline datagen feeds`: a day from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from feedline.cli.main import main

COMMAND = ["datagen", "feeds", "--business-date", "2026-11-20", "--funds", "1", "--feeds", "accounts, snapshots"]


def test_it_writes_the_feeds_asked_for_and_says_so_in_json(tmp_path: Path) -> None:
    answer = CliRunner().invoke(main, [*COMMAND, "--out", str(tmp_path), "--gzip", "--format", "json"])
    said = json.loads(answer.stdout)
    assert answer.exit_code == 0
    assert [(feed["feed"], feed["records"]) for feed in said["feeds"]] == [("accounts", 3), ("snapshots", 1)]
    for feed in said["feeds"]:
        folder = Path(feed["folder"])
        assert folder.parent == tmp_path / "2026-11-20"
        assert feed["bytes"] == sum(file.stat().st_size for file in folder.glob("*.jsonl.gz"))


def test_the_table_has_a_row_a_feed(tmp_path: Path) -> None:
    answer = CliRunner().invoke(main, [*COMMAND, "--out", str(tmp_path)])
    assert answer.exit_code == 0
    assert "accounts" in answer.stdout
    assert "snapshots" in answer.stdout


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--feeds", "payments"], 1), (["--funds", "0"], 2), (["--business-date", "20-11-2026"], 2)]
)
def test_a_wrong_call_fails_in_one_way_each(tmp_path: Path, arguments: list[str], code: int) -> None:
    answer = CliRunner().invoke(main, [*COMMAND, "--out", str(tmp_path), *arguments])
    assert answer.exit_code == code
    assert not any(tmp_path.iterdir())
