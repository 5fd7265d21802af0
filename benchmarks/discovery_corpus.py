"""Three figures on real documents of public projects: how many held-out ones a discovered schema accepts, how many
broken or foreign ones it refuses, how many come back equal through Avro.

`python -m benchmarks.discovery_corpus` prints the table of docs/discovery.md. The split is by a hash of the document's
text, so it is the same everywhere; tests/data/corpus/manifest.yaml says where the documents come from.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path
from typing import Any

import fastavro
import yaml

from feedline.errors import SchemaMismatchError
from feedline.metadata.discovery import Discovery, Sample, conformer, discover, document_text, restorer, samples_of

CORPUS = Path(__file__).resolve().parents[1] / "tests" / "data" / "corpus"
HELD_OUT_OF_TEN = 3
# Of each other kind so many documents are tried, and of each kind so many are broken.
TRIED = 40

Conform = Callable[[Any], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts of one kind; each pair is good ones of all."""

    kind: str
    learned_from: int
    accepted: tuple[int, int]
    refused_foreign: tuple[int, int]
    refused_broken: tuple[int, int]
    equal: tuple[int, int]


def figures() -> list[Figures]:
    """The figures of every kind of the corpus, in the manifest's order; what is no kind only serves as foreign."""
    kinds = {one["kind"]: _documents(one["kind"]) for one in manifest()}
    return [_figures(one["kind"], kinds) for one in manifest() if not one.get("foreign")]


def manifest() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((CORPUS / "manifest.yaml").read_text(encoding="utf-8"))
    return found


def table(rows: list[Figures]) -> str:
    """Markdown; the last row is the sum."""
    head = (
        "| Kind | Learned from | Held out, accepted | Other kinds, refused | Broken, refused | Equal after Avro |\n"
        "|---|---:|---:|---:|---:|---:|"
    )
    lines = [_line(one) for one in (*rows, total(rows))]
    return "\n".join([head, *lines])


def total(rows: list[Figures]) -> Figures:
    def added(name: str) -> tuple[int, int]:
        return sum(getattr(one, name)[0] for one in rows), sum(getattr(one, name)[1] for one in rows)

    names = ("accepted", "refused_foreign", "refused_broken", "equal")
    return Figures("all", sum(one.learned_from for one in rows), *map(added, names))


def _line(one: Figures) -> str:
    pairs = (one.accepted, one.refused_foreign, one.refused_broken, one.equal)
    shares = (f"{100 * good / of:.1f} % of {of:,}" if of else "-" for good, of in pairs)
    return f"| {one.kind.replace('_', ' ')} | {one.learned_from:,} | {' | '.join(shares)} |"


def _documents(kind: str) -> list[Any]:
    return [one.value for one in samples_of(CORPUS / f"{kind}.jsonl.gz") if isinstance(one, Sample)]


def _figures(kind: str, kinds: dict[str, list[Any]]) -> Figures:
    learned = [one for one in kinds[kind] if not _held_out(one)]
    held_out = [one for one in kinds[kind] if _held_out(one)]
    found = discover((Sample(one) for one in learned), name=kind)
    conform = conformer(found.avro)
    good = [one for one in held_out if _fits(conform, one)]
    foreign = [one for other, docs in kinds.items() if other != kind for one in docs[:TRIED]]
    broken = [damaged for one in _spread(good or learned) for damaged in _broken(one, found)]
    equal = sum(_comes_back(found, conform, one) for one in good + learned)
    return Figures(
        kind,
        len(learned),
        (len(good), len(held_out)),
        (sum(not _fits(conform, one) for one in foreign), len(foreign)),
        (sum(not _fits(conform, one) for one in broken), len(broken)),
        (equal, len(good) + len(learned)),
    )


def _held_out(document: Any) -> bool:
    return blake2b(document_text(document).encode(), digest_size=8).digest()[0] % 10 < HELD_OUT_OF_TEN


def _spread(documents: list[Any]) -> list[Any]:
    step = max(1, len(documents) // TRIED)
    return documents[::step][:TRIED]


def _fits(conform: Conform, document: Any) -> bool:
    try:
        conform(document)
    except SchemaMismatchError:
        return False
    return True


def _comes_back(found: Discovery, conform: Conform, document: Any) -> bool:
    """Through fastavro, which knows nothing of us, and equal as JSON is: numbers by value, keys in any order."""
    schema = fastavro.parse_schema(json.loads(json.dumps(found.avro)))
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, conform(document), strict=True)
    out.seek(0)
    back = restorer(found.avro)(fastavro.schemaless_reader(out, schema, None))
    return _plain(document_text(back)) == _plain(document_text(document))


def _plain(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)


def _broken(document: Any, found: Discovery) -> Iterator[Any]:
    """The document damaged as files get damaged, a way at a time."""
    optional = {field["name"] for field in found.avro["fields"] if isinstance(field["type"], list)}
    names = {field["name"]: field.get("jsonName", field["name"]) for field in found.avro["fields"]}
    required = [key for name, key in names.items() if name not in optional and key in document]
    for key in required[:1]:
        # A field is gone, and one is spelled otherwise.
        yield {name: part for name, part in document.items() if name != key}
        yield {(f"{name} " if name == key else name): part for name, part in document.items()}
    for key in required[:3]:
        yield {**document, key: None}
        yield {**document, key: {"unexpected": document[key]}}
        yield {**document, key: [document[key]]}
    for key, part in document.items():
        if not isinstance(part, str | bool | list | dict) and part is not None:
            yield {**document, key: "n/a"}
            break
    yield {**document, "a key that nobody has": 1}
    yield [document]


if __name__ == "__main__":
    print(table(figures()))
