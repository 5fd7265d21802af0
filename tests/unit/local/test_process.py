"""Processes of the local stack are recognised and stopped, and nobody else's are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest

from feedline.local.process import (
    ServiceNotReadyError,
    await_healthy,
    is_ours,
    marked_processes,
    orphans,
    start_process,
    stop_processes,
)

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
PARENT = "import subprocess, time; subprocess.Popen(['sleep', '60']); print('up', flush=True); time.sleep(60)"


@pytest.fixture
def home(tmp_path):
    yield tmp_path
    for pid in marked_processes(tmp_path):
        os.kill(pid, signal.SIGKILL)


def start(home, code, until="up"):
    process = start_process("test", [sys.executable, "-c", code], home=home, port=1, log=home / "log")
    await_healthy(process, lambda: until in (home / "log").read_text(), within_s=20)
    return process


def test_a_service_that_ignores_sigterm_is_killed(home):
    process = start(home, STUBBORN)
    stop_processes([process.pid], home, within_s=0.3)
    assert not psutil.pid_exists(process.pid)


def test_the_children_of_a_service_stop_with_it(home):
    process = start(home, PARENT)
    [child] = psutil.Process(process.pid).children()
    stop_processes([process.pid], home, within_s=5)
    assert marked_processes(home) == []
    assert not child.is_running()


def test_a_process_that_is_not_ours_is_left_alone(home, tmp_path):
    with subprocess.Popen(["sleep", "60"]) as stranger:
        assert not is_ours(stranger.pid, home)
        stop_processes([stranger.pid], home, within_s=0.1)
        assert stranger.poll() is None
        stranger.kill()


def test_a_process_of_another_stack_is_not_ours(home, tmp_path):
    process = start(home, STUBBORN)
    assert is_ours(process.pid, home)
    assert not is_ours(process.pid, tmp_path / "other")


def test_what_a_killed_parent_left_is_found(home):
    process = start(home, PARENT)
    assert orphans(home, [process.pid]) == []
    [child] = psutil.Process(process.pid).children()
    os.kill(process.pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(process.pid)], timeout=5)
    assert orphans(home, [process.pid]) == [child.pid]


def test_a_service_that_ends_while_starting_says_why(home):
    process = start_process(
        "test", [sys.executable, "-c", "raise SystemExit('no room left')"], home=home, port=1, log=home / "log"
    )
    with pytest.raises(ServiceNotReadyError, match=r"test ended while starting: no room left \(log: .*log\)"):
        await_healthy(process, lambda: False, within_s=20)


def test_a_service_that_is_never_healthy_is_given_up(home):
    process = start(home, STUBBORN)
    with pytest.raises(ServiceNotReadyError, match="test was not healthy after 0 s: up"):
        await_healthy(process, lambda: False, within_s=0.2)
