"""From samples to a schema: gathers, observes, builds."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from feedline.errors import ConfigurationError
from feedline.metadata.discovery.avro import Decision, SchemaBuilder
from feedline.metadata.discovery.names import legal_name
from feedline.metadata.discovery.observe import Observer
from feedline.metadata.discovery.policy import DiscoveryPolicy
from feedline.metadata.discovery.samples import Refused, Sample, as_samples

# Documents are taken in by so many, or so many bytes of them: enough to work column-wise, little to hold.
CHUNK_SAMPLES = 512
CHUNK_BYTES = 2 << 20


@dataclass(frozen=True, slots=True)
class Discovery:
    """avro: the record schema, in canonical order: the same samples in any order give the same bytes. decisions: one a
    path, parents first. refused: the first of the refused_count samples that could not be read."""

    avro: dict[str, Any] = field(repr=False)
    decisions: tuple[Decision, ...] = field(repr=False)
    samples: int = 0
    size: int = 0
    refused_count: int = 0
    refused: tuple[Refused, ...] = ()

    @property
    def conflicts(self) -> tuple[Decision, ...]:
        """The decisions that a person should look at."""
        return tuple(one for one in self.decisions if one.conflicts)

    @property
    def converted(self) -> tuple[Decision, ...]:
        """The fields that documents have in another form than the schema: such documents must be conformed to it."""
        return tuple(one for one in self.decisions if one.converted)


def discover(
    samples: Iterable[Sample | Refused | Mapping[str, Any]],
    *,
    name: str = "Record",
    namespace: str | None = None,
    policy: DiscoveryPolicy | None = None,
) -> Discovery:
    """The schema of all samples, in one pass and bounded memory; name: of the record.

    Raises ConfigurationError when there is no sample that can be read, when the samples have no field, or more than
    the policy's bounds.
    """
    rules = policy or DiscoveryPolicy()
    gathered = _Gathered(Observer(rules), rules)
    for one in as_samples(samples):
        gathered.add(one)
    gathered.flush()
    root = gathered.observer.root
    refused = gathered.first_refused()
    if not root.objects:
        why = f"; the first of {gathered.refused} refused: {_told(refused[0])}" if refused else ""
        raise ConfigurationError(f"there is no sample to learn from: give JSON objects{why}")
    if not root.fields:
        raise ConfigurationError("the samples are empty objects: there is no field to learn from")
    builder = SchemaBuilder(rules)
    avro = builder.build(root, legal_name(name), namespace)
    if len(builder.decisions) > rules.max_fields:
        raise ConfigurationError(
            f"the schema would have {len(builder.decisions):,} fields, more than {rules.max_fields:,}: split the feed"
        )
    return Discovery(avro, tuple(builder.decisions), root.objects, gathered.size, gathered.refused, refused)


def _told(one: Refused) -> str:
    return f"{one.file + ' ' if one.file else ''}{one.line}: {one.reason}"


class _Gathered:
    """Samples on their way to the observer, and those refused on the way."""

    def __init__(self, observer: Observer, policy: DiscoveryPolicy) -> None:
        self.observer = observer
        self.refused = 0
        self.size = 0
        self._policy = policy
        self._first: list[Refused] = []
        self._waiting: list[Any] = []
        self._bytes = 0

    def add(self, one: Sample | Refused) -> None:
        if isinstance(one, Refused):
            self._refuse(one)
        elif not isinstance(one.value, dict):
            kind = "null" if one.value is None else type(one.value).__name__
            self._refuse(
                Refused(
                    one.file, one.line or 0, f"a sample is a JSON object, this is a value: {_KINDS.get(kind, kind)}"
                )
            )
        else:
            self._waiting.append(one.value)
            self._bytes += one.size
            if len(self._waiting) >= CHUNK_SAMPLES or self._bytes >= CHUNK_BYTES:
                self.flush()

    def flush(self) -> None:
        self.size += self._bytes
        if self._waiting:
            self.observer.take(self._waiting)
        self._waiting, self._bytes = [], 0

    def first_refused(self) -> tuple[Refused, ...]:
        return tuple(sorted(self._first, key=_refused_order)[: self._policy.refused_shown])

    def _refuse(self, one: Refused) -> None:
        self.refused += 1
        self._first.append(one)
        if len(self._first) > 4 * self._policy.refused_shown:
            self._first = heapq.nsmallest(self._policy.refused_shown, self._first, key=_refused_order)


def _refused_order(one: Refused) -> tuple[str, int, str]:
    return one.file or "", one.line, one.reason


_KINDS = {"list": "an array", "str": "a text", "int": "a number", "NumberText": "a number", "bool": "true or false"}
