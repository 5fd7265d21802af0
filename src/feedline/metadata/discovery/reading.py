"""One JSON document, read exactly: no float, no number lost, no name given twice, within bounds."""

from __future__ import annotations

import json
from typing import Any

from feedline.metadata.discovery.policy import DiscoveryPolicy
from feedline.metadata.discovery.values import NumberText

# Up to here Python's integers are read in time that is linear for practical purposes; longer ones stay text.
INT_DIGITS = 39
SMALL = 1 << 16


class NotReadableError(Exception):
    """A document that is not read, in words that fit a report; line: of its file, where that is not known otherwise. It
    never leaves this package."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason)
        self.line = line


class _TwiceError(Exception):
    """A name given twice in one object."""


def exact_decoder() -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=_pairs, parse_float=NumberText, parse_int=_integer, parse_constant=_constant
    )


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise _TwiceError(next(name for name in names if names.count(name) > 1)[:60])
    return found


def _integer(text: str) -> int | NumberText:
    return int(text) if len(text) <= INT_DIGITS else NumberText(text)


def _constant(text: str) -> Any:
    raise ValueError(f"not JSON: {text} is no number there")


def parse_document(text: str, decoder: json.JSONDecoder, policy: DiscoveryPolicy) -> Any:
    """The document's value. Raises NotReadableError."""
    check_size(text, policy)
    try:
        value = decoder.decode(text)
    except Exception as error:  # noqa: BLE001  told apart there
        raise explained(error, policy) from None
    check_value(text, value, policy)
    return value


def check_size(text: str, policy: DiscoveryPolicy) -> None:
    """Raises NotReadableError for a text that would take much memory to read."""
    if len(text) > policy.max_document_bytes:
        raise NotReadableError(f"it is over {policy.max_document_bytes:,} bytes: one sample is one record of a feed")
    if len(text) > SMALL and sum(map(text.count, ",[{")) > policy.max_values:
        raise NotReadableError(f"it has more than {policy.max_values:,} values: one sample is one record of a feed")


def check_value(text: str, value: Any, policy: DiscoveryPolicy) -> None:
    """Raises NotReadableError for a value that no UTF-8 can hold, or that is nested too deep."""
    if text.count("{") + text.count("[") > policy.max_depth and _deeper(value, policy.max_depth):
        raise _too_deep(policy)
    if "\\ud" not in text and "\\uD" not in text:
        return
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise NotReadableError("it has half of a surrogate pair, which UTF-8 cannot hold") from None


def _deeper(value: Any, most: int) -> bool:
    level: list[Any] = [value] if isinstance(value, dict | list) else []
    for _ in range(most + 1):
        level = [
            part
            for one in level
            for part in (one.values() if type(one) is dict else one)
            if type(part) is dict or type(part) is list
        ]
        if not level:
            return False
    return True


def _too_deep(policy: DiscoveryPolicy) -> NotReadableError:
    return NotReadableError(f"it is nested more than {policy.max_depth} levels deep")


def explained(error: Exception, policy: DiscoveryPolicy, passed: int = 0, line: int | None = None) -> Exception:
    """What the reader raised, as a NotReadableError; passed: characters that lie before those it saw."""
    if isinstance(error, RecursionError):
        reason = str(_too_deep(policy))
    elif isinstance(error, _TwiceError):
        reason = f"it gives the name {error.args[0]!r} twice in one object"
    elif isinstance(error, json.JSONDecodeError):
        reason = f"not JSON: {error.msg} at character {error.pos + passed + 1:,}"
    elif isinstance(error, ValueError):
        reason = str(error)[:200]
    else:
        return error
    return NotReadableError(reason, line)
