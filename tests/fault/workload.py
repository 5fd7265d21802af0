"""What is delivered: a small feed on a topic and in tables of its own, records with ids that nobody else has."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from dataclasses import asdict, dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path

from feedline.batch.control_file import control_path
from feedline.batch.identity import Cycle
from feedline.catalog import BatchRule, Feed, Topic, Volume
from feedline.settings import Settings

DAY = date(2026, 11, 20)
BATCH = 10
# An id is found in the bytes of a message without decoding it, so that the checker does not trust what it checks.
_ID = re.compile(rb"R[0-9a-f]{6}-[0-9]{6}")

SCHEMA = {
    "type": "record",
    "name": "Probe",
    "namespace": "fault",
    "doc": "A record that is followed through everything.",
    "businessKeys": ["id"],
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 4}},
        {"name": "note", "type": ["null", "string"], "default": None},
    ],
}


def ids_in(value: bytes) -> tuple[str, ...]:
    """The ids of the records in a message's value, in their order."""
    return tuple(found.decode() for found in _ID.findall(value))


@dataclass(frozen=True)
class Workload:
    """A feed and the ids of the records that its source files hold, by business date."""

    feed: Feed
    landing: Path
    source: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def land(self, day: date, records: int, *, files: int = 2, bad: int = 0) -> list[str]:
        """Writes a delivery of that many records, `bad` of which a check will refuse; returns their ids."""
        ids = self.new_ids(records)
        lines = [_line(record) for record in ids]
        for place in range(bad):
            at = (place * 37 + 5) % records
            lines[at] = json.dumps({"id": ids[at], "amount": "much"}).encode()
            self.wrong.append(ids[at])
        control = control_path(self.landing, self.feed.name, day)
        control.parent.mkdir(parents=True, exist_ok=True)
        entries = []
        for number in range(files):
            part = lines[number * records // files : (number + 1) * records // files]
            content = b"".join(line + b"\n" for line in part)
            name = f"{self.feed.name}_{day:%Y%m%d}_{number + 1:03d}.jsonl"
            (control.parent / name).write_bytes(content)
            digest = hashlib.sha256(content).hexdigest()
            entries.append({"name": name, "bytes": len(content), "sha256": digest, "records": len(part)})
        document = {
            "feed": self.feed.name,
            "businessDate": day.isoformat(),
            "cycle": Cycle.EOD.value,
            "files": entries,
            "records": records,
        }
        control.write_text(json.dumps(document), encoding="utf-8")
        return ids

    def new_ids(self, records: int) -> list[str]:
        """Ids that the source has from now on."""
        family = f"R{uuid.uuid4().hex[:6]}"
        ids = [f"{family}-{number:06d}" for number in range(records)]
        self.source.extend(ids)
        return ids


def values_of(record: str) -> tuple[Decimal, str]:
    """What the row of a record has to say: amount and note."""
    sent = record_of(record)
    return Decimal(str(sent["amount"])), str(sent["note"])


def record_of(record: str) -> dict[str, object]:
    return {"id": record, "amount": f"{int(record[-6:])}.2500", "note": "x" * (int(record[-6:]) % 90)}


def _line(record: str) -> bytes:
    return json.dumps(record_of(record)).encode()


def make_feed(partitions: int, name: str = "") -> Feed:
    """A feed with small micro-batches on a topic that is new, under a new name unless one is given."""
    new = f"probe_{uuid.uuid4().hex[:8]}"
    return Feed(
        name=name or new,
        title="Probe",
        topic=Topic(f"FAULT.{new}", partitions=partitions),
        schema=SCHEMA,
        volume=Volume(1, 1),
        batch=BatchRule(max_records=BATCH, max_age_s=0.05),
        control_totals=("amount",),
    )


def write_settings(settings: Settings, feed: Feed, folder: Path) -> Path:
    """The files that a program started from outside is configured by: settings, and a catalogue of this feed alone."""
    topic = feed.topic
    entry = {
        "title": feed.title,
        "topic": topic.name,
        "schema": "probe.avsc",
        "volume": asdict(feed.volume),
        "batch": asdict(feed.batch),
        "control_totals": list(feed.control_totals),
    }
    catalog = {"topics": {topic.name: {"partitions": topic.partitions}}, "feeds": {feed.name: entry}}
    (folder / "probe.avsc").write_text(json.dumps(feed.schema), encoding="utf-8")
    # JSON is YAML.
    (folder / "feeds.yaml").write_text(json.dumps(catalog), encoding="utf-8")
    document = {name: dict(getattr(settings, name)) for name in ("kafka", "registry", "warehouse")}
    document |= {"landing": str(settings.landing), "catalog": str(folder / "feeds.yaml")}
    file = folder / "settings.json"
    file.write_text(json.dumps(document, default=str), encoding="utf-8")
    return file
