"""Records of one schema between Arrow and Avro, many at a time.

What is written is the body of a feed's batch schema: an Avro array of the records. What is read may be anything.
"""

from __future__ import annotations

import ctypes
import json
import threading
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from feedline.batch import avro_decode, avro_encode
from feedline.batch.arrow_build import arena_layout, build_batch
from feedline.batch.arrow_types import arrow_schema
from feedline.batch.avro_program import Compiled, Node, compile_schema, first_guesses, least_bytes, schema_tree
from feedline.catalog.feeds import AvroSchema
from feedline.errors import CorruptBatchError, SchemaMismatchError

_ARRAY_CAPSULE = b"arrow_array"
_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype = ctypes.c_void_p
_capsule_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]

# Low and high words of ten to the power of each precision: a decimal's magnitude is below it.
_LIMITS = np.array([[10**p % 2**64, 10**p >> 64] for p in range(39)], dtype=np.uint64)

_CORRUPT = {
    avro_decode.TRUNCATED: "it ends within a value",
    avro_decode.BAD_UNION: "a union index is neither 0 nor 1",
    avro_decode.BAD_ENUM: "an enum index has no symbol",
    avro_decode.BAD_UTF8: "a string is not UTF-8",
    avro_decode.BAD_DECIMAL: "a decimal is empty or has more digits than its precision",
    avro_decode.BAD_COUNT: "an array block claims more items than its bytes can hold",
    avro_decode.BAD_BLOCK_SIZE: "an array block's size is not that of its items",
    avro_decode.OUT_OF_RANGE: "an int is outside 32 bits",
    avro_decode.TRAILING: "bytes follow the last record",
    avro_decode.WRONG_COUNT: "it does not hold as many records as its header says",
    avro_decode.BAD_BOOLEAN: "a boolean is neither 0 nor 1",
    avro_decode.TOO_LARGE: "a column is over 2 GiB: decode fewer messages at a time",
    avro_decode.BAD_LENGTH: "a length is negative",
}


@lru_cache(maxsize=256)
def _codec(text: str) -> RecordCodec:
    return RecordCodec(json.loads(text))


def codec_for(schema: AvroSchema) -> RecordCodec:
    """The codec of a record's Avro schema, made once; raises ConfigurationError for a type feeds may not have."""
    return _codec(json.dumps(schema))


class RecordCodec:
    """Encodes and decodes records of one schema. Holds no state of a call: any thread may use it at any time."""

    def __init__(self, schema: AvroSchema) -> None:
        self.schema: AvroSchema = schema
        self.root: Node = schema_tree(schema)
        self.arrow_schema: pa.Schema = arrow_schema(self.root)
        self.program: Compiled = compile_schema(self.root)
        # The order of fields in the last record of JSON; a guess only, so threads may overwrite each other's.
        self.field_order = first_guesses(self.program.ops)
        self.least_bytes = least_bytes(self.root)
        self._loose_types = [_loose(kind) for kind in self.arrow_schema.types]

    def encode(self, batch: pa.RecordBatch, start: int = 0, stop: int | None = None, *, prefix: bytes = b"") -> bytes:
        """`prefix`, then rows start to stop as the body of the batch schema: one array block and its end.

        Raises SchemaMismatchError for a batch of other columns, a null in a field that has none, an unknown symbol.
        """
        stop = batch.num_rows if stop is None else min(stop, batch.num_rows)
        count = max(0, stop - max(start, 0))
        self._check_columns(batch)
        head = prefix + avro_long(count)
        if count == 0:
            return head
        return b"".join((head, self.encode_rows(batch, max(start, 0), stop), b"\0"))

    def encode_rows(self, batch: pa.RecordBatch, start: int, stop: int) -> bytes:
        """Rows start to stop as Avro records laid end to end; the batch must have the codec's columns."""
        program = self.program
        table = np.zeros((len(program.ops), avro_encode.TABLE_COLUMNS), dtype=np.int64)
        _, exported = batch.__arrow_c_array__()  # type: ignore[no-untyped-call]
        root = _capsule_pointer(exported, _ARRAY_CAPSULE)
        most = avro_encode.bind(program.ops, program.frames, root, table, start, stop)
        out = scratch(most + avro_encode.SLACK)
        place = np.zeros(2, dtype=np.int64)
        written = avro_encode.encode(
            program.ops, program.texts, program.ends, program.frames, table, start, stop, out.ctypes.data, place
        )
        if written < 0:
            node = program.nodes[place[1]]
            assert node is not None
            what = "a null in a field that may not be null"
            if written == avro_encode.UNKNOWN_SYMBOL:
                what = "a value that is none of the enum's symbols"
            raise SchemaMismatchError(f"row {place[0]} has {what}", field=node.path)
        return bytes(out[:written])

    def decode(
        self,
        bodies: Sequence[bytes | memoryview],
        counts: Sequence[int] | None = None,
        *,
        columns: Collection[str] | None = None,
    ) -> pa.RecordBatch:
        """The records of some messages' bodies (without the wire prefix), in order, as one batch.

        counts: the records each body must hold; columns: top-level fields to keep, all when None (the others are
        checked just the same). Raises CorruptBatchError, naming the field and which body it was.
        """
        views = [_readonly(body) for body in bodies]
        spans = np.zeros((len(views), 2), dtype=np.int64)
        for index, view in enumerate(views):
            address = view.ctypes.data
            spans[index] = address, address + len(view)
        if counts is not None and len(counts) != len(views):
            raise CorruptBatchError(f"{len(views)} messages came with {len(counts)} record counts")
        expected = np.array([-1] * len(views) if counts is None else counts, dtype=np.int64)
        rows, filled = self._run(spans, expected, None)
        layout = arena_layout(self.program, rows, filled, columns)
        self._run(spans, expected, layout.table)
        return build_batch(self.root, self.arrow_schema, layout)

    def _run(self, spans: Any, counts: Any, table: Any) -> tuple[Any, Any]:
        """One pass of the decoding kernel: rows of each frame, bytes of each node's strings."""
        program = self.program
        rows = np.zeros(program.frames, dtype=np.int64)
        filled = np.zeros(len(program.ops), dtype=np.int64)
        place = np.zeros(3, dtype=np.int64)
        fill = table is not None
        if table is None:
            table = np.zeros((len(program.ops), avro_decode.TABLE_COLUMNS), dtype=np.int64)
        error = avro_decode.decode(
            program.ops,
            program.texts,
            program.ends,
            _LIMITS,
            spans,
            counts,
            self.least_bytes,
            fill,
            table,
            rows,
            filled,
            place,
        )
        if error != avro_decode.OK:
            body, record, pc = (int(value) for value in place)
            node = program.nodes[pc] if pc >= 0 else None
            raise CorruptBatchError(
                f"message {body} of {len(spans)} cannot be decoded at its record {record}: {_CORRUPT[error]}",
                field=node.path if node else None,
            )
        return rows, filled

    def _check_columns(self, batch: pa.RecordBatch) -> None:
        if batch.schema.equals(self.arrow_schema):
            return
        for position, wanted in enumerate(self.arrow_schema):
            if position >= batch.num_columns or batch.schema.names[position] != wanted.name:
                raise SchemaMismatchError("the batch's columns are not the schema's fields in order", field=wanted.name)
            if _loose(batch.schema.types[position]) != self._loose_types[position]:
                raise SchemaMismatchError(
                    f"the batch has {batch.schema.types[position]} where the schema needs {wanted.type}",
                    field=wanted.name,
                )
        if batch.num_columns != len(self.arrow_schema):
            extra = batch.schema.names[len(self.arrow_schema)]
            raise SchemaMismatchError("the batch has a column that the schema does not know", field=extra)


def avro_long(value: int) -> bytes:
    """A long as Avro's zigzag varint."""
    rest = (value << 1) ^ (value >> 63)
    out = bytearray()
    while rest > 127:
        out.append(rest & 127 | 128)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def _loose(kind: pa.DataType) -> pa.DataType:
    """A type with every nested field nullable: the kernel checks nulls by value, so declarations need not agree."""
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(inner.name, _loose(inner.type)) for inner in kind])
    if pa.types.is_list(kind):
        return pa.list_(_loose(kind.value_type))
    return kind


_threads = threading.local()
# Bytes that a thread keeps for its next batch.
_KEPT = 64 << 20


def scratch(size: int) -> Any:
    """This thread's buffer of at least that many bytes: fresh pages for every batch would cost more than encoding."""
    buffer = getattr(_threads, "buffer", None)
    if buffer is None or len(buffer) < size:
        buffer = np.empty(max(size, 1 << 20), dtype=np.uint8)
        if size <= _KEPT:
            _threads.buffer = buffer
    return buffer


def _readonly(body: bytes | bytearray | memoryview) -> Any:
    """The bytes as an array that cannot change between the decoder's two passes."""
    view = memoryview(body)
    return np.frombuffer(body if view.readonly and view.contiguous else bytes(view), dtype=np.uint8)
