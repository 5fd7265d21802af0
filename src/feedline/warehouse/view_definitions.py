"""Whether a view in the warehouse is the one that is declared: each carries a digest of its own statement.

The digest stands in the view's query, since an account gives a query back in words of its own, and the stand-in keeps
no comments of views.
"""

# Names in these statements are constants.
# ruff: noqa: S608

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

from feedline.warehouse.connection import Session
from feedline.warehouse.names import DATABASE, literal

# By full name what the warehouse says that the view's query is.
Definitions = Mapping[str, str]

_BEGINS = " AS\n"
_DIGEST = re.compile(r"SELECT '([0-9a-f]{16})' AS DIGEST")


def marked(statement: str) -> str:
    """A CREATE VIEW whose query, which begins on a line of its own, carries the digest of all of it."""
    head, _, query = statement.partition(_BEGINS)
    digest = hashlib.sha256(statement.encode()).hexdigest()[:16]
    mark = f"WITH DEFINITION AS (SELECT '{digest}' AS DIGEST)"
    rest = f",\n{query.removeprefix('WITH ')}" if query.startswith("WITH ") else f"\n{query}"
    return f"{head}{_BEGINS}{mark}{rest}"


def is_outdated(statement: str, definition: str | None) -> bool:
    """Whether a view there is was made by another statement than this marked one; None: the view is not there, or the
    warehouse does not show what it is."""
    found = _DIGEST.search(statement)
    assert found is not None, "the statement is not marked"
    return definition is not None and f"'{found[1]}'" not in definition


def existing_definitions(session: Session, schemas: Iterable[str]) -> dict[str, str]:
    """The queries of the views of these schemas, by the views' full names; those not shown to this role are left out.

    Raises TerminalError when the database is not there.
    """
    rows = session.execute(
        f"SELECT TABLE_SCHEMA, TABLE_NAME, VIEW_DEFINITION FROM {DATABASE}.INFORMATION_SCHEMA.VIEWS "
        f"WHERE TABLE_SCHEMA IN ({', '.join(map(literal, schemas))})",
        doing="cannot read which views there are",
    )
    return {f"{DATABASE}.{schema}.{view}": query for schema, view, query in rows if query}
