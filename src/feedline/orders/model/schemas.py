"""The Avro schemas of orders, as they are registered."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import fastavro

from feedline.catalog import default_catalog_path
from feedline.errors import ConfigurationError

ORDER_EVENT, EXECUTION_REPORT = "OrderEvent", "ExecutionReport"
_LOGICAL = frozenset({"logicalType", "precision", "scale"})


@cache
def order_schema(name: str) -> dict[str, Any]:
    """The schema file of that name as JSON; raises ConfigurationError when it cannot be read."""
    file = default_catalog_path().parent / "schemas" / "orders" / f"{name}.avsc"
    try:
        schema: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the schema cannot be read: {error}", file=str(file)) from error
    return schema


@cache
def parsed_schema(name: str) -> Any:
    """The same, parsed by fastavro once."""
    return fastavro.parse_schema(order_schema(name))


@cache
def plain_schema(name: str) -> Any:
    """The same without logical types: what is written with it is the same bytes, given as `plain` makes them, and
    fastavro's own conversions cost more than the rest of an event."""
    return fastavro.parse_schema(_plain(order_schema(name)))


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items() if key not in _LOGICAL}
    return [_plain(one) for one in node] if isinstance(node, list) else node
