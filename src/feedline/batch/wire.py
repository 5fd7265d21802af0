"""Confluent's wire format: a zero byte, the schema id as four big-endian bytes, then the body."""

from __future__ import annotations

import struct

from feedline.errors import CorruptBatchError

_PREFIX = struct.Struct(">bI")
PREFIX_BYTES = _PREFIX.size
MAGIC = 0


def prefix(schema_id: int) -> bytes:
    return _PREFIX.pack(MAGIC, schema_id)


def schema_id_of(value: bytes | memoryview | None) -> int:
    """The schema id of a message's value; raises CorruptBatchError when it is not in the wire format."""
    if value is None or len(value) < PREFIX_BYTES:
        raise CorruptBatchError("the message is shorter than the wire format's five-byte prefix")
    magic, schema_id = _PREFIX.unpack_from(value)
    if magic != MAGIC:
        raise CorruptBatchError(f"the message starts with byte {magic}, not the wire format's {MAGIC}")
    return int(schema_id)
