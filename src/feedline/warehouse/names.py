"""Where things lie in the warehouse, and how their names and values are written in SQL."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime

from feedline.errors import ConfigurationError

DATABASE = "FEEDLINE"
DATA_SCHEMA = f"{DATABASE}.IHUB"
CONTROL_SCHEMA = f"{DATABASE}.CONTROL"

LOAD_LEDGER = f"{CONTROL_SCHEMA}.LOAD_LEDGER"
CONSUMER_CHECKPOINT = f"{CONTROL_SCHEMA}.CONSUMER_CHECKPOINT"
DELIVERY = f"{CONTROL_SCHEMA}.DELIVERY"
ERROR_RESOLUTION = f"{CONTROL_SCHEMA}.ERROR_RESOLUTION"
FEED_STAGE = f"{CONTROL_SCHEMA}.FEED_STAGE"
SLA_ALERT = f"{CONTROL_SCHEMA}.SLA_ALERT"
SLA_FENCE = f"{CONTROL_SCHEMA}.SLA_FENCE"
LOAD_STAGE = f"{CONTROL_SCHEMA}.LOAD_STAGE"

# Joins a parent's column to its child's, and a table to its child table's.
NESTING = "__"

_WORD_BREAK = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_LEGAL = re.compile(r"[A-Z][A-Z0-9_]{0,254}\Z")


def column_name(path: Iterable[str]) -> str:
    """`("price", "asOfDate")` -> `PRICE__AS_OF_DATE`."""
    return NESTING.join(_WORD_BREAK.sub("_", part).upper() for part in path)


def quoted(name: str) -> str:
    """An upper-case identifier in quotes: a reserved word needs them, to any other name they make no difference."""
    if not _LEGAL.match(name.lstrip("_") or "0"):
        raise ConfigurationError(f"{name!r} cannot be a column or table name: use letters, digits and _")
    return f'"{name}"'


def data_table(name: str, schema: str = DATA_SCHEMA) -> str:
    return f"{schema}.{quoted(name)}"


def current_view(table: str) -> str:
    return f"{table}_CURRENT"


def fence_table(table: str) -> str:
    """The one-row table whose lock lets one load of a feed at a time write.

    It is a table of its own because Snowflake's UPDATE locks the whole table: with one fence table for all feeds, the
    loads of different feeds would wait for each other.
    """
    return f"{CONTROL_SCHEMA}.{quoted(f'LOAD_FENCE_{table}')}"


def literal(value: str | int | date | datetime | None) -> str:
    """A value as a SQL literal; a datetime must have a zone."""
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        assert value.tzinfo is not None, "an instant needs a zone"
        return f"CAST('{value.isoformat()}' AS TIMESTAMP_TZ)"
    if isinstance(value, date):
        return f"CAST('{value.isoformat()}' AS DATE)"
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def comment(text: str) -> str:
    """A literal for a COMMENT, with a typographic apostrophe: fakesnow does not escape a plain one there."""
    return literal(text.replace("'", "\u2019"))
