"""Fields that forms have in common."""

from __future__ import annotations

from airflow.sdk import Param

from feedline_airflow.dag_parts import catalogue_feeds


def optional_text(title: str, description: str, **schema: str) -> Param:
    """A field of text that may be left empty; `schema` are further JSON Schema keywords, as `format`."""
    return Param(default=None, type=["null", "string"], title=title, description=description, **schema)


def percent(default: int, title: str, description: str) -> Param:
    """A whole number from 0 to 100."""
    return Param(default=default, type="integer", minimum=0, maximum=100, title=title, description=description)


def chosen_feeds(description: str) -> Param:
    """A choice of feeds, of which all are chosen at first."""
    feeds = list(catalogue_feeds())
    return Param(
        default=feeds,
        type="array",
        items={"type": "string", "enum": feeds},
        examples=feeds,
        minItems=1,
        uniqueItems=True,
        title="Feeds",
        description=description,
    )
