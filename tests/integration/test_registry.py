"""Schemas of feeds in a real registry."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from feedline.batch.schemas import batch_schema, batch_subject
from feedline.errors import ConfigurationError, RegistryUnavailableError
from feedline.kafka.registry import register_schema, registry_client, schema_id, writer_schema


@pytest.fixture
def feed(catalog):
    return catalog.feed("positions")


def test_the_same_schema_keeps_its_id_and_its_version(stack, feed):
    subject, schema = batch_subject(feed), batch_schema(feed)
    first = register_schema(registry_client(stack.settings.registry), subject, schema)
    # Other clients: nothing is remembered on this side.
    assert register_schema(registry_client(stack.settings.registry), subject, schema) == first
    assert schema_id(registry_client(stack.settings.registry), subject, schema) == first
    assert registry_client(stack.settings.registry).get_versions(subject) == [1]


def test_what_the_registry_gives_back_still_has_the_attributes_of_ours(stack, feed):
    client = registry_client(stack.settings.registry)
    number = register_schema(client, batch_subject(feed), batch_schema(feed))
    found, kind = writer_schema(registry_client(stack.settings.registry), number)
    assert kind == "AVRO"
    record = found["fields"][0]["type"]["items"]
    assert tuple(record["businessKeys"]) == feed.business_keys
    names = [entry["name"] for entry in record["fields"]]
    assert names == [entry["name"] for entry in feed.schema["fields"]]
    assert all(entry.get("doc") for entry in record["fields"])


def test_a_changed_schema_is_another_version(stack, feed):
    client = registry_client(stack.settings.registry)
    subject, schema = batch_subject(feed), batch_schema(feed)
    first = register_schema(client, subject, schema)
    record = schema["fields"][0]["type"]["items"]
    record["fields"] = [*record["fields"], {"name": "note", "type": ["null", "string"], "default": None}]
    assert register_schema(client, subject, schema) != first
    assert client.get_versions(subject) == [1, 2]


def test_what_is_not_there_and_what_is_no_schema_is_said(stack, feed):
    client = registry_client(stack.settings.registry)
    with pytest.raises(ConfigurationError, match="provision the feeds first"):
        schema_id(client, f"none-{uuid.uuid4().hex}", batch_schema(feed))
    with pytest.raises(ConfigurationError, match="id 987654321"):
        writer_schema(client, 987654321)
    with pytest.raises(ConfigurationError, match="refused"):
        register_schema(client, f"wrong-{uuid.uuid4().hex}", {"type": "record", "name": "X"})


def test_a_registry_that_is_away_is_retriable():
    client = registry_client({"url": "http://127.0.0.1:1", "max.retries": 0})
    with pytest.raises(RegistryUnavailableError):
        writer_schema(client, 1)


def test_settings_it_does_not_know_are_refused():
    with pytest.raises(ConfigurationError, match="nosuch"):
        registry_client({"url": "http://127.0.0.1:1", "nosuch": 1})


def test_a_subject_that_many_register_at_once_is_registered_once(stack, feed):
    subjects = [f"test.at-once-{uuid.uuid4().hex[:8]}-value" for _ in range(5)]

    def register(_number):
        client = registry_client(stack.settings.registry)
        return [register_schema(client, subject, batch_schema(feed)) for subject in subjects]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(register, range(8)))
    assert found == [found[0]] * 8
    client = registry_client(stack.settings.registry)
    assert [client.get_versions(subject) for subject in subjects] == [[1]] * 5
