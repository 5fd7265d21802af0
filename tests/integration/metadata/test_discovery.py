"""Discovery from a topic: what a client of ours put there as JSON, and what feeds hold as micro-batches."""

from __future__ import annotations

import json
import uuid

import pytest
from click.testing import CliRunner
from confluent_kafka import Producer

from feedline.batch.schemas import batch_schema, batch_subject
from feedline.catalog import Topic
from feedline.cli.main import main
from feedline.kafka.admin import admin_client, ensure_topics
from feedline.kafka.registry import register_schema, registry_client, writer_schema
from feedline.metadata.discovery import discover, samples_of_texts
from feedline.metadata.draft import draft_of


@pytest.fixture
def run(stack):
    def command(*arguments):
        settings = stack.home / "settings.json"
        answer = CliRunner().invoke(main, ["schema", "discover", "--settings", str(settings), *arguments])
        assert answer.exit_code == 0, answer.stderr
        return json.loads(answer.stdout)

    return command


@pytest.fixture
def topic(stack):
    made = Topic(f"client-{uuid.uuid4().hex[:8]}", partitions=3)
    ensure_topics(admin_client(stack.settings.kafka), [made], 1)
    return made.name


def put(stack, topic, values):
    producer = Producer(dict(stack.settings.kafka))
    for number, value in enumerate(values):
        producer.produce(topic, value, partition=number % 3)
    assert producer.flush(60) == 0


def test_a_clients_topic_gives_the_schema_of_its_messages_and_says_which_it_could_not_read(run, stack, topic):
    documents = [{"trade-id": f"T{n}", "amount": n / 4, "on": "2026-11-20"} for n in range(60)]
    put(stack, topic, [*(json.dumps(one).encode() for one in documents), b"\xff\xfe no JSON", None, b"\0\0\0\0\x01x"])
    found = run("--topic", topic, "--name", "trades", "--format", "json")
    assert (found["samples"], found["refusedCount"]) == (60, 2)
    assert all(one["file"].startswith("partition") for one in found["refused"])
    kinds = {one["name"]: one["type"] for one in found["avro"]["fields"]}
    assert kinds["amount"]["logicalType"] == "decimal"
    assert kinds["on"]["logicalType"] == "date"
    newest = run("--topic", topic, "--name", "trades", "--max", "9", "--format", "json")
    assert newest["samples"] + newest["refusedCount"] == 9


def test_the_micro_batches_of_a_feed_give_the_types_that_the_feed_has(run, prices):
    records = [
        {"id": n, "ticker": f"A{n}", "price": "12.50", "side": "BID" if n % 2 else "ASK", "remark": None}
        for n in range(40)
    ]
    prices.send(prices.producer(), *records)
    found = run("--topic", prices.feed.topic.name, "--feed", prices.feed.name, "--format", "json")
    assert found["samples"] == 40
    kinds = {one["name"]: one["type"] for one in found["avro"]["fields"]}
    assert (kinds["id"], kinds["ticker"], kinds["price"]["logicalType"]) == ("long", "string", "decimal")
    assert found["catalog"]["topic"] == prices.feed.topic.name


def test_a_registry_takes_a_discovered_schema_and_gives_it_back(stack):
    """Also with what a strict parser could stumble over: aliases that are no names, attributes, empty values."""
    document = {"trade-date": "31-Jan-2026", "имя": 1, "select": [], "rates": {}, "mixed": [1, "a"], "id": "T1"}
    avro = discover(samples_of_texts([json.dumps(document)]), name="odd_keys", namespace="test.odd").avro
    feed = draft_of(avro, "odd_keys").feed
    client = registry_client(stack.settings.registry)
    number = register_schema(client, batch_subject(feed), batch_schema(feed))
    kept = writer_schema(client, number)[0]["fields"][0]["type"]["items"]
    # The record has its namespace from the batch around it; this registry leaves it out there.
    assert {"namespace": "test.odd", **kept} == avro
