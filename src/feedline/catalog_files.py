"""Where the catalogue lies and which feeds its files name, told without making feeds of them.

A Dag file has to know its feeds whenever it is read, so this loads nothing but YAML: no client library, no schema.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

CATALOG_VARIABLE = "FEEDLINE_CATALOG"
SETTINGS_VARIABLE = "FEEDLINE_SETTINGS"
LOCAL_SETTINGS = Path(".local/settings.json")
# Beside the catalogue's file: one file a feed that was added, named after it.
ADDED_FOLDER = "feeds"

# libyaml's loader where it was built in: the Dag processor reads the catalogue with every Dag file.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(text: str) -> Any:
    """The document of a YAML text. Raises yaml.YAMLError."""
    return yaml.load(text, _LOADER)  # noqa: S506  a safe loader


def default_catalog_path() -> Path:
    """`$FEEDLINE_CATALOG`, else the catalogue installed with the package, else the checkout's `include/feeds.yaml`."""
    named = os.environ.get(CATALOG_VARIABLE)
    if named:
        return Path(named)
    package = Path(__file__).resolve().parent
    installed = package / "include" / "feeds.yaml"
    return installed if installed.exists() else package.parents[1] / "include" / "feeds.yaml"


def settings_path() -> Path:
    """`$FEEDLINE_SETTINGS`, else the settings of the local stack."""
    return Path(os.environ.get(SETTINGS_VARIABLE) or LOCAL_SETTINGS)


def catalog_path_of_settings() -> Path:
    """The catalogue that the installation's settings name, else the default one; there may be no settings yet."""
    try:
        document = json.loads(settings_path().read_text(encoding="utf-8"))
        named = document.get("catalog")
    except (OSError, ValueError, AttributeError):
        named = None
    return Path(named) if named else default_catalog_path()


def added_path(catalog_file: Path, feed: str) -> Path:
    """Where the entry of a feed that was added lies."""
    return catalog_file.parent / ADDED_FOLDER / f"{feed}.yaml"


def catalog_document(file: Path) -> dict[str, Any]:
    """`topics` and `feeds`, the entries of the catalogue's file followed by those of the added feeds in the order of
    their names. Raises ConfigurationError naming the file that is wrong, and a feed that is there twice."""
    document = _mapping(file)
    feeds = dict(_section(document, "feeds", file))
    for added in sorted((file.parent / ADDED_FOLDER).glob("*.yaml")):
        if added.stem in feeds:
            raise _error(f"the feed {added.stem} is in {file.name} already: remove one of the two entries", added)
        feeds[added.stem] = _mapping(added)
    return {"topics": dict(_section(document, "topics", file)), "feeds": feeds}


def feed_topics(file: Path | None = None) -> dict[str, str]:
    """Every feed's topic by the feed's name, in catalogue order. Raises ConfigurationError."""
    path = file or catalog_path_of_settings()
    try:
        return {name: str(entry["topic"]) for name, entry in catalog_document(path)["feeds"].items()}
    except (KeyError, TypeError) as error:
        raise _error(f"the catalogue has a wrong or missing entry: {error}", path) from error


def _mapping(file: Path) -> Mapping[str, Any]:
    try:
        document = load_yaml(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise _error(f"the catalogue cannot be read: {error}", file) from error
    if not isinstance(document, Mapping):
        raise _error("the catalogue has a wrong or missing entry: it is no mapping", file)
    return document


def _section(document: Mapping[str, Any], name: str, file: Path) -> Mapping[str, Any]:
    section = document.get(name)
    if not isinstance(section, Mapping):
        raise _error(f"the catalogue has a wrong or missing entry: {name!r}", file)
    return section


def _error(reason: str, file: Path) -> Exception:
    # The errors bring the Kafka client, which only a failure needs.
    from feedline.errors import ConfigurationError  # noqa: PLC0415

    return ConfigurationError(reason, file=str(file))
