"""The demonstration: services as processes of the stack, orders through all of them, books that balance."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from feedline.local.order_services import ORDER_SERVICES
from feedline.local.process import is_ours, stop_processes
from feedline.local.stack import status
from feedline.local.state import read_state

FEEDLINE = Path(sys.executable).parent / "feedline"


@pytest.fixture
def demo(stack):
    """Starts `feedline orders demo` on the session's stack; its services end with the test."""
    started = []

    def start(*options):
        command = [FEEDLINE, "orders", "demo", "--home", stack.home, *options]
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
    processes = read_state(stack.home).processes
    left = [processes[name].pid for name in ORDER_SERVICES if name in processes]
    stop_processes(left, stack.home, within_s=20)
    assert not any(is_ours(pid, stack.home) for pid in left)


@pytest.mark.long
def test_orders_flow_through_an_engine_that_goes_away_and_the_books_balance_also_after_a_run_that_was_killed(
    demo, stack
):
    killed = demo("--seconds", 300, "--rate", 20)
    for line in killed.stderr:
        if "a second: HTTP" in line:
            break
    killed.send_signal(signal.SIGKILL)
    killed.communicate()

    whole = demo("--seconds", 10, "--rate", 30, "--seed", 2, "--format", "json")
    out, err = whole.communicate(timeout=500)
    assert whole.returncode == 0, err
    assert "the engine goes away" in err
    assert "the engine is back" in err
    document = json.loads(out)
    counts = document["counts"]
    assert counts["entered over HTTP"] > 100
    assert counts["entered in bulk"] > 100
    assert counts["sent as FIX"] == counts["booked by the engine"]
    assert document["books"]["balances"]
    services = {one.name: one for one in status(stack.home)}
    assert all(services[name].healthy for name in ORDER_SERVICES)
