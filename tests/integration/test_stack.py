"""The local stack: what it promises to those who start it."""

from __future__ import annotations

import json

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from confluent_kafka.schema_registry import Schema

from feedline.kafka.registry import registry_client


def test_the_services_answer_their_own_clients(stack, connection):
    registry = registry_client(stack.settings.registry)
    record = {"type": "record", "name": "Word", "fields": [{"name": "text", "type": "string"}]}
    schema_id = registry.register_schema("stack-value", Schema(json.dumps(record), "AVRO"))
    assert json.loads(registry.get_schema(schema_id).schema_str) == record

    admin = AdminClient(dict(stack.settings.kafka))
    admin.create_topics([NewTopic("stack", 2, 1)])["stack"].result(20)
    producer = Producer(dict(stack.settings.kafka))
    producer.produce("stack", b"one", partition=1)
    assert producer.flush(20) == 0
    consumer = Consumer({**stack.settings.kafka, "group.id": "stack"})
    consumer.assign([TopicPartition("stack", 1, 0)])
    assert consumer.poll(20).value() == b"one"
    consumer.close()

    assert connection.cursor().execute("select current_database()").fetchall() == [("FEEDLINE",)]
