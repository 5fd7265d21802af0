"""Secrets planted in settings: no command writes them, at debug verbosity, when it fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

MARK = "pl4nted"


@pytest.mark.parametrize(
    "command", [["schema", "list"], ["load", "--business-date", "2026-11-20", "--feeds", "positions"]]
)
def test_a_failing_command_shows_no_secret(tmp_path, command):
    file = tmp_path / "settings.json"
    document = {
        "kafka": {"bootstrap.servers": "localhost:1", "sasl.username": "u", "sasl.password": f"{MARK}-kafka"},
        "registry": {"url": f"http://u:{MARK}-registry@localhost:1"},
        "warehouse": {"account": "a", "user": "u", "password": f"{MARK}-warehouse", "host": "localhost", "port": 1,
                      "login_timeout": 1},
        "landing": f"postgresql://u:{MARK}-landing@host/x",
    }  # fmt: skip
    file.write_text(json.dumps(document))
    run = subprocess.run(
        [sys.executable, "-c", "from feedline.cli.main import main; main()", "--debug", *command],
        env={**os.environ, "FEEDLINE_SETTINGS": str(file)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode != 0
    assert MARK not in run.stdout + run.stderr
