"""Arrow types of Avro types: exact both ways, nullability included."""

from __future__ import annotations

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
    STRING,
    STRUCT,
    TIMESTAMP_MICROS,
    TIMESTAMP_MILLIS,
    Node,
)

_TYPES: dict[int, pa.DataType] = {
    BOOLEAN: pa.bool_(),
    INT: pa.int32(),
    LONG: pa.int64(),
    FLOAT: pa.float32(),
    DOUBLE: pa.float64(),
    STRING: pa.string(),
    BYTES: pa.binary(),
    ENUM: pa.string(),
    DATE: pa.date32(),
    TIMESTAMP_MILLIS: pa.timestamp("ms", "UTC"),
    TIMESTAMP_MICROS: pa.timestamp("us", "UTC"),
}


def arrow_schema(root: Node) -> pa.Schema:
    """The Arrow schema of a record."""
    return pa.schema([_field(child) for child in root.children])


def arrow_type(node: Node) -> pa.DataType:
    """The Arrow type of one node."""
    if node.op == STRUCT:
        return pa.struct([_field(child) for child in node.children])
    if node.op == ARRAY:
        return pa.list_(_field(node.children[0]))
    if node.op in (DECIMAL, DECIMAL_FIXED):
        return pa.decimal128(node.precision, node.scale)
    if node.op == FIXED:
        return pa.binary(node.size)
    return _TYPES[node.op]


def _field(node: Node) -> Any:
    return pa.field(node.name, arrow_type(node), nullable=node.nullable)
