"""Compares what was sent with what is on the topic, in the tables, in the ledger and on the error topic.

Pure: it is given what was observed and says what is wrong, in Jepsen's words for logs
(https://github.com/jepsen-io/redpanda#anomalies), said here of records on their way to a table:

- lost write: a record was acknowledged, and is neither on the topic nor on the error topic
- unseen: a record lies on the topic below what was loaded, and is neither in the table nor on the error topic
- duplicate: a record is in the table more than once, or a micro-batch twice LOADED in the ledger
- poll skip: a reader with partitions of its own went over an offset that holds a message
- nonmonotonic poll: such a reader was given an offset that is not after the one before
- inconsistent offsets: one offset held two different messages, the ledger names another one than lies there, a
  checkpoint is beyond the end, or went backwards
- aborted read: the table or the topic holds a record that nobody sent, or whose transaction was aborted

and three of our own: `changed`, a row has other values than the record that was sent; `books`, source = table + error
topic as multisets; and `ledger`, the ledger tells of other records than the table holds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class TopicBatch:
    """A micro-batch as it lies on the topic."""

    partition: int
    offset: int
    correlation_id: str
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LedgerRow:
    correlation_id: str
    partition: int
    offset: int
    records: int
    status: str = "LOADED"


@dataclass(frozen=True, slots=True)
class TableRow:
    id: str
    correlation_id: str


@dataclass(frozen=True, slots=True)
class Observation:
    """What a run left behind, and what was seen while it ran.

    source: ids that were to be delivered; acknowledged: those that the producer was told are durable; aborted: those
    whose transaction was aborted; errors: ids (of whole batches or lines) on the error topic, each once. polls: by
    reader, the places in the order it was given them, with the correlation id; changed: ids of rows with other values
    than were sent; moves: by partition, every checkpoint
    that was seen, in order. ends: the topic's end offsets when all was over; passed: by partition, the offsets without
    a message of a micro-batch (manifests, transaction markers).
    """

    source: Sequence[str]
    acknowledged: Iterable[str]
    topic: Sequence[TopicBatch]
    table: Sequence[TableRow]
    ledger: Sequence[LedgerRow]
    errors: Sequence[str] = ()
    aborted: frozenset[str] = frozenset()
    changed: Sequence[str] = ()
    polls: Mapping[str, Sequence[tuple[int, int, str]]] = field(default_factory=dict)
    moves: Mapping[int, Sequence[int]] = field(default_factory=dict)
    ends: Mapping[int, int] = field(default_factory=dict)
    read_from: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of wrong: how often, and a few examples."""

    name: str
    count: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}: {self.count} (as {', '.join(self.examples)})"


@dataclass(frozen=True, slots=True)
class Verdict:
    """counts: of records in each place, gaps (offsets without a micro-batch) and lag (offsets not loaded yet);
    in_order: whether the table's batches of a partition were loaded in offset order."""

    findings: tuple[Finding, ...]
    counts: Mapping[str, int]
    in_order: bool

    @property
    def clean(self) -> bool:
        return not self.findings

    @property
    def names(self) -> set[str]:
        return {finding.name for finding in self.findings}

    def __str__(self) -> str:
        told = "; ".join(map(str, self.findings)) or "nothing wrong"
        return f"{told} [{', '.join(f'{name} {count}' for name, count in self.counts.items())}]"


def check(seen: Observation) -> Verdict:
    """Everything that is wrong with a run that has ended."""
    source, table = Counter(seen.source), Counter(row.id for row in seen.table)
    errors = Counter(seen.errors)
    on_topic = {record for batch in seen.topic for record in batch.ids}
    found = {
        "lost write": sorted(set(seen.acknowledged) - on_topic - set(errors)),
        "unseen": _unseen(seen, table, errors),
        "duplicate": _duplicates(seen, table),
        "poll skip": list(_skips(seen)),
        "nonmonotonic poll": list(_backward(seen)),
        "inconsistent offsets": list(_inconsistent(seen)),
        "aborted read": sorted((set(table) | on_topic) - set(source) - set(errors) | (set(table) & seen.aborted)),
        "changed": sorted(seen.changed),
        "books": sorted(((source - table - errors) + (table + errors - source)).elements()),
        "ledger": list(_ledger(seen)),
    }
    findings = tuple(
        Finding(name, len(wrong), tuple(str(one) for one in wrong[:3])) for name, wrong in found.items() if wrong
    )
    return Verdict(findings, _counts(seen), _in_order(seen))


def _unseen(seen: Observation, table: Counter[str], errors: Counter[str]) -> list[str]:
    reached = {partition: max(offsets, default=0) for partition, offsets in seen.moves.items()}
    passed = (batch for batch in seen.topic if batch.offset < reached.get(batch.partition, 0))
    return sorted({record for batch in passed for record in batch.ids if not table[record] and not errors[record]})


def _duplicates(seen: Observation, table: Counter[str]) -> list[str]:
    sent = Counter(seen.source)
    rows = [record for record, times in table.items() if times > max(1, sent[record])]
    loaded = Counter(row.correlation_id for row in seen.ledger if row.status == "LOADED")
    return sorted(rows) + sorted(f"batch {batch}" for batch, times in loaded.items() if times > 1)


def _skips(seen: Observation) -> Iterable[str]:
    holds: dict[int, list[int]] = defaultdict(list)
    for batch in sorted(seen.topic, key=lambda b: b.offset):
        holds[batch.partition].append(batch.offset)
    for reader, polls in seen.polls.items():
        given: dict[int, set[int]] = defaultdict(set)
        for partition, offset, _ in polls:
            given[partition].add(offset)
        for partition, offsets in holds.items():
            last = max(given[partition], default=-1)
            first = seen.read_from.get(partition, 0)
            yield from (
                f"{reader} at {partition}/{offset}"
                for offset in offsets
                if first <= offset < last and offset not in given[partition]
            )


def _backward(seen: Observation) -> Iterable[str]:
    for reader, polls in seen.polls.items():
        last: dict[int, int] = {}
        for partition, offset, _ in polls:
            if offset <= last.get(partition, -1):
                yield f"{reader} at {partition}/{offset} after {last[partition]}"
            last[partition] = offset


def _inconsistent(seen: Observation) -> Iterable[str]:
    lies: dict[Place, str] = {(b.partition, b.offset): b.correlation_id for b in seen.topic}
    for reader, polls in seen.polls.items():
        for partition, offset, held in polls:
            if lies.get((partition, offset), held) != held:
                yield f"{reader} saw {held} at {partition}/{offset}, which holds {lies[partition, offset]}"
    for row in seen.ledger:
        there = lies.get((row.partition, row.offset))
        if there != row.correlation_id:
            yield f"the ledger has {row.correlation_id} at {row.partition}/{row.offset}, which holds {there}"
    for partition, offsets in seen.moves.items():
        if seen.ends and max(offsets, default=0) > seen.ends.get(partition, 0):
            yield f"checkpoint {max(offsets)} of partition {partition}, which ends at {seen.ends.get(partition, 0)}"
        yield from (
            f"the checkpoint of partition {partition} went from {before} to {after}"
            for before, after in pairwise(offsets)
            if after < before
        )


def _ledger(seen: Observation) -> Iterable[str]:
    told = Counter({row.correlation_id: row.records for row in seen.ledger if row.status == "LOADED"})
    rows = Counter(row.correlation_id for row in seen.table)
    yield from (
        f"{batch}: {told[batch]} in the ledger, {rows[batch]} rows"
        for batch in sorted(set(told) | set(rows))
        if told[batch] != rows[batch]
    )


def _counts(seen: Observation) -> dict[str, int]:
    reached = {partition: max(offsets, default=0) for partition, offsets in seen.moves.items()}
    messages = Counter(batch.partition for batch in seen.topic)
    return {
        "source": len(seen.source),
        "acknowledged": len(set(seen.acknowledged)),
        "on the topic": sum(len(batch.ids) for batch in seen.topic),
        "in the table": len(seen.table),
        "on the error topic": len(seen.errors),
        "gaps": sum(end - messages[partition] for partition, end in seen.ends.items()),
        "lag": sum(max(0, end - reached.get(partition, 0)) for partition, end in seen.ends.items()),
    }


def _in_order(seen: Observation) -> bool:
    """Whether the ledger's rows, in the order they were written, go forwards in every partition."""
    last: dict[int, int] = {}
    for row in seen.ledger:
        if row.offset < last.get(row.partition, -1):
            return False
        last[row.partition] = row.offset
    return True
