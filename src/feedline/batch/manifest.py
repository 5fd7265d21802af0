"""The manifest that ends a delivery, so that a consumer can tell complete from late."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import fastavro

from feedline.batch.identity import Cycle
from feedline.batch.schemas import MANIFEST_SCHEMA
from feedline.batch.wire import PREFIX_BYTES, prefix
from feedline.errors import CorruptBatchError

# Every manifest lies in this partition, so that waiting for one follows a single partition whatever their number.
MANIFEST_PARTITION = 0

Totals = Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class FileCount:
    """One source file: its name, SHA-256 (hex) of its bytes as they lie on disk, and what was read from it."""

    name: str
    sha256: str
    records: int
    error_records: int
    control_totals: Totals = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FundCount:
    fund: str
    records: int
    control_totals: Totals = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PartitionRange:
    """Offsets first_offset to end_offset - 1 of a partition hold `batches` batches of the delivery.

    bytes: about how many when compressed, as the producer estimated; for weighing partitions against each other.
    """

    partition: int
    first_offset: int
    end_offset: int
    batches: int
    records: int
    bytes: int


@dataclass(frozen=True, slots=True)
class DeliveryManifest:
    delivery_id: str
    feed: str
    business_date: date
    cycle: Cycle
    batches: int
    records: int
    source_records: int
    error_records: int
    raw_bytes: int
    control_totals: Totals
    files: tuple[FileCount, ...]
    funds: tuple[FundCount, ...]
    partitions: tuple[PartitionRange, ...]
    produced_at: datetime


def standing_one(manifests: Iterable[DeliveryManifest]) -> DeliveryManifest | None:
    """Of the deliveries of one feed, date and cycle the one that counts: which was produced last, as in the `_CURRENT`
    views. Where it lies on the topic says nothing: a replay from the archive produces an older one again."""
    return max(manifests, key=lambda manifest: (manifest.produced_at, manifest.delivery_id), default=None)


_PARSED = fastavro.parse_schema(MANIFEST_SCHEMA)


def _text(totals: Totals) -> dict[str, str]:
    return {path: format(value, "f") for path, value in totals.items()}


def _decimals(totals: Mapping[str, str]) -> dict[str, Decimal]:
    return {path: Decimal(value) for path, value in totals.items()}


def to_document(manifest: DeliveryManifest) -> dict[str, Any]:
    """The manifest as the Avro record `feedline.DeliveryManifest`."""
    return {
        "deliveryId": manifest.delivery_id,
        "feed": manifest.feed,
        "businessDate": manifest.business_date,
        "cycle": manifest.cycle.value,
        "batches": manifest.batches,
        "records": manifest.records,
        "sourceRecords": manifest.source_records,
        "errorRecords": manifest.error_records,
        "rawBytes": manifest.raw_bytes,
        "controlTotals": _text(manifest.control_totals),
        "files": [
            {
                "name": f.name,
                "sha256": f.sha256,
                "records": f.records,
                "errorRecords": f.error_records,
                "controlTotals": _text(f.control_totals),
            }
            for f in manifest.files
        ],
        "funds": [
            {"fund": f.fund, "records": f.records, "controlTotals": _text(f.control_totals)} for f in manifest.funds
        ],
        "partitions": [
            {
                "partition": p.partition,
                "firstOffset": p.first_offset,
                "endOffset": p.end_offset,
                "batches": p.batches,
                "records": p.records,
                "bytes": p.bytes,
            }
            for p in manifest.partitions
        ],
        "producedAt": manifest.produced_at,
    }


def from_document(document: Mapping[str, Any]) -> DeliveryManifest:
    return DeliveryManifest(
        delivery_id=document["deliveryId"],
        feed=document["feed"],
        business_date=document["businessDate"],
        cycle=Cycle(document["cycle"]),
        batches=document["batches"],
        records=document["records"],
        source_records=document["sourceRecords"],
        error_records=document["errorRecords"],
        raw_bytes=document["rawBytes"],
        control_totals=_decimals(document["controlTotals"]),
        files=tuple(
            FileCount(f["name"], f["sha256"], f["records"], f["errorRecords"], _decimals(f["controlTotals"]))
            for f in document["files"]
        ),
        funds=tuple(FundCount(f["fund"], f["records"], _decimals(f["controlTotals"])) for f in document["funds"]),
        partitions=tuple(
            PartitionRange(p["partition"], p["firstOffset"], p["endOffset"], p["batches"], p["records"], p["bytes"])
            for p in document["partitions"]
        ),
        produced_at=document["producedAt"],
    )


def encode_manifest(manifest: DeliveryManifest, schema_id: int) -> bytes:
    """The manifest in Confluent's wire format."""
    body = io.BytesIO()
    body.write(prefix(schema_id))
    fastavro.schemaless_writer(body, _PARSED, to_document(manifest))
    return body.getvalue()


def decode_manifest(value: bytes) -> DeliveryManifest:
    """The manifest of a message's value; raises CorruptBatchError when it is none."""
    try:
        document = fastavro.schemaless_reader(io.BytesIO(value[PREFIX_BYTES:]), _PARSED, None)
        assert isinstance(document, dict)
        return from_document(document)
    except (EOFError, ValueError, KeyError, IndexError, AssertionError, UnicodeDecodeError) as error:
        raise CorruptBatchError(f"the manifest cannot be decoded: {error}") from error
