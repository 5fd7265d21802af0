"""A redrive in a process of its own: `python redrive_process.py JOB.json`, killed by itself once all is sent."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from feedline.catalog import BatchRule, Catalog, Topic, load_catalog
from feedline.redrive.run import check, send, settle
from feedline.settings import Settings
from feedline.warehouse.connection import open_warehouse


def main(job: dict) -> None:
    settings = Settings(job["kafka"], job["registry"], job["warehouse"], Path())
    shipped = load_catalog().feed("positions")
    topic = Topic(job["topic"], partitions=job["partitions"], replication_factor=1, min_insync_replicas=1)
    feed = replace(shipped, name=job["feed"], topic=topic, batch=BatchRule(max_records=20))
    catalog = Catalog({feed.name: feed})
    with open_warehouse(settings.warehouse) as connection:
        plan = check(settings, connection, catalog, Path(job["file"]))
        sent = send(settings, connection, catalog, plan, requested_by="process")
        if job["kill"]:
            os.kill(os.getpid(), signal.SIGKILL)
        settled = [settle(settings, connection, feed, one) for one in sent]
    sys.stdout.write(json.dumps([[one.loaded_records, one.report.passed] for one in settled]))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
