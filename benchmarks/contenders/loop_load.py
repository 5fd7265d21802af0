"""The usual loop: read messages, insert them as a data frame, commit the offsets, no ledger and no checkpoint."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from confluent_kafka import Consumer

from benchmarks.contenders.usual_load import insert_frame, plain
from benchmarks.workload import bench_catalog
from feedline.batch.headers import MANIFEST, header
from feedline.batch.warm_up import compile_kernels
from feedline.consumer.range_reader import batch_of
from feedline.kafka.config import consumer_config
from feedline.kafka.registry import registry_client, writer_schema
from feedline.settings import load_settings
from feedline.warehouse.connection import open_warehouse
from feedline.warehouse.decode import Decoder
from feedline.warehouse.flatten import flatten

MESSAGES = 8


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--settings", type=Path, required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--feed", required=True)
    parser.add_argument("--group", required=True)
    args = parser.parse_args()

    compile_kernels()
    settings = load_settings(args.settings)
    feed = bench_catalog(args.topic).feed(args.feed)
    decoder = Decoder(feed, partial(writer_schema, registry_client(settings.registry)))
    config = consumer_config(settings.kafka, group_id=args.group) | {"auto.offset.reset": "earliest"}
    consumer = Consumer({**config, "session.timeout.ms": 10_000})
    consumer.subscribe([args.topic])
    with open_warehouse(settings.warehouse) as connection:
        with connection.cursor() as cursor:
            cursor.execute("USE DATABASE FEEDLINE")
            cursor.execute("USE SCHEMA IHUB")
        while True:
            messages = [message for message in consumer.consume(MESSAGES, timeout=0.5) if message.error() is None]
            batches = [
                batch
                for message in messages
                if header(message.headers(), "contentType") != MANIFEST
                and (batch := batch_of(message, feed.name, lambda *_: None)) is not None
            ]
            if batches:
                for decoded, layout in decoder.decode(batches)[0]:
                    for name, rows in flatten(decoded, layout, datetime.now(UTC)).items():
                        insert_frame(connection, name, plain(rows))
            if messages:
                consumer.commit(asynchronous=True)


if __name__ == "__main__":
    main()
