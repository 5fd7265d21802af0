"""What a replay found and did, feed by feed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from feedline.consumer.ranges import LoadRange
from feedline.replay.compare import RIGHT
from feedline.replay.selection import Mode
from feedline.warehouse.reload import Reloaded


@dataclass(frozen=True, slots=True)
class DeliveryFinding:
    """One delivery in the scope.

    batches, records: on the topic, each once; states: micro-batches by their state (`compare.State`); foreign: those
    that the ledger has of a whole delivery and the topic has not; failed_checks: of the manifest, in words; checked:
    whether it was held against a manifest.
    """

    delivery_id: str
    business_date: date | None
    batches: int
    records: int
    states: Mapping[str, int] = field(default_factory=dict)
    foreign: int = 0
    failed_checks: tuple[str, ...] = ()
    checked: bool = False

    @property
    def right(self) -> bool:
        return not self.failed_checks and not self.foreign and set(self.states) <= set(RIGHT)


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """One feed's replay.

    messages: read, of the feed and the selection; orphans: rows in the tables by delivery id, of deliveries that
    were never finished; to_load, to_delete: micro-batches and rows that a repair or a rebuild concerns, as a dry run
    tells them; changed: what was really done.
    """

    feed: str
    mode: Mode
    dry_run: bool
    spans: LoadRange
    messages: int
    deliveries: tuple[DeliveryFinding, ...] = ()
    orphans: Mapping[str, int] = field(default_factory=dict)
    to_load: int = 0
    records_to_load: int = 0
    to_delete: int = 0
    changed: Reloaded = field(default_factory=Reloaded)
    produced: str | None = None
    schema: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def right(self) -> bool:
        """Whether topic and tables agree, as far as was looked."""
        return not self.orphans and all(finding.right for finding in self.deliveries)

    def lines(self) -> list[str]:
        """The report in sentences."""
        span = f"{self.spans.offsets} offsets of {len(self.spans.spans)} partitions"
        told = [f"{self.feed}: looked at {span} of {self.spans.topic}: {self.messages} messages of the selection"]
        if self.produced:
            told.append(f"{self.feed}: produced {self.produced} again from the archive")
        told += [f"{self.feed}: {line}" for line in (*map(_told, self.deliveries), *self._orphans(), *self.notes)]
        doing = "would load" if self.dry_run else "loaded"
        taking = "would take out" if self.dry_run else "took out"
        if self.mode is not Mode.VERIFY:
            batches = self.to_load if self.dry_run else self.changed.batches
            records = self.records_to_load if self.dry_run else self.changed.records
            rows = self.to_delete if self.dry_run else self.changed.deleted_rows
            place = f" into schema {self.schema}" if self.schema else ""
            done = f"{taking} {rows} rows, {doing} {batches} messages of {records} records{place}"
            told.append(f"{self.feed}: {self.mode}: {done}")
            if self.changed.spared:
                told.append(f"{self.feed}: left {self.changed.spared} messages of corrected records as they were")
            if self.changed.elsewhere:
                told.append(f"{self.feed}: left {self.changed.elsewhere} records to another delivery, which has them")
        return told

    def _orphans(self) -> list[str]:
        return [
            f"{delivery} was never finished, and {rows} of its records are in the tables (not in the _CURRENT views): "
            f"`feedline replay rebuild --delivery {delivery} --drop-incomplete` takes them out"
            for delivery, rows in self.orphans.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """As JSON that is small enough for XCom."""
        return {
            "feed": self.feed,
            "mode": self.mode.value,
            "dry_run": self.dry_run,
            "right": self.right,
            "offsets": self.spans.offsets,
            "spans": [[s.partition, s.start, s.end] for s in self.spans.spans],
            "messages": self.messages,
            "deliveries": [
                {
                    "delivery_id": finding.delivery_id,
                    "batches": finding.batches,
                    "records": finding.records,
                    "states": dict(finding.states),
                    "foreign": finding.foreign,
                    "failed_checks": list(finding.failed_checks[:5]),
                    "right": finding.right,
                }
                for finding in self.deliveries
            ],
            "orphans": dict(self.orphans),
            "to_load": self.to_load,
            "records_to_load": self.records_to_load,
            "to_delete": self.to_delete,
            "loaded_batches": self.changed.batches,
            "loaded_records": self.changed.records,
            "deleted_rows": self.changed.deleted_rows,
            "spared_batches": self.changed.spared,
            "batches_elsewhere": self.changed.elsewhere,
            "produced": self.produced,
            "notes": list(self.notes),
        }


def _told(finding: DeliveryFinding) -> str:
    states = ", ".join(f"{count} {state}" for state, count in finding.states.items()) or "none"
    told = f"{finding.delivery_id}: {finding.batches} micro-batches, {finding.records} records: {states}"
    if finding.foreign:
        told += f"; {finding.foreign} in the ledger that the topic does not have"
    if finding.failed_checks:
        return f"{told}; {len(finding.failed_checks)} checks failed: {'; '.join(finding.failed_checks[:3])}"
    return f"{told}; all checks of the manifest passed" if finding.checked else told
