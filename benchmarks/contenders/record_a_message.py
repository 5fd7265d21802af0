"""The usual way: one Avro message a record with confluent-kafka's SerializingProducer and AvroSerializer."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

from confluent_kafka import SerializingProducer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer

from benchmarks.workload import bench_catalog, files_of
from feedline.settings import load_settings

Convert = Callable[[Any], Any]


def from_timestamp(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


LOGICAL: dict[str, Convert] = {
    "decimal": lambda value: value if isinstance(value, Decimal) else Decimal(value),
    "date": date.fromisoformat,
    "timestamp-micros": from_timestamp,
    "timestamp-millis": from_timestamp,
}


def converter(kind: Any) -> Convert | None:
    """From what json.loads gives to what fastavro takes; None when it is the same."""
    if isinstance(kind, list):
        inner = converter(next(branch for branch in kind if branch != "null"))
        return inner and (lambda value: None if value is None else inner(value))
    if isinstance(kind, str):
        return None
    if kind.get("logicalType") in LOGICAL:
        return LOGICAL[kind["logicalType"]]
    if kind["type"] == "array":
        items = converter(kind["items"])
        return items and (lambda value: [items(item) for item in value])
    return record_converter(kind) if kind["type"] == "record" else None


def record_converter(schema: Mapping[str, Any]) -> Convert:
    fields = [(f["name"], c) for f in schema["fields"] if (c := converter(f["type"])) is not None]

    def convert(value: dict[str, Any]) -> dict[str, Any]:
        for name, of_field in fields:
            if name in value:
                value[name] = of_field(value[name])
        return value

    return convert


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--settings", type=Path, required=True)
    parser.add_argument("--landing", type=Path, required=True)
    parser.add_argument("--date", type=date.fromisoformat, required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--feed", required=True)
    parser.add_argument("--records", type=int, required=True)
    args = parser.parse_args()

    settings = load_settings(args.settings)
    schema = bench_catalog(args.topic).feed(args.feed).schema
    convert = record_converter(schema)
    failures = 0

    def acknowledged(error: Any, _: Any) -> None:
        nonlocal failures
        failures += error is not None

    started = time.perf_counter()
    producer = SerializingProducer(
        {
            **settings.kafka,
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "zstd",
            "linger.ms": 20,
            "value.serializer": AvroSerializer(SchemaRegistryClient(settings.registry), json.dumps(schema)),
        }
    )
    records = raw_bytes = 0
    for file in files_of(args.landing, args.feed, args.date):
        with file.open("rb") as lines:
            for line in islice(lines, args.records - records):
                value = convert(json.loads(line, parse_float=Decimal))
                while True:
                    try:
                        producer.produce(args.topic, value=value, on_delivery=acknowledged)
                        break
                    except BufferError:
                        producer.poll(0.05)
                producer.poll(0)
                records += 1
                raw_bytes += len(line)
    left = producer.flush(120)
    seconds = time.perf_counter() - started
    assert not left
    assert not failures
    print(json.dumps({"records": records, "raw_bytes": raw_bytes, "seconds": seconds, "messages": records}))


if __name__ == "__main__":
    main()
