"""Records as JSON lines. Decimals are never floats: they are written digit by digit, as numbers or as strings."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson

Dump = Callable[[Any], bytes]

# Timestamps in UTC end in Z; those of a market keep its offset.
_OPTIONS = orjson.OPT_UTC_Z


def _number(value: Any) -> orjson.Fragment:
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f"))
    raise TypeError(f"a record of test data holds a {type(value).__name__}")


def _text(value: Any) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    raise TypeError(f"a record of test data holds a {type(value).__name__}")


def dump_numbers(record: Any) -> bytes:
    """JSON with decimals as numbers."""
    return orjson.dumps(record, _number, _OPTIONS)


def dump_strings(record: Any) -> bytes:
    """JSON with decimals as strings."""
    return orjson.dumps(record, _text, _OPTIONS)
