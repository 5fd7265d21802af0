"""Names that Avro and a table take, made of whatever keys the documents have."""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterable, Mapping

from feedline.warehouse.names import column_name

MAX_NAME = 60
# A column of the warehouse may have 255 characters; what is added to a name at most: table, path, ends like __PRESENT.
MAX_COLUMN_PREFIX = 120
_BREAKS = re.compile(r"[^A-Za-z0-9_]+")
_LEGAL = re.compile(r"_*[A-Za-z][A-Za-z0-9_]*")
_WORDS = re.compile(r"[A-Za-z0-9]+")
_PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})

# Reserved by Snowflake (and mostly by ANSI): as columns they need quotes in every query.
_RESERVED = """
ACCOUNT ALL ALTER AND ANY AS BETWEEN BY CASE CAST CHECK COLUMN CONNECT CONNECTION CONSTRAINT CREATE CROSS
CURRENT CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER DATABASE DELETE DISTINCT DROP ELSE EXISTS FALSE
FOLLOWING FOR FROM FULL GRANT GROUP GSCLUSTER HAVING ILIKE IN INCREMENT INNER INSERT INTERSECT INTO IS ISSUE
JOIN LATERAL LEFT LIKE LOCALTIME LOCALTIMESTAMP MINUS NATURAL NOT NULL OF ON OR ORDER ORGANIZATION QUALIFY
REGEXP REVOKE RIGHT RLIKE ROW ROWS SAMPLE SCHEMA SELECT SET SOME START TABLE TABLESAMPLE THEN TO TRIGGER TRUE
TRY_CAST UNION UNIQUE UPDATE USING VALUES VIEW WHEN WHENEVER WHERE WITH
"""
RESERVED = frozenset(_RESERVED.split())


def legal_name(key: str) -> str:
    """The key itself where it is a name; else what can be kept of it, the same for the same key."""
    if len(key) <= MAX_NAME and _LEGAL.fullmatch(key):
        return key
    plain = unicodedata.normalize("NFKD", key).encode("ascii", "ignore").decode()
    name = _BREAKS.sub("_", plain).strip("_")
    if not name:
        return f"field_{_mark(key)}"
    if not _LEGAL.fullmatch(name):
        name = f"f_{name}"
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 9]}_{_mark(key)}"


def _mark(key: str) -> str:
    return f"{zlib.crc32(key.encode('utf-8', 'surrogatepass')):08x}"


def names_of(keys: Iterable[str], parent: tuple[str, ...], taken: set[str]) -> Mapping[str, str]:
    """A name for each key of one object, so that no two fields of a table have the same column.

    parent: names of the fields the object lies in, within its table; taken: the table's columns so far, which grows.
    Keys that are names already come first, so that they keep them.
    """
    found: dict[str, str] = {}
    for key in sorted(keys, key=lambda one: (legal_name(one) != one, one)):
        name = base = legal_name(key)
        number = 1
        while any(column in taken for column in _columns((*parent, name))):
            number += 1
            name = f"{base}_{number}"
        taken.update(_columns((*parent, name)))
        found[key] = name
    return found


def _columns(path: tuple[str, ...]) -> tuple[str, ...]:
    """The columns that a field may come to need, whatever it turns out to be."""
    column = column_name(path)
    return column, f"{column}__COUNT", f"{column}__PRESENT"


def type_name(path: Iterable[str]) -> str:
    """`("Position", "account", "tax_data")` -> `PositionAccountTaxData`."""
    words = [word for part in path for word in _WORDS.findall(part)]
    name = "".join(word[:1].upper() + word[1:] for word in words)
    return name if _LEGAL.fullmatch(name) and name not in _PRIMITIVES else f"T{name}"
