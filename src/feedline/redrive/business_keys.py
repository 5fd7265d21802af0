"""Whether a corrected record would be the second one of its delivery with the same business key.

Such a record would be loaded, and fail its delivery's validation with no way back: it is refused before it is sent.
Looked at are keys of text, which all of the shipped feeds have; others are left to the validation.
"""

# Names in these statements are checked by `quoted`, values written by `literal`.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from snowflake.connector import SnowflakeConnection

from feedline.catalog import Feed
from feedline.warehouse.connection import Session
from feedline.warehouse.layout import feed_layout
from feedline.warehouse.names import data_table, literal, quoted

Key = tuple[str, ...]
# Keys in one statement.
KEYS_A_QUERY = 500


def key_of(feed: Feed, record: bytes | Mapping[str, Any]) -> Key | None:
    """The values of a good record's business keys, or None when one of them is no text."""
    values = record if isinstance(record, Mapping) else orjson.loads(record)
    key = tuple(_at(values, path) for path in feed.business_keys)
    return key if all(isinstance(part, str) for part in key) else None


def keys_in_table(connection: SnowflakeConnection, feed: Feed, delivery_id: str, keys: list[Key]) -> set[Key]:
    """Those of the keys that a row of the delivery has; raises WarehouseUnavailableError."""
    layout = feed_layout(feed)
    columns = [quoted(layout.column_of(path).name) for path in feed.business_keys]
    session = Session(connection, feed=feed.name, delivery_id=delivery_id)
    found: set[Key] = set()
    for start in range(0, len(keys), KEYS_A_QUERY):
        first = ", ".join(sorted({literal(key[0]) for key in keys[start : start + KEYS_A_QUERY]}))
        rows = session.execute(
            f"SELECT DISTINCT {', '.join(columns)} FROM {data_table(feed.table)} "
            f'WHERE "_DELIVERY_ID" = {literal(delivery_id)} AND {columns[0]} IN ({first})',
            doing=f"cannot read the keys of {feed.table}",
        )
        found |= {tuple(row) for row in rows}
    return found & set(keys)


def _at(values: Any, path: str) -> Any:
    for name in path.split("."):
        values = values.get(name) if isinstance(values, Mapping) else None
    return values
