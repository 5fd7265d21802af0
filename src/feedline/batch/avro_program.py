"""An Avro record schema as a tree of nodes, and as the flat program that the compiled kernels run.

The program is one row of integers a node, in schema order (preorder). A record's fields lie inline; an array's
items follow its row and end with an ARRAY_END row that loops; RECORD_END closes the program. Every array has a frame:
the rows of its items, over all records. Frame 0 is the records themselves. As schemas that feeds may use do not
recurse, the kernels need no stack: one cursor a frame is enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from feedline.errors import ConfigurationError

# Operations: column OP of a program row.
STRUCT: Final = 0
ARRAY: Final = 1
ARRAY_END: Final = 2
RECORD_END: Final = 3
BOOLEAN: Final = 4
INT: Final = 5
LONG: Final = 6
FLOAT: Final = 7
DOUBLE: Final = 8
STRING: Final = 9
BYTES: Final = 10
FIXED: Final = 11
DECIMAL: Final = 12
DECIMAL_FIXED: Final = 13
ENUM: Final = 14
DATE: Final = 15
TIMESTAMP_MILLIS: Final = 16
TIMESTAMP_MICROS: Final = 17

# Columns of a program row.
OP: Final = 0
NULL: Final = 1  # NOT_NULL, NULL_FIRST or NULL_LAST: where null stands in the union
END: Final = 2  # the row after this node's subtree
PARENT: Final = 3  # the row of the enclosing record or array; -1 at the top
CHILD: Final = 4  # position among the parent's children
FRAME: Final = 5  # the frame whose rows this node has a value for
A: Final = 6  # array: frame of its items; fixed: size; decimal: precision; enum: first symbol
B: Final = 7  # array: least bytes of an item; decimal: scale; enum: number of symbols
SIZE: Final = 8  # bytes of a fixed, or of a decimal that is one
WIDTH: Final = 9  # bytes of one value in the Arrow buffer; 0 when it has none or they vary

NOT_NULL: Final = 0
NULL_FIRST: Final = 1
NULL_LAST: Final = 2

MAX_DEPTH: Final = 16
MAX_PRECISION: Final = 38  # of decimal128, and of the warehouse


@dataclass(frozen=True, slots=True)
class Missing:
    """The default of a field that declares none."""


MISSING: Final = Missing()

Program = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Node:
    """One field, or an array's items: its operation, its dotted path, and what its type says."""

    op: int
    name: str
    path: str
    null: int = NOT_NULL
    children: tuple[Node, ...] = ()
    precision: int = 0
    scale: int = 0
    size: int = 0
    symbols: tuple[str, ...] = ()
    default: Any = MISSING

    @property
    def nullable(self) -> bool:
        return self.null != NOT_NULL

    def walk(self) -> Iterator[Node]:
        yield self
        for child in self.children:
            yield from child.walk()


_PLAIN = {
    "boolean": BOOLEAN,
    "int": INT,
    "long": LONG,
    "float": FLOAT,
    "double": DOUBLE,
    "string": STRING,
    "bytes": BYTES,
}
_LOGICAL = {
    ("int", "date"): DATE,
    ("long", "timestamp-millis"): TIMESTAMP_MILLIS,
    ("long", "timestamp-micros"): TIMESTAMP_MICROS,
}
_UNSUPPORTED_LOGICAL = frozenset(
    {"time-millis", "time-micros", "local-timestamp-millis", "local-timestamp-micros", "duration", "timestamp-nanos"}
)
_WIDTHS = {
    INT: 4,
    DATE: 4,
    LONG: 8,
    TIMESTAMP_MILLIS: 8,
    TIMESTAMP_MICROS: 8,
    FLOAT: 4,
    DOUBLE: 8,
    DECIMAL: 16,
    DECIMAL_FIXED: 16,
}
_LEAST_BYTES = {FLOAT: 4, DOUBLE: 8}


def schema_tree(schema: Mapping[str, Any]) -> Node:
    """The node of a record schema; raises ConfigurationError naming the field whose type feeds may not have."""
    if schema.get("type") != "record":
        raise ConfigurationError("a feed's schema must be an Avro record")
    return _Reader().node(schema, name=str(schema.get("name", "")), path="", namespace="", depth=0)


@dataclass(slots=True)
class _Reader:
    """Named types met so far, and those being read (a type inside itself would have no end)."""

    named: dict[str, tuple[Mapping[str, Any], str]] = field(default_factory=dict)
    reading: list[str] = field(default_factory=list)

    def node(
        self, schema: Any, *, name: str, path: str, namespace: str, depth: int, default: Any = MISSING, null: int = 0
    ) -> Node:
        if depth > MAX_DEPTH:
            raise ConfigurationError(f"the schema nests deeper than {MAX_DEPTH} levels", field=path)
        place: dict[str, Any] = {"name": name, "path": path, "default": default, "null": null}
        if isinstance(schema, list):
            return self._union(schema, place, namespace, depth)
        if isinstance(schema, str):
            if schema in _PLAIN:
                return Node(op=_PLAIN[schema], **place)
            schema, namespace = self._named(schema, namespace, path)
        kind = schema.get("type")
        if isinstance(kind, (dict, list)) or (isinstance(kind, str) and kind not in _KINDS):
            return self.node(kind, namespace=namespace, depth=depth + 1, **place)
        if kind in _PLAIN:
            return _primitive(schema, place)
        if kind == "array":
            items = self.node(schema["items"], name="item", path=f"{path}[]", namespace=namespace, depth=depth + 1)
            return Node(op=ARRAY, children=(items,), **place)
        return self._define(schema, place, namespace, depth)

    def _union(self, schema: list[Any], place: dict[str, Any], namespace: str, depth: int) -> Node:
        kinds = [kind for kind in schema if kind != "null"]
        if len(kinds) != 1 or len(schema) > 2 or place["null"] != NOT_NULL:
            raise ConfigurationError(
                "a feed's field may be a type, or a union of null and one type", field=place["path"]
            )
        null = NOT_NULL if len(schema) == 1 else NULL_FIRST if schema[0] == "null" else NULL_LAST
        return self.node(kinds[0], namespace=namespace, depth=depth + 1, **{**place, "null": null})

    def _define(self, schema: Mapping[str, Any], place: dict[str, Any], namespace: str, depth: int) -> Node:
        path, short = place["path"], str(schema.get("name", ""))
        space = str(schema.get("namespace") or (short.rpartition(".")[0] if "." in short else namespace))
        full = short if "." in short else f"{space}.{short}" if space else short
        if full in self.reading:
            raise ConfigurationError(f"type {full} contains itself: a feed's schema may not recurse", field=path)
        self.named[full] = (schema, space)
        kind = schema.get("type")
        if kind == "enum":
            return Node(op=ENUM, symbols=tuple(schema["symbols"]), **place)
        if kind == "fixed":
            return _fixed(schema, place)
        if kind != "record":
            raise ConfigurationError(f"Avro type {kind!r} is not supported in feeds", field=path)
        if not schema["fields"]:
            raise ConfigurationError(f"record {full} has no field", field=path)
        self.reading.append(full)
        children = tuple(
            self.node(
                entry["type"],
                name=entry["name"],
                path=f"{path}.{entry['name']}" if path else entry["name"],
                namespace=space,
                depth=depth + 1,
                default=entry.get("default", MISSING),
            )
            for entry in schema["fields"]
        )
        self.reading.pop()
        if len({child.name for child in children}) != len(children):
            raise ConfigurationError(f"record {full} names a field twice", field=path)
        return Node(op=STRUCT, children=children, **place)

    def _named(self, name: str, namespace: str, path: str) -> tuple[Mapping[str, Any], str]:
        for full in (f"{namespace}.{name}" if namespace else name, name):
            if full in self.named:
                return self.named[full]
        raise ConfigurationError(f"Avro type {name!r} is not known", field=path)


_KINDS = frozenset({*_PLAIN, "record", "enum", "fixed", "array", "map", "null", "error"})


def _primitive(schema: Mapping[str, Any], place: dict[str, Any]) -> Node:
    kind, logical = str(schema["type"]), schema.get("logicalType")
    if logical in _UNSUPPORTED_LOGICAL:
        raise ConfigurationError(f"logical type {logical} is not supported in feeds", field=place["path"])
    if kind == "bytes" and logical == "decimal":
        precision, scale = _decimal_of(schema, place["path"])
        return Node(op=DECIMAL, precision=precision, scale=scale, **place)
    # Avro asks readers to ignore a logical type they do not know or that does not fit.
    return Node(op=_LOGICAL.get((kind, str(logical)), _PLAIN[kind]), **place)


def _fixed(schema: Mapping[str, Any], place: dict[str, Any]) -> Node:
    size, logical = int(schema["size"]), schema.get("logicalType")
    if logical in _UNSUPPORTED_LOGICAL or size < 1:
        raise ConfigurationError(f"fixed of size {size} {logical or ''} is not supported in feeds", field=place["path"])
    if logical != "decimal":
        return Node(op=FIXED, size=size, **place)
    precision, scale = _decimal_of(schema, place["path"])
    if 10**precision > 1 << (8 * size - 1):
        raise ConfigurationError(f"{size} bytes cannot hold {precision} digits", field=place["path"])
    return Node(op=DECIMAL_FIXED, precision=precision, scale=scale, size=size, **place)


def _decimal_of(schema: Mapping[str, Any], path: str) -> tuple[int, int]:
    precision, scale = int(schema["precision"]), int(schema.get("scale", 0))
    if not 1 <= precision <= MAX_PRECISION or not 0 <= scale <= precision:
        raise ConfigurationError(
            f"decimal({precision}, {scale}): use a precision of 1 to {MAX_PRECISION} and a scale within it", field=path
        )
    return precision, scale


@dataclass(frozen=True, slots=True)
class Compiled:
    """A schema's program: `ops` has a row a node; `nodes[pc]` is that row's node, None for the two END rows.

    Enum symbols are byte strings laid end to end: symbol i is `texts[ends[i]:ends[i + 1]]`. So are the names as JSON
    closes them (`price"`), one a row, in `names` and `bounds`; optional[pc]: a missing field is null.
    """

    ops: Program
    nodes: tuple[Node | None, ...]
    frames: int
    texts: NDArray[np.uint8]
    ends: NDArray[np.int64]
    names: NDArray[np.uint8]
    bounds: NDArray[np.int64]
    optional: NDArray[np.bool_]


def compile_schema(root: Node) -> Compiled:
    """The program of a schema's tree."""
    rows: list[list[int]] = []
    nodes: list[Node | None] = []
    texts: list[bytes] = []
    frames = 1

    def add(node: Node, parent: int, child: int, frame: int) -> None:
        nonlocal frames
        pc = len(rows)
        row = [node.op, node.null, 0, parent, child, frame, 0, 0, node.size, _WIDTHS.get(node.op, 0)]
        rows.append(row)
        nodes.append(node)
        if node.op == ARRAY:
            row[A], row[B] = frames, least_bytes(node.children[0])
            frames += 1
            add(node.children[0], pc, 0, row[A])
            rows.append([ARRAY_END, NOT_NULL, len(rows) + 1, pc, 0, row[A], 0, 0, 0, 0])
            nodes.append(None)
        for position, inner in enumerate(node.children if node.op == STRUCT else ()):
            add(inner, pc, position, frame)
        if node.op in (DECIMAL, DECIMAL_FIXED):
            row[A], row[B] = node.precision, node.scale
        elif node.op == FIXED:
            row[WIDTH] = node.size
        elif node.op == ENUM:
            row[A], row[B] = len(texts), len(node.symbols)
            texts.extend(symbol.encode() for symbol in node.symbols)
        row[END] = len(rows)

    for position, child in enumerate(root.children):
        add(child, -1, position, 0)
    rows.append([RECORD_END, NOT_NULL, len(rows) + 1, -1, 0, 0, 0, 0, 0, 0])
    nodes.append(None)
    ends, joined = lay_out(texts)
    bounds, names = lay_out([f'{node.name}"'.encode() if node else b"" for node in nodes])
    optional = np.array([node is not None and node.nullable and node.default in (MISSING, None) for node in nodes])
    return Compiled(np.array(rows, dtype=np.int64), tuple(nodes), frames, joined, ends, names, bounds, optional)


def first_guesses(ops: Program) -> NDArray[np.int64]:
    """For each field the one that follows it in its record (row pc), and for each record its first (row n + 1 + pc)."""
    rows = len(ops)
    follows = np.zeros(2 * rows + 1, dtype=np.int64)
    follows[rows:] = np.arange(rows + 1)
    for pc in range(rows):
        parent, after = int(ops[pc, PARENT]), int(ops[pc, END])
        stop = rows - 1 if parent < 0 else int(ops[parent, END])
        follows[pc] = after if after < stop else parent + 1
    return follows


def lay_out(texts: Sequence[bytes]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Byte strings end to end: their n + 1 bounds and their bytes."""
    ends = np.zeros(len(texts) + 1, dtype=np.int64)
    np.cumsum([len(text) for text in texts], out=ends[1:])
    return ends, np.frombuffer(bytearray(b"".join(texts)), dtype=np.uint8)


def least_bytes(node: Node) -> int:
    """The fewest bytes that a value of this node takes in Avro; never 0, so counts are bounded by bytes."""
    if node.nullable:
        return 1
    if node.op == STRUCT:
        return sum(least_bytes(child) for child in node.children)
    if node.op in (FIXED, DECIMAL_FIXED):
        return node.size
    return _LEAST_BYTES.get(node.op, 1)
