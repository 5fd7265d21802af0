"""Finding feeds and attributes by what people call them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from feedline.metadata.ldm import LogicalModel

MAX_HITS = 200


@dataclass(frozen=True, slots=True)
class Hit:
    """place: `feed` or `attribute`; path: of the attribute, empty for a feed; score: higher is better."""

    place: str
    feed: str
    path: str
    name: str
    description: str
    classification: str
    score: int


def search(models: Iterable[LogicalModel], words: str, limit: int = MAX_HITS) -> tuple[Hit, ...]:
    """Feeds and attributes in whose names, columns, descriptions, owner or classification every word occurs, best
    first: the name counts more than the path, and that more than the description."""
    wanted = [word for word in re.split(r"[\s_.,]+", words.lower()) if word]
    if not wanted:
        return ()
    hits = [hit for model in models for hit in _hits(model, wanted)]
    hits.sort(key=lambda one: (-one.score, one.place != "feed", one.feed, one.path))
    return tuple(hits[:limit])


def _hits(model: LogicalModel, wanted: list[str]) -> Iterable[Hit]:
    tables = " ".join(entity.table for entity in model.entities)
    score = _score(wanted, (model.title, f"{model.feed} {tables}", f"{model.description} {model.owner}"))
    if score:
        yield Hit("feed", model.feed, "", model.title, model.description, "", score + 1)
    for one in model.attributes().values():
        texts = (one.name, f"{one.path} {one.column} {' '.join(one.former)}", one.description)
        score = _score(wanted, (*texts, one.classification.value))
        if score:
            yield Hit("attribute", model.feed, one.path, one.name, one.description, one.classification.value, score)


def _score(wanted: list[str], texts: tuple[str, ...]) -> int:
    """0 unless every word is in one of the texts; earlier texts and whole words weigh more."""
    total = 0
    for word in wanted:
        best = 0
        for weight, text in zip((8, 4, 2, 1), texts, strict=False):
            lowered = text.lower()
            if word in lowered:
                whole = re.search(rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])", lowered)
                best = max(best, weight * (2 if whole else 1))
        if not best:
            return 0
        total += best
    return total
