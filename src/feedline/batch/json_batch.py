"""A micro-batch as JSON: the wire prefix, then `{"records":[...]}`, described by a registered JSON Schema.

The records are the source's own text, so a decimal passes as it was written. The schema is that of Confluent's JSON
serializers: draft-07, which any of their deserializers can check a message against.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from feedline.batch.avro_program import (
    ARRAY,
    BOOLEAN,
    BYTES,
    DATE,
    DECIMAL,
    DECIMAL_FIXED,
    DOUBLE,
    ENUM,
    FIXED,
    FLOAT,
    INT,
    LONG,
    MISSING,
    STRING,
    STRUCT,
    TIMESTAMP_MICROS,
    TIMESTAMP_MILLIS,
    Node,
    schema_tree,
)
from feedline.batch.codec import RecordCodec
from feedline.batch.json_lines import sift_records
from feedline.batch.json_split import split_records
from feedline.batch.row_check import check_record, encode_record, join_records
from feedline.catalog.feeds import AvroSchema
from feedline.errors import CorruptBatchError, SchemaMismatchError

_HEAD = b'{"records":['
_TAIL = b"]}"

NUMBER_PATTERN = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$"


def encode_json_batch(lines: Iterable[bytes], prefix: bytes = b"") -> bytes:
    """The message of some records, each the text of one JSON object that has been checked."""
    return b"".join((prefix, _HEAD, b",".join(line.strip() for line in lines), _TAIL))


def decode_json_batch(
    bodies: Sequence[bytes | memoryview], counts: Sequence[int] | None, codec: RecordCodec
) -> pa.RecordBatch:
    """The records of some messages' bodies (without the wire prefix), in order, as one batch of exact columns.

    counts: the records each body must hold. Raises CorruptBatchError, saying which body and which field it was.
    """
    if counts is not None and len(counts) != len(bodies):
        raise CorruptBatchError(f"{len(bodies)} messages came with {len(counts)} record counts")
    encoded, found = [], []
    for index, body in enumerate(bodies):
        where = f"message {index} of {len(bodies)}"
        texts = split_records(bytes(body))
        if texts is None:
            raise CorruptBatchError(f'{where} is not {{"records": [...]}}')
        if counts is not None and len(texts) != counts[index]:
            raise CorruptBatchError(f"{where} holds {len(texts)} records, its header says {counts[index]}")
        encoded.append(_encode(texts, codec, where))
        found.append(len(texts))
    return codec.decode(encoded, found)


def _encode(texts: list[bytes], codec: RecordCodec, where: str) -> bytes:
    # A writer that spreads a record over lines is legal JSON but no JSON Lines.
    if not any(b"\n" in text or not text for text in texts):
        records, bad = sift_records(b"\n".join(texts), codec, first_line=0)
        if not bad:
            return records.body()
        record, reason, field = bad[0].line, bad[0].reason, bad[0].field
    else:
        bodies: list[bytes] = []
        try:
            for text in texts:
                bodies.append(encode_record(check_record(text, codec), codec))  # noqa: PERF401  its length is the index
            return join_records(bodies)
        except SchemaMismatchError as error:
            record, reason, field = len(bodies), error.reason, error.where.field
    raise CorruptBatchError(f"{where} cannot be decoded at its record {record}: {reason}", field=field)


def json_schema_of(batch_schema: AvroSchema) -> dict[str, Any]:
    """The JSON Schema (draft-07) of a batch schema: what `row_check` takes, as far as JSON Schema can say it.

    A decimal may be a number or text; how many digits it may have only the feed's Avro schema says.
    """
    schema = _schema_of(schema_tree(batch_schema))
    namespace = batch_schema.get("namespace")
    name = str(batch_schema["name"])
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": f"{namespace}.{name}" if namespace else name,
        **({"description": batch_schema["doc"]} if batch_schema.get("doc") else {}),
        **schema,
    }


_PLAIN: dict[int, Mapping[str, Any]] = {
    BOOLEAN: {"type": "boolean"},
    INT: {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    LONG: {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    FLOAT: {"type": "number"},
    DOUBLE: {"type": "number"},
    STRING: {"type": "string"},
    BYTES: {"type": "string"},
    DATE: {"type": "string", "format": "date"},
    TIMESTAMP_MILLIS: {"type": "string", "format": "date-time"},
    TIMESTAMP_MICROS: {"type": "string", "format": "date-time"},
    DECIMAL: {"type": ["number", "string"], "pattern": NUMBER_PATTERN},
    DECIMAL_FIXED: {"type": ["number", "string"], "pattern": NUMBER_PATTERN},
}


def _schema_of(node: Node) -> dict[str, Any]:
    if node.op == STRUCT:
        required = [child.name for child in node.children if not child.nullable and child.default is MISSING]
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {child.name: _schema_of(child) for child in node.children},
            "additionalProperties": False,
            **({"required": required} if required else {}),
        }
    elif node.op == ARRAY:
        schema = {"type": "array", "items": _schema_of(node.children[0])}
    elif node.op == ENUM:
        return {"enum": [*node.symbols, *([None] if node.nullable else [])]}
    elif node.op == FIXED:
        schema = {"type": "string", "minLength": node.size, "maxLength": node.size}
    else:
        schema = dict(_PLAIN[node.op])
    if node.nullable:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        schema["type"] = [*kinds, "null"]
    return schema
