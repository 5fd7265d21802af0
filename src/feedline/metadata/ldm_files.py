"""Logical models as YAML files, one attribute a line, so that a review sees what changed."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from feedline.catalog import Catalog, Feed, default_catalog_path
from feedline.catalog_files import load_yaml
from feedline.errors import ConfigurationError
from feedline.metadata.ldm import Attribute, Classification, Entity, LogicalModel, Relation, ldm_of_schema, merged
from feedline.metadata.whole_files import replace_text

FOLDER = "ldm"


def ldm_path(feed: str, catalog_file: Path | None = None) -> Path:
    """Where a feed's model lies: `ldm/<feed>.yaml` beside the catalogue."""
    return (catalog_file or default_catalog_path()).parent / FOLDER / f"{feed}.yaml"


def read_ldm(path: Path) -> LogicalModel:
    """Raises ConfigurationError naming the file for one that is missing or wrong."""
    try:
        document = load_yaml(path.read_text(encoding="utf-8"))
        return model_of(document)
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(f"the logical model cannot be read: {error}", file=str(path)) from error
    except ConfigurationError as error:
        raise ConfigurationError(error.reason, file=str(path)) from error


def feed_model(feed: Feed, catalog_file: Path | None = None, avro: Mapping[str, Any] | None = None) -> LogicalModel:
    """The model of a feed as it is now: the reviewed words, where there is a file, on the schema's structure.

    avro: another schema than the catalogue's. Raises ConfigurationError.
    """
    derived = ldm_of_schema(avro or feed.schema, feed)
    path = ldm_path(feed.name, catalog_file)
    return merged(read_ldm(path), derived) if path.exists() else derived


def stale(catalog: Catalog, catalog_file: Path | None = None) -> list[str]:
    """Feeds whose file is missing or says other things of the structure than the schema does."""
    wrong = []
    for feed in catalog.feeds.values():
        path = ldm_path(feed.name, catalog_file)
        if not path.exists() or read_ldm(path) != feed_model(feed, catalog_file):
            wrong.append(feed.name)
    return wrong


def write_ldm(path: Path, model: LogicalModel) -> None:
    """Writes the file whole or not at all; the same model gives the same bytes."""
    replace_text(path, yaml_of(model))


def document_of(model: LogicalModel) -> dict[str, Any]:
    """The model as plain values, what is empty left out; `model_of` reads it back."""
    head = {"feed": model.feed, "title": model.title, "owner": model.owner, "description": model.description}
    return {
        **{name: value for name, value in head.items() if value},
        "entities": [_entity_document(one) for one in model.entities],
        "relations": [_relation_document(one) for one in model.relations],
    }


def model_of(document: Any) -> LogicalModel:
    """Raises ConfigurationError for a document that is no model."""
    try:
        return LogicalModel(
            feed=str(document["feed"]),
            title=str(document["title"]),
            owner=str(document["owner"]),
            description=str(document.get("description", "")),
            entities=tuple(_entity_of(one) for one in document["entities"]),
            relations=tuple(
                Relation(**{**one, "by": tuple(one.get("by", ()))}) for one in document.get("relations", ())
            ),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"the logical model has a wrong or missing entry: {error}") from error


def yaml_of(model: LogicalModel) -> str:
    """The file's text."""
    document = document_of(model)
    out = io.StringIO()
    entities = document.pop("entities")
    relations = document.pop("relations")
    out.write(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110))
    out.write("\nentities:\n")
    for entity in entities:
        attributes = entity.pop("attributes")
        head = yaml.safe_dump(entity, sort_keys=False, allow_unicode=True, width=110).splitlines()
        out.write("".join(f"{'  - ' if n == 0 else '    '}{line}\n" for n, line in enumerate(head)))
        out.write("    attributes:\n")
        out.writelines(f"      - {_flow(one)}\n" for one in attributes)
    out.write("\nrelations:\n" if relations else "\nrelations: []\n")
    out.writelines(f"  - {_flow(one)}\n" for one in relations)
    return out.getvalue()


def _flow(values: Mapping[str, Any]) -> str:
    text = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, default_flow_style=True, width=10**6)
    return text.strip()


def _entity_document(entity: Entity) -> dict[str, Any]:
    head = {
        "name": entity.name,
        "title": entity.title,
        "table": entity.table,
        "path": entity.path,
        "description": entity.description,
    }
    return {
        **{name: value for name, value in head.items() if value},
        "attributes": [_attribute_document(one) for one in entity.attributes],
    }


def _attribute_document(one: Attribute) -> dict[str, Any]:
    head: dict[str, Any] = {
        "path": one.path,
        "name": one.name,
        "type": one.type,
        "column": one.column,
        "sql_type": one.sql_type,
        "key": one.key,
        "optional": one.optional,
        "former": list(one.former),
        "classification": one.classification.value,
        "description": one.description,
    }
    return {name: value for name, value in head.items() if value}


def _relation_document(one: Relation) -> dict[str, Any]:
    head: dict[str, Any] = {
        "parent": one.parent,
        "child": one.child,
        "by": list(one.by),
        "cardinality": one.cardinality,
        "description": one.description,
    }
    return {name: value for name, value in head.items() if value}


def _entity_of(document: Mapping[str, Any]) -> Entity:
    attributes = tuple(
        Attribute(
            **{
                **one,
                "former": tuple(one.get("former", ())),
                "classification": Classification.of(one.get("classification", "internal")),
            }
        )
        for one in document["attributes"]
    )
    return Entity(**{**document, "attributes": attributes})
