"""A registry says 409 of a schema that is incompatible, and of one that is there already."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from confluent_kafka.schema_registry.error import SchemaRegistryError

from feedline.errors import ConfigurationError
from feedline.kafka.registry import register_schema

SCHEMA = {"type": "string"}


class Registry:
    """answers: to attempts to register, in their order; registered: the id of the schema, if it is there by then."""

    def __init__(self, *answers, registered=None):
        self.answers, self.registered = list(answers), registered

    def register_schema(self, _subject, _schema):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def lookup_schema(self, _subject, _schema):
        if self.registered is None:
            raise SchemaRegistryError(404, 40403, "Schema not found")
        return SimpleNamespace(schema_id=self.registered)


def conflict():
    return SchemaRegistryError(409, 409, "An artifact with ID 'probe' in group 'null' already exists.")


def test_one_that_an_earlier_attempt_has_registered_has_that_id():
    assert register_schema(Registry(conflict(), registered=7), "probe", SCHEMA) == 7


def test_beside_another_schema_that_is_registered_now_it_becomes_the_next_version():
    assert register_schema(Registry(conflict(), 8), "probe", SCHEMA) == 8


def test_one_that_is_incompatible_is_refused():
    registry = Registry(conflict(), conflict())
    with pytest.raises(ConfigurationError, match="refused probe"):
        register_schema(registry, "probe", SCHEMA)
    assert registry.answers == []
