"""Kafka's own producer-performance tool sending the same bytes: the lines of the feed's file, one message each."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from datetime import date
from pathlib import Path

from benchmarks.workload import KAFKA_TOOLS, files_of
from feedline.local.cache import program_folder
from feedline.local.java import java
from feedline.settings import load_settings

# The tool ends with a line such as: 100000 records sent, 12345.6 records/sec (94.19 MB/sec), and latencies.
SUMMARY = re.compile(r"^(\d+) records sent, ([\d.]+) records/sec \(([\d.]+) MB/sec\)", re.MULTILINE)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--settings", type=Path, required=True)
    parser.add_argument("--landing", type=Path, required=True)
    parser.add_argument("--date", type=date.fromisoformat, required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--feed", required=True)
    parser.add_argument("--records", type=int, required=True)
    args = parser.parse_args()

    file = files_of(args.landing, args.feed, args.date)[0]
    properties = {
        **load_settings(args.settings).kafka,
        "acks": "all",
        "enable.idempotence": "true",
        "compression.type": "zstd",
        "linger.ms": "20",
        "batch.size": str(512 * 1024),
        "buffer.memory": str(128 * 1024 * 1024),
    }
    command = [
        str(java()),
        "-Xmx512m",
        "-cp",
        f"{program_folder(KAFKA_TOOLS)}/*",
        "org.apache.kafka.tools.ProducerPerformance",
        *("--topic", args.topic, "--num-records", str(args.records), "--throughput", "-1"),
        *("--payload-file", str(file), "--producer-props", *(f"{k}={v}" for k, v in properties.items())),
    ]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    summaries = SUMMARY.findall(output)
    records, rate, megabytes = summaries[-1]
    seconds = int(records) / float(rate)
    raw_bytes = int(float(megabytes) * 1024 * 1024 * seconds)
    print(json.dumps({"records": int(records), "raw_bytes": raw_bytes, "seconds": seconds, "messages": int(records)}))


if __name__ == "__main__":
    main()
