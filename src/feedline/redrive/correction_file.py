"""The file that an analyst corrects: JSON Lines, an error a line, exported here and read again here.

An exported line tells what is wrong, keeps the original bytes (`original`, or `originalBase64` where they are not
UTF-8 text), and has the record as `record` to be corrected in place; `record` is null where the original is no JSON
object. A refused micro-batch has `records`, to be filled with as many records as it had. Everything but
`correlationId` and `record` or `records` is for the reader only.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from feedline.errors import ConfigurationError, SchemaMismatchError
from feedline.redrive.stored_error import StoredError


@dataclass(frozen=True, slots=True)
class Correction:
    """What a line of the file says is right; decimals are Decimal, never float."""

    line: int
    error_id: str
    records: tuple[Mapping[str, Any], ...]


def export_line(error: StoredError) -> str:
    """An error as a line of the file, without its newline."""
    told: dict[str, Any] = {
        "correlationId": error.error_id,
        "feed": error.feed,
        "businessDate": None if error.delivery is None else error.delivery.business_date.isoformat(),
        "deliveryId": error.delivery_id,
        "sourceFile": error.source_file,
        "line": error.line,
        "field": error.field_path,
        "errorCode": error.error_code,
        "reason": error.reason,
    }
    if not error.is_line:
        told |= {"recordCount": error.records, **_original(error.value), "records": None}
        return json.dumps(told, ensure_ascii=False)
    head = json.dumps(told | _original(error.value), ensure_ascii=False)
    # The record's own text, not what a parser makes of it: 1.10 stays 1.10.
    return f'{head[:-1]}, "record": {_object_text(error.value) or "null"}}}'


def read_corrections(path: Path) -> Iterator[Correction]:
    """The corrections of a file in order, one line in memory at a time; blank lines are passed over.

    Raises SchemaMismatchError with file and line for a line that is no correction, ConfigurationError when the file
    cannot be read.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _correction(line, path, number)
    except OSError as error:
        raise ConfigurationError(f"the file of corrections cannot be read: {error}", file=str(path)) from error


def _correction(line: bytes, path: Path, number: int) -> Correction:
    where: dict[str, Any] = {"file": str(path), "line": number}
    try:
        document = _parse(line.decode())
    except (ValueError, InvalidOperation, RecursionError) as error:
        raise SchemaMismatchError(f"not a correction: {error}", **where) from None
    if not isinstance(document, dict) or not isinstance(document.get("correlationId"), str):
        raise SchemaMismatchError("not a correction: it has no correlationId; export the errors and edit that", **where)
    where["correlation_id"] = document["correlationId"]
    records = document.get("records") if document.get("record") is None else [document["record"]]
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise SchemaMismatchError(
            "it has no record: put the corrected record into `record` (or, of a micro-batch, all of them into "
            "`records`), or take the line out",
            **where,
        )
    return Correction(number, document["correlationId"], tuple(records))


def _original(value: bytes) -> dict[str, str]:
    try:
        return {"original": value.decode()}
    except UnicodeDecodeError:
        return {"originalBase64": base64.b64encode(value).decode()}


def _object_text(value: bytes) -> str | None:
    """The text of a JSON object, or None when it is none."""
    try:
        text = value.decode().strip()
        return text if isinstance(_parse(text), dict) else None
    except (ValueError, InvalidOperation, RecursionError):
        return None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is given twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_parse = json.JSONDecoder(object_pairs_hook=_once, parse_float=Decimal, parse_constant=_no_constant).decode
