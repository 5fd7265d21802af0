"""One error as it is shown: its place, its reason, and its bytes with the culprit marked."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from feedline.redrive.states import ErrorState
from feedline.redrive.stored_error import StoredError
from feedline.security.visible import visible
from feedline.warehouse.error_books import Dismissal, RedriveRequest

# Bytes of a value that are shown; `errors export` has all of them.
SHOWN_BYTES = 4_000
CULPRIT = "bold white on red"

_CHARACTER = re.compile(r"at character (\d+)")
_BYTE = re.compile(r"byte (\d+) of the line")


def error_document(error: StoredError, state: ErrorState) -> dict[str, Any]:
    """As JSON; the bytes as text, or in base64 where they are none."""
    try:
        value = {"value": error.value.decode()}
    except UnicodeDecodeError:
        value = {"valueBase64": base64.b64encode(error.value).decode()}
    return {
        "id": error.error_id,
        "feed": error.feed,
        "state": state.value,
        "businessDate": error.delivery.business_date if error.delivery else None,
        "deliveryId": error.delivery_id,
        "sourceFile": error.source_file,
        "line": error.line,
        "field": error.field_path,
        "errorCode": error.error_code,
        "reason": error.reason,
        "records": error.records,
        "origin": error.origin,
        "headers": [
            [name, None if raw is None else raw.decode(errors="backslashreplace")] for name, raw in error.headers
        ],
        **value,
    }


def print_error(
    error: StoredError, state: ErrorState, dismissal: Dismissal | None, redrives: Sequence[RedriveRequest]
) -> None:
    """Headers, reason, and the bytes as text."""
    console = Console(highlight=False, soft_wrap=True)
    for name, raw in error.headers:
        console.print(Text(f"{name:18} {'-' if raw is None else visible(raw.decode(errors='backslashreplace'))}"))
    console.print(Text(f"{'error topic':18} {error.at.topic} partition {error.at.partition} offset {error.at.offset}"))
    console.print(Text(f"{'state':18} {state.value}"))
    if dismissal is not None:
        console.print(Text(f"{'dismissed':18} {dismissal.at:%Y-%m-%d %H:%M} by {dismissal.by}: {dismissal.reason}"))
    for request in redrives:
        told = f"{request.at:%Y-%m-%d %H:%M %Z} by {request.requested_by}, {request.how}"
        console.print(Text(f"{'sent again':18} {told}"))
    console.print()
    text, culprit = marked(error)
    start, end = culprit or (len(text), len(text))
    # What was refused may hold anything: it is shown, and the terminal does not obey it.
    before, wrong, after = visible(text[:start]), visible(text[start:end]), visible(text[end:])
    console.print(Text.assemble(before, (wrong, CULPRIT), after))
    if culprit is not None:
        console.print(Text(f"culprit: {wrong}"))
    elif error.is_line and error.field_path:
        console.print(Text(f"culprit: {error.field_path}, which is not there"))
    if len(error.value) > SHOWN_BYTES:
        console.print(Text(f"... of {len(error.value)} bytes: `feedline errors export` writes all"))


def marked(error: StoredError) -> tuple[str, tuple[int, int] | None]:
    """The value as text, bytes that are not UTF-8 as `\\xNN`, and where in it the culprit begins and ends, if known.

    A window of the value when it is long: around the culprit, else its beginning.
    """
    text = error.value.decode(errors="backslashreplace")
    culprit = _culprit(error, text)
    middle = 0 if culprit is None else culprit[0]
    start = max(0, min(middle - SHOWN_BYTES // 2, len(text) - SHOWN_BYTES))
    window = text[start : start + SHOWN_BYTES]
    return window, None if culprit is None else (culprit[0] - start, min(culprit[1] - start, len(window)))


def _culprit(error: StoredError, text: str) -> tuple[int, int] | None:
    if not error.is_line:
        return None
    if found := _BYTE.search(error.reason):
        before = error.value[: int(found[1]) - 1].decode(errors="backslashreplace")
        return len(before), len(before) + len(r"\xNN")
    if found := _CHARACTER.search(error.reason):
        at = min(int(found[1]) - 1, max(len(text) - 1, 0))
        return (at, at + 1) if text else None
    return _value_of(text, error.field_path)


def _value_of(text: str, path: str | None) -> tuple[int, int] | None:
    """Name and value of the field at a path, as far as the names on it stand in the text in that order."""
    at, found = 0, None
    for name in re.findall(r"[^.\[\]]+", path or ""):
        if not name.isdecimal():
            found = re.compile(rf'"{re.escape(name)}"\s*:\s*("(?:[^"\\]|\\.)*"|[^,}}\]]*)').search(text, at)
            if found is None:
                return None
            at = found.start(1)
    return None if found is None else found.span()
