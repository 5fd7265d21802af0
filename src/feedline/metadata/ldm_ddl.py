"""The warehouse's statements with the model's words: comments of tables and columns, tags of their classification."""

from __future__ import annotations

from dataclasses import replace

from feedline.catalog import Feed
from feedline.metadata.ldm import Classification, Entity, LogicalModel
from feedline.warehouse.ddl import feed_statements
from feedline.warehouse.layout import Column, FeedLayout, Source, TableLayout
from feedline.warehouse.names import CONTROL_SCHEMA, data_table, literal, quoted

CLASSIFICATION_TAG = f"{CONTROL_SCHEMA}.CLASSIFICATION"


def described(layout: FeedLayout, model: LogicalModel) -> FeedLayout:
    """The layout with the model's business names and descriptions as comments."""
    entities = {entity.table: entity for entity in model.entities}
    tables = [_described(table, entities.get(table.name)) for table in layout.tables()]
    return FeedLayout(tables[0], tuple(tables[1:]))


def _described(table: TableLayout, entity: Entity | None) -> TableLayout:
    if entity is None:
        return table
    words = {one.column: one for one in entity.attributes}

    def comment_of(column: Column) -> str:
        one = words.get(column.name)
        if one is None or column.source is not Source.VALUE:
            return column.doc
        return f"{one.name}: {one.description}" if one.description else one.name

    columns = tuple(replace(column, doc=comment_of(column)) for column in table.columns)
    return replace(table, doc=entity.description or table.doc, columns=columns)


def create_tag() -> str:
    known = ", ".join(literal(one.value) for one in Classification)
    return f"CREATE TAG IF NOT EXISTS {CLASSIFICATION_TAG} ALLOWED_VALUES {known}"


def tag_statements(model: LogicalModel, schema: str | None = None) -> tuple[str, ...]:
    """A table has the classification that most of its columns have, and hands it down; a column that differs has its
    own."""
    return tuple(statement for entity in model.entities for statement in _tags(entity, schema))


def _tags(entity: Entity, schema: str | None) -> tuple[str, ...]:
    table = data_table(entity.table, schema) if schema else data_table(entity.table)
    common = usual_classification(entity)
    whole = f"ALTER TABLE {table} SET TAG {CLASSIFICATION_TAG} = {literal(common.value)}"
    columns = tuple(
        f"ALTER TABLE {table} MODIFY COLUMN {quoted(one.column)} "
        f"SET TAG {CLASSIFICATION_TAG} = {literal(one.classification.value)}"
        for one in entity.attributes
        if one.classification is not common
    )
    return (whole, *columns)


def usual_classification(entity: Entity) -> Classification:
    """That of most of its attributes; the stricter one of two that are as frequent."""
    order = list(Classification)
    counts = {one: sum(1 for each in entity.attributes if each.classification is one) for one in order}
    return max(order, key=lambda one: (counts[one], order.index(one)))


def ddl_preview(feed: Feed, layout: FeedLayout, model: LogicalModel) -> tuple[str, ...]:
    """Everything that makes the feed's tables, views, comments and tags from nothing."""
    return (*feed_statements(feed, described(layout, model)), create_tag(), *tag_statements(model))
