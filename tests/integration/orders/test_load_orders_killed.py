"""Loads of orders that die: real processes, real SIGKILL, at every step of the second of their transactions."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from tests.integration.orders.load_bench import event

from feedline.warehouse.load import Step

PROCESS = Path(__file__).with_name("load_orders_process.py")


# The transaction open, and just closed; `make fault` kills at the other steps too.
ALWAYS = (Step.COPIED, Step.COMMITTED)


@pytest.mark.parametrize(
    "step", [pytest.param(step, marks=() if step in ALWAYS else pytest.mark.long) for step in Step]
)
def test_a_load_killed_at_any_step_leaves_no_event_twice_and_none_out_after_the_retry(bench, tmp_path, step):
    orders = [bench.order_id() for _ in range(30)]
    # Twice each: what the killed load had judged a repeat is judged again.
    bench.publish(*(event(one) for one in orders for _ in range(2)), partition=0)
    settings = {name: dict(getattr(bench.settings, name)) for name in ("kafka", "registry", "warehouse")}
    (tmp_path / "settings.json").write_text(json.dumps({**settings, "landing": str(tmp_path)}))
    job = {"settings": str(tmp_path / "settings.json"), "topics": asdict(bench.topics), "kill_at": step}
    (tmp_path / "job.json").write_text(json.dumps(job))
    killed = subprocess.run([sys.executable, str(PROCESS), str(tmp_path / "job.json")], timeout=300, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(bench.events()) == (10 if step is Step.COMMITTED else 5)
    events, _ = bench.load()
    assert events.loaded == (20 if step is Step.COMMITTED else 25)
    assert bench.events() == sorted((one, 1) for one in orders)
    [(messages, loaded)] = bench.query(
        f"SELECT SUM(MESSAGES), SUM(LOADED) FROM {{orders}}.ORDER_LEDGER WHERE TOPIC = '{bench.topics.out}'"
    )
    assert (messages, loaded) == (60, 30)
