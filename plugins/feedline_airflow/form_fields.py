"""Fields that forms have in common."""

from __future__ import annotations

from airflow.sdk import Param


def optional_text(title: str, description: str, **schema: str) -> Param:
    """A field of text that may be left empty; `schema` are further JSON Schema keywords, as `format`."""
    return Param(default=None, type=["null", "string"], title=title, description=description, **schema)
