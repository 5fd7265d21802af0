"""A load in a process of its own: `python load_orders_process.py JOB.json`, killed by itself at the step it names."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from feedline.orders.topics import OrderTopics
from feedline.orders.warehouse import run
from feedline.orders.warehouse.load import OrderLoadPolicy
from feedline.settings import load_settings
from feedline.warehouse.connection import open_warehouse
from feedline.warehouse.load import Step


def main(job: dict) -> None:
    loading = run.load_orders
    chunks = 0

    def on_step(step: Step) -> None:
        nonlocal chunks
        if step == job["kill_at"] and chunks == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        chunks += step is Step.COMMITTED

    run.load_orders = lambda *arguments, **options: loading(*arguments, on_step=on_step, **options)
    settings = load_settings(Path(job["settings"]))
    with open_warehouse(settings.warehouse) as connection:
        run.load_all(settings, connection, OrderTopics(**job["topics"]), policy=OrderLoadPolicy(10, 120))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
