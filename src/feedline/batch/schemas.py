"""The schemas that are registered: a feed's batch, and the manifest that closes a delivery."""

from __future__ import annotations

from typing import Any

from feedline.catalog import Feed


def batch_schema(feed: Feed) -> dict[str, Any]:
    """`record <Feed>Batch { array<<Feed>> records }` in the feed's namespace."""
    schema = {
        "type": "record",
        "name": f"{feed.schema['name']}Batch",
        "doc": f"Many records of {feed.title} in one message.",
        "fields": [{"name": "records", "type": {"type": "array", "items": dict(feed.schema)}, "doc": "In file order."}],
    }
    if feed.schema.get("namespace"):
        schema["namespace"] = feed.schema["namespace"]
    return schema


def batch_subject(feed: Feed) -> str:
    """TopicRecordNameStrategy: a topic carries the batches of many feeds."""
    return f"{feed.topic.name}-{feed.full_name}Batch"


def manifest_subject(topic: str) -> str:
    return f"{topic}-{MANIFEST_SCHEMA['namespace']}.{MANIFEST_SCHEMA['name']}"


_TOTALS = {"type": "map", "values": "string"}

MANIFEST_SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "DeliveryManifest",
    "namespace": "feedline",
    "doc": "Closes a delivery: what was read, what was produced and where it lies on the topic.",
    "fields": [
        {"name": "deliveryId", "type": "string", "doc": "The delivery this closes."},
        {"name": "feed", "type": "string", "doc": "Name in the feed catalogue."},
        {"name": "businessDate", "type": {"type": "int", "logicalType": "date"}, "doc": "Business date."},
        {"name": "cycle", "type": "string", "doc": "EOD or INTRADAY."},
        {"name": "batches", "type": "int", "doc": "Micro-batches acknowledged."},
        {"name": "records", "type": "long", "doc": "Records in those batches."},
        {"name": "sourceRecords", "type": "long", "doc": "Records read: records plus errorRecords."},
        {"name": "errorRecords", "type": "long", "doc": "Records sent to the error topic."},
        {"name": "rawBytes", "type": "long", "doc": "Bytes of uncompressed source."},
        {"name": "controlTotals", "type": _TOTALS, "doc": "Exact decimal sums over the records, by field path."},
        {
            "name": "files",
            "doc": "One entry a source file.",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "ManifestFile",
                    "fields": [
                        {"name": "name", "type": "string"},
                        {"name": "sha256", "type": "string"},
                        {"name": "records", "type": "long"},
                        {"name": "errorRecords", "type": "long"},
                        {"name": "controlTotals", "type": _TOTALS},
                    ],
                },
            },
        },
        {
            "name": "funds",
            "doc": "One entry a fund, empty when the feed names no fund field.",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "ManifestFund",
                    "fields": [
                        {"name": "fund", "type": "string"},
                        {"name": "records", "type": "long"},
                        {"name": "controlTotals", "type": _TOTALS},
                    ],
                },
            },
        },
        {
            "name": "partitions",
            "doc": "Where the acknowledged batches lie: offsets firstOffset to endOffset - 1 of each partition.",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "ManifestPartition",
                    "fields": [
                        {"name": "partition", "type": "int"},
                        {"name": "firstOffset", "type": "long"},
                        {"name": "endOffset", "type": "long"},
                        {"name": "batches", "type": "int"},
                        {"name": "records", "type": "long"},
                        {"name": "bytes", "type": "long", "doc": "About how many when compressed; to weigh by."},
                    ],
                },
            },
        },
        {
            "name": "producedAt",
            "type": {"type": "long", "logicalType": "timestamp-micros"},
            "doc": "When the last batch was acknowledged.",
        },
    ],
}
