"""Schemas that a registry has given, kept on disk, for the time when it does not answer.

The registry stays the authority: it is asked first. A kept schema answers only when it cannot, and only when the bytes
are those that were kept. One folder a registry, because ids of two registries mean different schemas.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KnownSchema:
    """What a registry says of an id: the schema's text and its kind, AVRO or JSON."""

    number: int
    text: str
    kind: str = "AVRO"


class SchemaCache:
    """The kept schemas of one registry; any thread or process may use the folder."""

    def __init__(self, folder: Path, registry: str) -> None:
        self._folder = folder / hashlib.sha256(registry.encode()).hexdigest()[:16]

    def keep(self, known: KnownSchema) -> None:
        """Keeps the schema of an id, in place of another one that the registry once gave for it."""
        self._write(f"id-{known.number}", {"number": known.number, "text": known.text, "kind": known.kind})

    def keep_registration(self, subject: str, known: KnownSchema) -> None:
        """Keeps that the schema is registered under the subject."""
        document = {"number": known.number, "text": known.text, "kind": known.kind, "subject": subject}
        self._write(_registration(subject, known.text, known.kind), document)

    def schema(self, number: int) -> KnownSchema | None:
        """The schema of an id; None when it was not kept, or is not what was kept."""
        document = self._read(f"id-{number}")
        if document is None or document["number"] != number:
            return None
        return KnownSchema(number, document["text"], document["kind"])

    def registered(self, subject: str, text: str, kind: str) -> int | None:
        """The id under which exactly this schema was registered under the subject."""
        document = self._read(_registration(subject, text, kind))
        same = document is not None and (document["subject"], document["text"], document["kind"])
        return int(document["number"]) if document is not None and same == (subject, text, kind) else None

    def _write(self, name: str, document: Mapping[str, Any]) -> None:
        """Whole or not at all, and never a reason to fail: the registry has answered."""
        kept = {**document, "sha256": _hash_of(document)}
        text = json.dumps(kept, ensure_ascii=False)
        path = self._folder / f"{name}.json"
        try:
            if path.exists() and path.read_text(encoding="utf-8") == text:
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, partial = tempfile.mkstemp(dir=self._folder, prefix=f".{name}.")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as output:
                    output.write(text)
                Path(partial).replace(path)
            except BaseException:
                Path(partial).unlink(missing_ok=True)
                raise
        except (OSError, UnicodeError) as error:
            _log.warning("a schema cannot be kept for a time without the registry: %s", error)

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self._folder / f"{name}.json"
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            wanted = document.pop("sha256")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            _log.warning("the kept schema %s cannot be read and is not used: %s", path, error)
            return None
        if _hash_of(document) != wanted:
            _log.warning("the kept schema %s is not what was kept, and is not used", path)
            return None
        return dict(document)


def _hash_of(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _registration(subject: str, text: str, kind: str) -> str:
    whole = "\n".join((subject, kind, text))
    return f"subject-{hashlib.sha256(whole.encode()).hexdigest()[:32]}"
