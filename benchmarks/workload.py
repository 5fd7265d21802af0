"""What the contenders work on: generated feed files, a topic of the shipped catalogue under another name."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import yaml

from feedline.batch.control_file import control_path, read_control_file
from feedline.catalog import Catalog, default_catalog_path, load_catalog
from feedline.local.cache import JavaProgram

# The newest release that publishes its tools; they bring their own client and speak to any broker.
KAFKA_TOOLS = JavaProgram(
    name="Kafka's command-line tools",
    group="org.apache.kafka",
    artifact="kafka-tools",
    version="4.3.0",
    digest="d825ab23ac7ff6267d065305163a64f157bd97ec18eee105c8f7898ce3f5fae2",
)


def bench_catalog(topic: str) -> Catalog:
    """The shipped catalogue with every feed on the given topic."""
    shipped = load_catalog()
    return Catalog({name: replace(feed, topic=replace(feed.topic, name=topic)) for name, feed in shipped.feeds.items()})


def write_catalog(topic: str, folder: Path) -> Path:
    """The shipped catalogue with every feed on the given topic, as a file for a program started from outside."""
    shipped = default_catalog_path()
    document = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    [settings] = document["topics"].values()
    feeds = {
        name: {**entry, "topic": topic, "schema": str(shipped.parent / entry["schema"])}
        for name, entry in document["feeds"].items()
    }
    file = folder / f"feeds-{topic}.yaml"
    file.write_text(yaml.safe_dump({"topics": {topic: settings}, "feeds": feeds}), encoding="utf-8")
    return file


def files_of(landing: Path, feed: str, business_date: date) -> list[Path]:
    control = control_path(landing, feed, business_date)
    return [control.parent / file.name for file in read_control_file(control).files]


def topic_bytes(kafka_folder: Path, topic: str) -> list[int]:
    """Bytes on the broker's disk for each partition: what went over the wire, compressed."""
    partitions = sorted(kafka_folder.glob(f"data/{topic}-*"), key=lambda path: int(path.name.rsplit("-", 1)[1]))
    return [sum(log.stat().st_size for log in folder.glob("*.log")) for folder in partitions]


def skew(sizes: list[int]) -> float:
    """How far the fullest partition is above the emptiest, as a share of the mean."""
    return (max(sizes) - min(sizes)) * len(sizes) / sum(sizes) if sum(sizes) else 0.0
