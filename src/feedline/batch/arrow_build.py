"""Memory for decoded columns, and Arrow arrays over it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from feedline.batch.avro_decode import DATA, TABLE_COLUMNS, VALID, VALUES
from feedline.batch.avro_program import (
    ARRAY,
    BOOLEAN,
    BYTES,
    ENUM,
    FRAME,
    PARENT,
    STRING,
    STRUCT,
    WIDTH,
    A,
    Compiled,
    Node,
)
from feedline.errors import CorruptBatchError

_ALIGNMENT = 64  # what Arrow recommends for buffers
# A null takes a byte in Avro and may stand for a record of hundreds of columns: what is decoded at once has a bound.
_MOST_BYTES = 2 << 30
_WITH_BYTES = frozenset({STRING, BYTES, ENUM})


@dataclass(frozen=True, slots=True)
class Layout:
    """One block of memory for all columns: `table` has the addresses for the kernel, `bounds` the same as (start,
    bytes) within the block; rows of each frame; which top-level fields are wanted."""

    arena: pa.Buffer
    table: Any
    bounds: Any
    rows: Any
    items: tuple[int, ...]
    columns: Collection[str] | None


def arena_layout(program: Compiled, rows: Any, filled: Any, columns: Collection[str] | None) -> Layout:
    """Room for rows[frame] rows a frame and filled[pc] string bytes a node, zeroed: nulls and zeros need no store.

    Raises CorruptBatchError when that is over 2 GiB.
    """
    bounds = np.zeros((len(program.ops), TABLE_COLUMNS, 2), dtype=np.int64)
    keep = np.zeros(len(program.ops), dtype=np.bool_)
    total = 0
    for pc, node in enumerate(program.nodes):
        if node is None:
            continue
        parent = int(program.ops[pc, PARENT])
        keep[pc] = keep[parent] if parent >= 0 else columns is None or node.name in columns
        if not keep[pc]:
            continue
        count = int(rows[program.ops[pc, FRAME]])
        sizes = [(VALID, (count + 7) // 8)] if node.nullable else []
        if node.op in _WITH_BYTES:
            sizes += [(VALUES, 4 * (count + 1)), (DATA, int(filled[pc]))]
        elif node.op == ARRAY:
            sizes.append((VALUES, 4 * (count + 1)))
        elif node.op == BOOLEAN:
            sizes.append((VALUES, (count + 7) // 8))
        elif node.op != STRUCT:
            sizes.append((VALUES, count * int(program.ops[pc, WIDTH])))
        for which, size in sizes:
            bounds[pc, which] = total, size
            total += -(-size // _ALIGNMENT) * _ALIGNMENT
    if total > _MOST_BYTES:
        raise CorruptBatchError(
            f"the messages' columns would take {total} bytes of memory, over {_MOST_BYTES}: decode fewer at a time"
        )
    zeros: Any = np.zeros(total + _ALIGNMENT, dtype=np.uint8)
    arena = pa.py_buffer(zeros)
    table = np.where(bounds[:, :, 1] > 0, bounds[:, :, 0] + arena.address, 0)
    return Layout(arena, table, bounds, rows, tuple(int(item) for item in program.ops[:, A]), columns)


def build_batch(root: Node, schema: pa.Schema, layout: Layout) -> pa.RecordBatch:
    """The batch over a layout that the kernel has filled."""
    nodes = iter(range(len(layout.items)))
    arrays: list[Any] = []
    fields: list[Any] = []
    for child, declared in zip(root.children, schema, strict=True):
        wanted = layout.columns is None or child.name in layout.columns
        array = _build(child, declared.type, nodes, layout, int(layout.rows[0]), wanted=wanted)
        if wanted:
            arrays.append(array)
            fields.append(declared)
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def _build(node: Node, kind: Any, nodes: Iterator[int], layout: Layout, count: int, *, wanted: bool) -> Any:
    """The array of a node, taking program rows from `nodes` in the order of the program."""
    pc = next(nodes)

    def buffer(which: int) -> pa.Buffer:
        start, size = layout.bounds[pc, which]
        return layout.arena.slice(int(start), int(size))

    children: list[Any] = []
    if node.op == STRUCT:
        children = [
            _build(child, inner.type, nodes, layout, count, wanted=wanted)
            for child, inner in zip(node.children, kind, strict=True)
        ]
    elif node.op == ARRAY:
        items = int(layout.rows[layout.items[pc]])
        children = [_build(node.children[0], kind.value_type, nodes, layout, items, wanted=wanted)]
        next(nodes)  # the row that ends the array
    if not wanted:
        return None
    buffers: list[Any] = [buffer(VALID) if node.nullable else None]
    if node.op != STRUCT:
        buffers.append(buffer(VALUES))
    if node.op in _WITH_BYTES:
        buffers.append(buffer(DATA))
    return pa.Array.from_buffers(kind, count, buffers, null_count=-1 if node.nullable else 0, children=children)
