"""Where every value comes from and goes to: field of the file, topic and subject, column of the table and its view."""

from __future__ import annotations

from dataclasses import dataclass

from feedline.batch.schemas import batch_subject
from feedline.catalog import Feed
from feedline.metadata.ldm import LogicalModel
from feedline.warehouse.names import DATA_SCHEMA, current_view


@dataclass(frozen=True, slots=True)
class Lineage:
    """One value's way. field: path in the feed's records; column and view: full names in the warehouse."""

    field: str
    topic: str
    subject: str
    table: str
    column: str
    view: str
    classification: str


def lineage_of(feed: Feed, model: LogicalModel) -> tuple[Lineage, ...]:
    """Of every attribute, in the model's order."""
    subject = batch_subject(feed)
    return tuple(
        Lineage(
            field=one.path,
            topic=feed.topic.name,
            subject=subject,
            table=f"{DATA_SCHEMA}.{entity.table}",
            column=one.column,
            view=f"{DATA_SCHEMA}.{current_view(entity.table)}",
            classification=one.classification.value,
        )
        for entity in model.entities
        for one in entity.attributes
    )
