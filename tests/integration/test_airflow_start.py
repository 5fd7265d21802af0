"""What Airflow's processes load when they start, each as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("command", "loaded"), [("scheduler", True), ("api-server", False), ("dag-processor", False)])
def test_only_the_processes_that_fork_tasks_load_the_clients_first(command, loaded):
    program = "import sys, airflow_local_settings as s; print([name in sys.modules for name in s.CLIENTS])"
    done = subprocess.run(
        [sys.executable, "-c", program, command],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "plugins")},
    )
    assert json.loads(done.stdout.splitlines()[-1].lower()) == [loaded] * 4
