"""A trigger that starts holds up no other: what it needs is imported by a thread, never in the event loop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
# A process of its own, as everything is imported here. Notes which client libraries the event loop's thread imports
# while the triggers start, look for their files and ask a broker that is not there.
PROGRAM = """
import asyncio, json, os, sys, threading, time

sys.path.insert(0, {plugins!r})
from feedline_airflow.control_file_trigger import ControlFileTrigger
from feedline_airflow.intraday_topic_trigger import IntradayTopicTrigger
from feedline_airflow.intraday_trigger import IntradayTrigger
from feedline_airflow.manifest_trigger import ManifestTrigger

files = dict(landing="/nonexistent", feed="accounts", business_date="2026-11-20", poll_s=0.1)
triggers = [
    ControlFileTrigger(**files),
    IntradayTopicTrigger(topic="nowhere", feeds=["accounts"]),
    IntradayTrigger(topic="nowhere", known=[], positions={{}}, until="2099-01-01T00:00:00+00:00", **files),
    ManifestTrigger(topic="nowhere", feed="accounts", business_date="2026-11-20", delivery_id="x",
                    since="2026-11-20T00:00:00+00:00"),
]
CLIENTS = ("confluent_kafka", "pyarrow", "snowflake.connector", "fastavro", "numba", "numpy", "pandas", "orjson")
NEEDED = ("feedline_airflow.landing", "feedline_airflow.kafka_hook", "feedline.producer.intraday_files",
          "feedline.consumer.topic_watch", "feedline.consumer.manifests", "feedline.kafka.admin")
blocking, begun = [], {{name for name in CLIENTS if name in sys.modules}}

class Notice:
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread() is threading.main_thread() and name in CLIENTS:
            blocking.append(name)

sys.meta_path.insert(0, Notice())

async def wait(trigger):
    async for _ in trigger.run():
        pass

async def main():
    started = [asyncio.create_task(wait(trigger)) for trigger in triggers]
    deadline = time.monotonic() + 300
    while set(NEEDED) - set(sys.modules) and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    await asyncio.sleep(0.5)
    print(json.dumps([sorted(begun), blocking, sorted(set(NEEDED) - set(sys.modules))]), flush=True)
    # Not the wait for threads that ask a broker which is not there.
    os._exit(0)

asyncio.run(main())
"""


def test_starting_triggers_imports_no_client_in_their_event_loop(tmp_path):
    connection = json.dumps({"conn_type": "kafka", "extra": {"bootstrap.servers": "127.0.0.1:9"}})
    mine = {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW_CONN_FEEDLINE_KAFKA": connection}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(plugins=str(ROOT / "plugins"))],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **mine},
    )
    begun, blocking, missing = json.loads(done.stdout.splitlines()[-1])
    assert begun == missing == []
    assert blocking == []
