"""One record at a time: from JSON text or Python values to exact values, or the field that does not fit.

The rules, which the columnar reader keeps too (it hands whatever it is not sure of to this module):

- a record is one JSON object (RFC 8259) in UTF-8, without byte-order mark; a name given twice is refused
- a field the schema does not know is refused; a missing one takes its Avro default, or null where null is allowed
- int, long: an integer in range, without fraction or exponent; not text
- float, double: any finite number in range; not text, not NaN or Infinity
- decimal: a number, or text that is one by JSON's grammar, whose value has no more than the schema's digits before
  and after the point (zeros at its ends do not count); never a Python float
- boolean: true or false; string: text without lone surrogates; enum: one of the symbols
- bytes, fixed: text of the code points 0 to 255, one a byte, as in Avro's own JSON encoding, or Python bytes
- date: `YYYY-MM-DD`, or a Python date
- timestamp: `YYYY-MM-DDThh:mm:ss[.ffffff]` and `Z` or `+hh:mm`, or a Python datetime with a zone; no finer than the
  schema's unit, and within the years 1 to 9999 in UTC
"""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

import fastavro
import orjson

from feedline.batch.avro_program import (
    ARRAY,
    BYTES,
    DATE,
    DECIMAL,
    DECIMAL_FIXED,
    FIXED,
    MISSING,
    STRUCT,
    TIMESTAMP_MICROS,
    TIMESTAMP_MILLIS,
    Node,
)
from feedline.batch.codec import RecordCodec, avro_long, codec_for
from feedline.batch.json_encode import transcode_lines
from feedline.batch.json_kernel import GOOD
from feedline.batch.value_checks import LEAF_CHECKS, Check, Constant, Misfit, found_in, shortened
from feedline.catalog.feeds import AvroSchema
from feedline.errors import SchemaMismatchError

BOM = b"\xef\xbb\xbf"


class _Twice(dict[str, Any]):
    """An object that gave a name twice."""

    name = ""


def check_record(record: bytes | str | Mapping[str, Any], codec: RecordCodec | AvroSchema) -> dict[str, Any]:
    """The record's values by field, exact and complete (Decimal, date, datetime in UTC, ...), as fastavro writes them.

    Raises SchemaMismatchError with the reason and the path of the first field that does not fit
    (`charges[2].amount`).
    """
    codec = codec if isinstance(codec, RecordCodec) else codec_for(codec)
    values = record if isinstance(record, Mapping) else _parse(record)
    try:
        checked: dict[str, Any] = _checker(codec)(values)
    except Misfit as misfit:
        raise SchemaMismatchError(misfit.reason, field=misfit.path or None) from None
    return checked


def encode_record(values: Mapping[str, Any], codec: RecordCodec) -> bytes:
    """One checked record as Avro, without count or prefix: an item for `join_records`.

    Through JSON and the compiled kernel, which is several times faster than fastavro; fastavro takes what the kernel
    leaves. Both are exact: decimals go as text, doubles in the shortest digits that give them back.
    """
    try:
        text = orjson.dumps(values, default=_as_json)
    except TypeError:
        return _reference(values, codec)
    body, lines = transcode_lines(text, codec, len(text))
    return body if len(lines) == 1 and lines[0, GOOD] == 1 else _reference(values, codec)


def _as_json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return value.decode("latin-1")
    raise TypeError


def _reference(values: Mapping[str, Any], codec: RecordCodec) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, _parsed(codec), dict(values))
    return out.getvalue()


def join_records(bodies: list[bytes], prefix: bytes = b"") -> bytes:
    """`prefix` and the body of the batch schema that holds these encoded records."""
    if not bodies:
        return prefix + b"\0"
    return b"".join((prefix, avro_long(len(bodies)), *bodies, b"\0"))


@lru_cache(maxsize=256)
def _parsed(codec: RecordCodec) -> Any:
    return fastavro.parse_schema(dict(codec.schema))


@lru_cache(maxsize=256)
def _checker(codec: RecordCodec) -> Check:
    return _check_of(codec.root)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = _Twice(found)
        names = [name for name, _ in pairs]
        twice.name = next(name for name in names if names.count(name) > 1)
        return twice
    return found


_decode_json = json.JSONDecoder(object_pairs_hook=_pairs, parse_float=Decimal, parse_constant=Constant).decode


def _parse(record: bytes | str) -> Any:
    try:
        return _decode_json(_text(record) if isinstance(record, bytes) else record)
    except json.JSONDecodeError as error:
        raise SchemaMismatchError(f"not JSON: {error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise SchemaMismatchError("not a record: it is nested too deep") from None
    except (ValueError, InvalidOperation):
        raise SchemaMismatchError("a number has too many digits or too large an exponent") from None


def _text(line: bytes) -> str:
    if line.startswith(BOM):
        raise SchemaMismatchError("starts with a byte-order mark: write the file as UTF-8 without one")
    if line.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in line:
        raise SchemaMismatchError("has NUL bytes or a UTF-16 mark: write the file as UTF-8")
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise SchemaMismatchError(
            f"not UTF-8: byte {error.start + 1} of the line is {line[error.start]:#04x}"
        ) from None


def _check_of(node: Node) -> Check:
    check = _record(node) if node.op == STRUCT else _array(node) if node.op == ARRAY else LEAF_CHECKS[node.op](node)
    if not node.nullable:
        return check

    def nullable(value: Any) -> Any:
        return None if value is None else check(value)

    return nullable


def _record(node: Node) -> Check:
    entries = tuple((child.name, _check_of(child), _default_of(child), child.nullable) for child in node.children)
    known = frozenset(child.name for child in node.children)

    def check(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise Misfit(f"needs an object, found {found_in(value)}")
        if type(value) is _Twice:
            raise Misfit("is given twice").within(value.name)
        checked = {}
        taken = 0
        name = ""
        try:
            for name, entry, default, _ in entries:
                if name in value:
                    checked[name] = entry(value[name])
                    taken += 1
                else:
                    checked[name] = _default(default)
        except Misfit as misfit:
            raise misfit.within(name) from None
        if taken != len(value):
            unknown = next(str(name) for name in value if name not in known)
            raise Misfit("is not in the schema").within(shortened(unknown).strip("'\""))
        return checked

    return check


def _default(default: Any) -> Any:
    if default is MISSING:
        raise Misfit("is missing and has no default")
    return copy.deepcopy(default) if isinstance(default, (list, dict)) else default


def _array(node: Node) -> Check:
    item = _check_of(node.children[0])

    def check(value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            raise Misfit(f"needs an array, found {found_in(value)}")
        checked = []
        try:
            for element in value:
                checked.append(item(element))  # noqa: PERF401  the length so far is the index of what fails
        except Misfit as misfit:
            raise misfit.within(f"[{len(checked)}]") from None
        return checked

    return check


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _default_of(node: Node) -> Any:
    """What a missing field becomes; MISSING when it may not be missing."""
    if node.default is MISSING:
        return None if node.nullable else MISSING
    return _from_default(node, node.default)


def _from_default(node: Node, default: Any) -> Any:  # noqa: PLR0911
    """An Avro default, which is JSON of its own kind (bytes as text, moments as numbers), as a Python value."""
    if default is None:
        return None
    if node.op == STRUCT:
        return {
            child.name: _from_default(child, default[child.name]) if child.name in default else _default_of(child)
            for child in node.children
        }
    if node.op == ARRAY:
        return [_from_default(node.children[0], item) for item in default]
    if node.op in (DECIMAL, DECIMAL_FIXED):
        unscaled = int.from_bytes(default.encode("latin-1"), signed=True)
        return Decimal(unscaled).scaleb(-node.scale, Context(prec=node.precision))
    if node.op in (BYTES, FIXED):
        return default.encode("latin-1")
    if node.op == DATE:
        return (_EPOCH + timedelta(days=default)).date()
    if node.op == TIMESTAMP_MILLIS:
        return _EPOCH + timedelta(milliseconds=default)
    if node.op == TIMESTAMP_MICROS:
        return _EPOCH + timedelta(microseconds=default)
    return default
