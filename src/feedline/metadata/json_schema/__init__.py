"""Avro schemas as JSON Schemas and back.

The JSON Schema describes the documents: keys as they stand there, objects where a record keeps entries. What JSON
Schema has no word for stands under `x-avro`, which validators pass over, so that the way back gives the same Avro
schema. A JSON Schema that somebody wrote is kept in the record's attribute `jsonSchema`, and given back word for word
as long as the Avro schema is still the one that it led to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feedline.metadata.json_schema.reading import read
from feedline.metadata.json_schema.writing import EXTRA, KEPT, written

_KEYS = "businessKeys"


def json_schema_of(avro: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON Schema of the documents that an Avro record schema describes: the one that its producer supplied, with
    the business keys under `x-avro`, else one of draft 2020-12.

    Raises ConfigurationError for what is no record schema.
    """
    supplied = avro.get(KEPT) if isinstance(avro, Mapping) else None
    if not isinstance(supplied, Mapping):
        return written(avro)
    keys = {_KEYS: avro[_KEYS]} if _KEYS in avro else {}
    # Somebody may have changed the schema since.
    if {**avro_of(supplied, name=str(avro.get("name")), namespace=avro.get("namespace")), **keys} != dict(avro):
        return written({name: value for name, value in avro.items() if name != KEPT})
    return {**supplied, EXTRA: keys} if keys else dict(supplied)


def avro_of(json_schema: Mapping[str, Any], *, name: str = "Record", namespace: str | None = None) -> dict[str, Any]:
    """The Avro record schema of a JSON Schema whose documents are objects; name and namespace where it has none.

    A number is a decimal, with the scale of `multipleOf` and the digits of its bounds, never a float unless its format
    says float or double. Raises ConfigurationError, with the path of what Avro has no type for.
    """
    avro = read(json_schema, name=name, namespace=namespace)
    if written(avro) == dict(json_schema):
        return avro
    noted = json_schema.get(EXTRA)
    only_keys = isinstance(noted, Mapping) and noted.keys() == {_KEYS}
    supplied = {word: value for word, value in json_schema.items() if not (only_keys and word == EXTRA)}
    return {**avro, KEPT: supplied}
