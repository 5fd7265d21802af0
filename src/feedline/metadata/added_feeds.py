"""Adding a feed to the catalogue: its schema and its logical model first, its entry last and at once.

Whoever reads the catalogue meanwhile finds the feed whole or not at all. A run that was killed leaves at most files
that no entry names; running it again puts them right.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any

import yaml

from feedline.catalog import load_catalog
from feedline.catalog_files import added_path, catalog_document
from feedline.errors import ConfigurationError, FeedTakenError
from feedline.metadata.ldm_files import ldm_path, yaml_of
from feedline.metadata.new_feed import Addition, NewFeed, addition_of
from feedline.metadata.schema_files import schema_text
from feedline.metadata.whole_files import create_text, replace_text


def add_feed(catalog_file: Path, new: NewFeed) -> tuple[Addition, list[Path]]:
    """Adds the feed; the files written, none when exactly this feed is there already.

    Raises FeedTakenError when its name belongs to another, ConfigurationError for what cannot be a feed or when the
    files cannot be written; nothing is left of it then.
    """
    with _alone(catalog_file):
        catalog = load_catalog(catalog_file)
        addition = addition_of(new, catalog, catalog_file.parent)
        texts = _texts(catalog_file, addition)
        entry = added_path(catalog_file, new.name)
        if new.name in catalog.feeds:
            if all(path.is_file() and path.read_text(encoding="utf-8") == text for path, text in texts.items()):
                return addition, []
            raise FeedTakenError(
                "there is a feed of that name: choose another, or change that one with `feedline schema register`",
                feed=new.name,
            )
        _refuse_used_schema(catalog_file, addition)
        _write(texts, entry)
    return addition, list(texts)


def entry_text(addition: Addition) -> str:
    """The text of the catalogue entry's file."""
    dumped: str = yaml.safe_dump(dict(addition.entry), sort_keys=False, allow_unicode=True, default_flow_style=None)
    return dumped


def _texts(catalog_file: Path, addition: Addition) -> dict[Path, str]:
    """Every file of the feed, the entry last."""
    name = addition.feed.name
    return {
        catalog_file.parent / addition.entry["schema"]: schema_text(addition.feed.schema),
        ldm_path(name, catalog_file): yaml_of(addition.model),
        added_path(catalog_file, name): entry_text(addition),
    }


def _write(texts: dict[Path, str], entry: Path) -> None:
    new = [path for path in texts if not path.exists()]
    try:
        for path, text in texts.items():
            if path != entry:
                replace_text(path, text)
        create_text(entry, texts[entry])
    except FileExistsError as error:
        raise FeedTakenError("a feed of that name was added a moment ago: look at it first", file=str(entry)) from error
    except OSError as error:
        # The entry before what it names.
        for path in reversed(new):
            path.unlink(missing_ok=True)
        raise ConfigurationError(
            f"the feed could not be written, and nothing was added: {error}; the catalogue's folder has to be writable "
            "where feeds are added",
            file=str(entry),
        ) from error


def _refuse_used_schema(catalog_file: Path, addition: Addition) -> None:
    feeds: dict[str, Any] = catalog_document(catalog_file)["feeds"]
    for other, known in feeds.items():
        if known.get("schema") == addition.entry["schema"]:
            raise FeedTakenError(
                f"the file {known['schema']} is the schema of the feed {other}: choose another name",
                feed=addition.feed.name,
            )


@contextmanager
def _alone(catalog_file: Path) -> Iterator[None]:
    """One who adds at a time, whichever process; the system lets go when that process ends, however it does."""
    try:
        handle = os.open(catalog_file.parent, os.O_RDONLY)
    except OSError as error:
        raise ConfigurationError(f"the catalogue cannot be read: {error}", file=str(catalog_file)) from error
    try:
        flock(handle, LOCK_EX)
        yield
    finally:
        os.close(handle)
